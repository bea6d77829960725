//! The Unix socket of a running `listen`: where it lies, and the lines on it.
//!
//! A request is one line of JSON; the answer is lines of JSON, the last of which is `done` or `failed`. In between, a line
//! `confirm` is answered with a line `shown` once everything before it was shown.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use posthouse_client::Profile;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use crate::failure::Failure;
use crate::line::Line;

/// Longest line either way, bytes.
const MAX_LINE: u64 = 4 * 1024 * 1024;
/// Longest path of a Unix socket that every system takes, bytes (macOS has the least room).
const MAX_SOCKET_PATH: usize = 103;

/// One line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// To be shown.
    Line(Line),
    /// A line of an export.
    Export(String),
    /// Wants a [`Shown`] once everything before it was shown.
    Confirm,
    /// The end.
    Done,
    /// The end, and why.
    Failed(Failure),
}

/// What answers a [`Reply::Confirm`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shown {
    /// Everything before it was shown.
    Shown,
}

/// Where the socket of a profile lies: in its folder, or in a short one where that path is too long for a socket.
pub(crate) fn path(profile: &Profile) -> PathBuf {
    let own = profile.socket();
    if own.as_os_str().len() <= MAX_SOCKET_PATH {
        return own;
    }
    let run = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let run = run.unwrap_or_else(std::env::temp_dir);
    let absolute = std::path::absolute(profile.dir()).unwrap_or_else(|_| profile.dir().to_owned());
    run.join(format!("posthouse-{:016x}", fnv1a(absolute.as_os_str().as_bytes()))).join("c.sock")
}

/// FNV-1a: a name for a folder, the same in every version of the program. It protects nothing.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// A bound socket; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) listener: UnixListener,
    path: PathBuf,
}

impl Bound {
    /// Binds the socket of a profile whose vault this process owns: a socket that lies there is a dead one's.
    ///
    /// # Errors
    /// The folder is not ours alone, or the socket cannot be made.
    pub(crate) fn bind(profile: &Profile) -> io::Result<Self> {
        let path = path(profile);
        if path != profile.socket()
            && let Some(folder) = path.parent()
        {
            own_folder(folder, profile.dir())?;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Where it cannot be removed, the next owner does it.
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes the short folder, or checks that the one that is there belongs to us alone: others may write to the place
/// where it lies.
fn own_folder(folder: &Path, profile: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    check_folder(folder, profile)
}

/// Checks that nobody else can have put a socket of theirs there.
fn check_folder(folder: &Path, profile: &Path) -> io::Result<()> {
    let (found, own) = (fs::symlink_metadata(folder)?, fs::metadata(profile)?);
    if !found.is_dir() || found.uid() != own.uid() || found.mode() & 0o077 != 0 {
        let message = format!("{} is not a folder of yours alone: remove it", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(())
}

/// Connects to the `listen` that owns the vault, if there is one.
///
/// # Errors
/// There is a socket, and it cannot be used.
pub(crate) async fn connect(profile: &Profile) -> io::Result<Option<UnixStream>> {
    let path = path(profile);
    if path != profile.socket()
        && let Some(folder) = path.parent().filter(|folder| folder.exists())
    {
        check_folder(folder, profile.dir())?;
    }
    match UnixStream::connect(&path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reads one line; `None` at the end of the stream.
///
/// # Errors
/// The line is too long or not of this form, or the stream fails.
pub(crate) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => serde_json::from_slice(&line).map(Some).map_err(io::Error::from),
        Some(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a line does not end within {MAX_LINE} bytes"),
        )),
    }
}

/// Writes one line.
///
/// # Errors
/// The stream fails.
pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(home: &Path) -> Profile {
        let profile = Profile::locate(Some(home), "default").unwrap();
        fs::create_dir_all(profile.dir()).unwrap();
        profile
    }

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_a_dead_ones_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        let profile = profile(home.path());
        fs::write(profile.socket(), "a dead one's").unwrap();
        let bound = Bound::bind(&profile).unwrap();
        assert_eq!(fs::metadata(profile.socket()).unwrap().mode() & 0o777, 0o600);
        assert!(connect(&profile).await.unwrap().is_some());
        drop(bound);
        assert!(connect(&profile).await.unwrap().is_none());
        assert!(!profile.socket().exists());
    }

    #[tokio::test]
    async fn a_long_path_gets_a_short_socket_in_a_folder_of_its_own() {
        let home = tempfile::tempdir().unwrap();
        let profile = profile(&home.path().join("long".repeat(40)));
        let bound = Bound::bind(&profile).unwrap();
        assert!(bound.path.as_os_str().len() <= MAX_SOCKET_PATH, "{}", bound.path.display());
        let folder = bound.path.parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert!(connect(&profile).await.unwrap().is_some());
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        assert!(connect(&profile).await.is_err());
        drop(bound);
        fs::remove_dir(folder).unwrap();
    }

    #[tokio::test]
    async fn a_line_that_does_not_end_is_refused() {
        let mut endless = tokio::io::BufReader::new(tokio::io::repeat(b'a'));
        assert!(read::<Reply>(&mut endless).await.is_err());
        assert!(read::<Reply>(&mut &b"garbage\n"[..]).await.is_err());
        assert!(read::<Reply>(&mut &b""[..]).await.unwrap().is_none());
        assert!(matches!(read::<Reply>(&mut &b"\"done\"\n"[..]).await.unwrap(), Some(Reply::Done)));
    }
}
