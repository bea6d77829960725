//! The door for TCP connections: only so many are inside at once.
//!
//! Sockets have a bound of their own, with an answer in words; this one keeps connections that ask for nothing from
//! using up the process's files. Beyond it a connection is closed unheard.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::TURNED_AWAY;

/// Connections beyond those of the sockets: requests that come and go.
const BESIDE_SOCKETS: usize = 1024;

/// Lets so many connections in.
#[derive(Debug, Clone)]
pub(super) struct Door(Arc<Semaphore>);

impl Door {
    /// A door for so many sockets, and some requests beside them.
    pub(super) fn for_sockets(max_connections: u32) -> Self {
        Self(Arc::new(Semaphore::new(max_connections as usize + BESIDE_SOCKETS)))
    }
}

impl<S> Accept<TcpStream, S> for Door {
    type Stream = Inside;
    type Service = S;
    type Future = Ready<io::Result<(Inside, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() else {
            metrics::counter!(TURNED_AWAY).increment(1);
            return ready(Err(io::Error::other("as many connections as the relay takes")));
        };
        // Frames are small and somebody waits for each.
        ready(stream.set_nodelay(true).map(|()| (Inside { stream, _permit: permit }, service)))
    }
}

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Inside {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Inside {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Inside {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
