//! A device's WebSocket.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use posthouse_spec::Cbor as _;
use posthouse_spec::MailboxSeq;
use posthouse_spec::client::socket::{DeviceAck, Hello, Ready};
use posthouse_spec::client::{Down, Up};
use posthouse_spec::limits::MAX_CLIENT_FRAME;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The generator's buffer for each direction of a socket, bytes; thousands of sockets have to fit its memory.
const BUFFER: usize = 16 * 1024;

/// A connected device, after the greeting.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    ready: Ready,
}

impl Socket {
    /// Connects and greets.
    pub(crate) async fn open(address: SocketAddr, token: &str, hello: Hello) -> Result<Self> {
        let url = format!("ws://{address}/v1/socket");
        let mut request = url.as_str().into_client_request()?;
        request.headers_mut().insert(AUTHORIZATION, format!("Bearer {token}").parse()?);
        let tcp = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        tcp.set_nodelay(true)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(MAX_CLIENT_FRAME))
            .max_frame_size(Some(MAX_CLIENT_FRAME));
        let (mut stream, _) = client_async_with_config(request, tcp, Some(config))
            .await
            .with_context(|| format!("opening {url}"))?;
        stream.send(message(&Up::Hello(hello))).await?;
        match next(&mut stream).await? {
            Down::Ready(ready) => Ok(Self { stream, ready }),
            Down::Goodbye(bye) => bail!("{url} said goodbye to a hello ({}): {}", bye.reason, bye.detail),
            other => bail!("{url} answered a hello with {other:?}"),
        }
    }

    /// The relay's greeting.
    pub(crate) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Puts a frame into the buffer.
    pub(crate) async fn feed(&mut self, frame: &Up) -> Result<()> {
        self.stream.feed(message(frame)).await.context("writing to a socket")
    }

    /// Writes what is in the buffer.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.stream.flush().await.context("writing to a socket")
    }

    /// Says that everything up to this position is kept.
    pub(crate) async fn acknowledge(&mut self, through: MailboxSeq) -> Result<()> {
        self.feed(&Up::Ack(DeviceAck { through })).await?;
        self.flush().await
    }

    /// Waits for the next frame. Nothing is lost where the wait is given up.
    pub(crate) async fn next(&mut self) -> Result<Down> {
        next(&mut self.stream).await
    }

    /// The next frame, if one is there already.
    pub(crate) fn waiting(&mut self) -> Option<Result<Down>> {
        self.next().now_or_never()
    }
}

fn message(frame: &Up) -> Message {
    Message::Binary(Bytes::from(frame.to_cbor()))
}

async fn next(stream: &mut WebSocketStream<TcpStream>) -> Result<Down> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                return Down::from_cbor(&bytes).context("a frame from the relay");
            }
            Some(Ok(Message::Close(frame))) => bail!("the relay closed a socket: {frame:?}"),
            Some(Ok(Message::Text(text))) => bail!("the relay sent text, where frames are binary: {text}"),
            // Pings are answered by the library when it reads on.
            Some(Ok(_)) => {}
            Some(Err(WsError::ConnectionClosed)) | None => bail!("the relay closed a socket without a word"),
            Some(Err(error)) => return Err(error).context("reading from a socket"),
        }
    }
}
