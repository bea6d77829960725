//! Frames on a stream: an unsigned LEB128 length, as libp2p writes it, and that many bytes of CBOR.
//!
//! A length is held against its limit before anything is allocated for it, and a frame's buffer grows only with the
//! bytes that have really come: so neither a length of a gibibyte nor ten thousand promised frames cost memory.
//! Writing coalesces: frames gather in a buffer until it is full or the writer has nothing more to say, because a flush
//! for each frame costs most of the throughput of a TCP connection.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Cbor, Malformed};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How much a writer gathers before it hands it to the stream, bytes.
pub const COALESCE: usize = 64 * 1024;
/// How much a reader takes from the stream at once, bytes.
const READ_CHUNK: usize = 16 * 1024;
/// What has to come of a frame for its reader to wait on, bytes.
pub const PROGRESS: usize = READ_CHUNK;
/// The longest length prefix, bytes: enough for any 63-bit number.
const MAX_PREFIX: usize = 9;
/// A frame up to this length needs no place in its peer's [`FrameReader::with_room`], bytes.
pub const SMALL_FRAME: usize = 256 * 1024;

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The length is above the limit.
    #[error("a frame of {len} bytes was announced, the limit is {limit}")]
    TooLong {
        /// The announced length, bytes.
        len: u64,
        /// The limit, bytes.
        limit: usize,
    },
    /// The length is not in its shortest form, or longer than any number.
    #[error("the frame's length is no canonical varint")]
    Length,
    /// The frame's content is not what belongs there.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The stream ended inside a frame, or where one had to come.
    #[error("the stream ended where a frame had to come")]
    Ended,
    /// For too long, too little of a frame came, or nothing.
    #[error("{came} bytes of a frame came, and the rest did not follow in time")]
    Late {
        /// What came, bytes.
        came: usize,
    },
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
}

impl FrameError {
    /// The rule that the other side broke, if it is at fault and still there to be told.
    #[must_use]
    pub fn rule(&self) -> Option<PeerRule> {
        match self {
            Self::TooLong { .. } => Some(PeerRule::FrameTooLong),
            Self::Length | Self::Malformed(_) => Some(PeerRule::Malformed),
            Self::Ended | Self::Late { .. } | Self::Io(_) => None,
        }
    }
}

/// Cuts bytes into frames; no I/O.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: BytesMut,
    limit: usize,
}

impl FrameBuffer {
    /// An empty buffer for frames of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { bytes: BytesMut::new(), limit }
    }

    /// Takes bytes that have come.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame's content, if all of it has come.
    ///
    /// # Errors
    /// The length is too large or badly written.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((len, prefix)) = self.length()? else { return Ok(None) };
        if self.bytes.len() < prefix + len {
            return Ok(None);
        }
        self.bytes.advance(prefix);
        Ok(Some(self.bytes.split_to(len).freeze()))
    }

    /// Whether a whole frame, or one that will be refused, is there without waiting for the other side.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match self.length() {
            Ok(Some((len, prefix))) => self.bytes.len() >= prefix + len,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// How many bytes have come of frames that were not taken yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing of a next frame has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn length(&self) -> Result<Option<(usize, usize)>, FrameError> {
        let mut len = 0_u64;
        for (at, byte) in self.bytes.iter().enumerate().take(MAX_PREFIX) {
            len |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                if *byte == 0 && at > 0 {
                    return Err(FrameError::Length);
                }
                let limit = self.limit;
                let len = usize::try_from(len)
                    .ok()
                    .filter(|len| *len <= limit)
                    .ok_or(FrameError::TooLong { len, limit })?;
                return Ok(Some((len, at + 1)));
            }
        }
        if self.bytes.len() < MAX_PREFIX { Ok(None) } else { Err(FrameError::Length) }
    }
}

/// Appends one frame to `out`.
pub fn put_frame(out: &mut Vec<u8>, content: &[u8]) {
    let mut len = content.len();
    while len >= 0x80 {
        out.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(content);
}

/// Reads frames from one side of a stream. Waiting for a frame may be broken off and taken up again.
#[derive(Debug)]
pub struct FrameReader<R> {
    io: R,
    buffer: FrameBuffer,
    chunk: Vec<u8>,
    room: Option<Arc<Semaphore>>,
    place: Option<OwnedSemaphorePermit>,
    patience: Option<Duration>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader of frames of at most `limit` bytes.
    pub fn new(io: R, limit: usize) -> Self {
        Self {
            io,
            buffer: FrameBuffer::new(limit),
            chunk: Vec::new(),
            room: None,
            place: None,
            patience: None,
        }
    }

    /// Gives a frame up of which nothing comes for so long, and then not [`PROGRESS`] more each time; what is slower
    /// than that is late. The wait for a place does not count.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// Has each frame above [`SMALL_FRAME`] wait for a place in `room`, which it keeps until the next frame is asked for: so
    /// many of them are in memory at once, however many streams share the room.
    #[must_use]
    pub fn with_room(self, room: Arc<Semaphore>) -> Self {
        Self { room: Some(room), ..self }
    }

    /// The next frame's content; `None` where the stream ends between two frames.
    ///
    /// # Errors
    /// A length that breaks a rule, or a stream that breaks or ends inside a frame.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        // The frame before this one has been dealt with.
        self.place = None;
        let (mut came, mut since) = (self.buffer.len(), Instant::now());
        loop {
            if let Some(frame) = self.buffer.next_frame()? {
                return Ok(Some(frame));
            }
            if let (Some(room), None, true) = (&self.room, &self.place, self.buffer.len() > SMALL_FRAME) {
                // The semaphore is never closed, so a place always comes.
                self.place = Arc::clone(room).acquire_owned().await.ok();
                since = Instant::now();
            }
            if self.buffer.len() >= came + PROGRESS {
                (came, since) = (self.buffer.len(), Instant::now());
            }
            self.chunk.resize(READ_CHUNK, 0);
            let reading = self.io.read(&mut self.chunk);
            let read = match self.patience {
                Some(patience) => tokio::time::timeout_at(since + patience, reading).await,
                None => Ok(reading.await),
            };
            match read.map_err(|_| FrameError::Late { came: self.buffer.len() })?? {
                0 if self.buffer.is_empty() => return Ok(None),
                0 => return Err(FrameError::Ended),
                n => self.buffer.extend(&self.chunk[..n]),
            }
        }
    }

    /// The next frame as a value; a stream that ends here is an error.
    ///
    /// # Errors
    /// As [`next`](Self::next), or the frame's content is malformed.
    pub async fn value<T: Cbor>(&mut self) -> Result<T, FrameError> {
        let frame = self.next().await?.ok_or(FrameError::Ended)?;
        Ok(T::from_cbor(&frame)?)
    }

    /// The stream's side, for somebody who wants no frames of it; what was read ahead is lost.
    #[must_use]
    pub fn into_inner(self) -> R {
        self.io
    }

    /// Whether the next frame is there without waiting.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.buffer.is_ready()
    }
}

/// Writes frames to one side of a stream.
#[derive(Debug)]
pub struct FrameWriter<W> {
    io: W,
    buffer: Vec<u8>,
    patience: Option<Duration>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// A writer with nothing gathered yet.
    pub fn new(io: W) -> Self {
        Self { io, buffer: Vec::new(), patience: None }
    }

    /// Gives a stream up that takes nothing more for so long, but not one that takes it slowly.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// Gathers a frame, and hands on what was gathered once that is [`COALESCE`] bytes.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn feed(&mut self, value: &impl Cbor) -> io::Result<()> {
        put_frame(&mut self.buffer, &value.to_cbor());
        if self.buffer.len() >= COALESCE { self.drain().await } else { Ok(()) }
    }

    /// Hands everything to the stream and flushes it.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.drain().await?;
        in_time(self.patience, self.io.flush()).await
    }

    /// Writes one frame and flushes.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn send(&mut self, value: &impl Cbor) -> io::Result<()> {
        self.feed(value).await?;
        self.flush().await
    }

    /// Flushes and ends this direction of the stream.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.io.close().await
    }

    /// The stream's side; what was gathered and not flushed is lost.
    #[must_use]
    pub fn into_inner(self) -> W {
        self.io
    }

    async fn drain(&mut self) -> io::Result<()> {
        let mut rest = &self.buffer[..];
        while !rest.is_empty() {
            match in_time(self.patience, self.io.write(rest)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                taken => rest = &rest[taken..],
            }
        }
        self.buffer.clear();
        // One large envelope must not keep its memory for the life of the stream.
        self.buffer.shrink_to(2 * COALESCE);
        Ok(())
    }
}

/// One step of writing, within a time if there is any.
async fn in_time<T>(patience: Option<Duration>, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let Some(patience) = patience else { return step.await };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it takes nothing more");
    tokio::time::timeout(patience, step).await.map_err(late)?
}
