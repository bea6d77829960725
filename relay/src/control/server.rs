//! The relay's end of the control socket.

use std::fs::Permissions;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::controlled::Controlled;
use super::place::{Place, SOCKET};
use super::reply::Trouble;
use super::{doctor, keys, peers, reach, status};

/// Commands that are served at once; more wait.
const MAX_COMMANDS: usize = 16;
/// Connections that wait to be taken.
const BACKLOG: u32 = 64;
/// Largest body of a command, bytes.
const MAX_BODY: usize = 64 * 1024;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[error(
    "making the control socket {}: {why}; the data folder must be yours, and on a file system that has sockets",
    .path.display()
)]
pub struct NoSocket {
    path: PathBuf,
    why: io::Error,
}

/// A control socket that has its place in the file system, and serves nobody yet.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    // What the listener's name may lead through.
    _place: Place,
}

impl ControlSocket {
    /// Makes the socket in a data folder whose lock this process holds: what lies there was left by one that is gone.
    ///
    /// # Errors
    /// What the system said.
    pub fn bind(data: &Path) -> Result<Self, NoSocket> {
        let path = data.join(SOCKET);
        let failed = |why| NoSocket { path: path.clone(), why };
        let place = Place::of(data).map_err(failed)?;
        clear(&path).map_err(failed)?;
        let socket = UnixSocket::new_stream().map_err(failed)?;
        socket.bind(place.path()).map_err(failed)?;
        // Before anybody can be let in: in a folder that others may enter, the mask of the process would decide until then.
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        let listener = socket.listen(BACKLOG).map_err(failed)?;
        Ok(Self { listener, path, _place: place })
    }

    /// Serves until the relay stops, and takes the socket away.
    pub fn serve(self, relay: Controlled) -> impl Future<Output = ()> + Send + 'static {
        let stop = relay.stop.clone();
        let router = router().with_state(relay);
        let listener = Bounded { listener: self.listener, places: Arc::new(Semaphore::new(MAX_COMMANDS)) };
        let path = self.path;
        async move {
            let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%error, "the control socket failed");
            }
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::debug!(%error, "the control socket is gone already");
            }
        }
    }
}

/// Removes a socket, and nothing else.
fn clear(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::other("something else than a socket lies there; move it away")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The table of the routes: one file a noun.
fn router() -> Router<Controlled> {
    Router::new()
        .merge(status::routes())
        .merge(keys::routes())
        .merge(peers::routes())
        .merge(doctor::routes())
        .merge(reach::routes())
        .fallback(|| async {
            Trouble::unknown("the running relay does not know this command: is it of an older version?")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// Takes so many connections and no more.
struct Bounded {
    listener: UnixListener,
    places: Arc<Semaphore>,
}

impl Listener for Bounded {
    type Io = Placed;
    type Addr = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> (Placed, Self::Addr) {
        // The semaphore is never closed, so a place always comes.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Placed { stream, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection in its place.
struct Placed {
    stream: UnixStream,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
