//! The WebSocket: frames as they are, both ways.

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::client::http::ErrorBody;
use posthouse_spec::client::{Down, Refusal, Up};
use posthouse_spec::limits::MAX_CLIENT_FRAME;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::http::Relay;
use crate::error::ClientError;
use crate::vault::owner::Owner;

/// Where the WebSocket is.
const PATH: &str = "/v1/socket";
/// What a broken connection was used for, as errors say it.
const DOING: &str = "exchange messages";

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The half that sends.
pub(crate) struct Writer(SplitSink<Stream, WsMessage>);

/// The half that receives.
pub(crate) struct Reader(SplitStream<Stream>);

/// What came.
pub(crate) enum Received {
    /// A frame.
    Frame(Down),
    /// A sign of life.
    Alive,
    /// The end.
    Closed,
}

/// Opens the WebSocket; a session that the relay no longer knows is replaced once.
pub(crate) async fn connect(relay: &Relay, owner: &Owner) -> Result<(Writer, Reader), ClientError> {
    let token = relay.token(owner).await?;
    match open(relay, &token).await {
        Err(ClientError::Refused { reason: Refusal::Unauthenticated, .. }) => {
            relay.forget_token(&token).await;
            let token = relay.token(owner).await?;
            open(relay, &token).await
        }
        other => other,
    }
    .map(|stream| {
        let (sink, stream) = stream.split();
        (Writer(sink), Reader(stream))
    })
}

async fn open(relay: &Relay, token: &str) -> Result<Stream, ClientError> {
    let url = relay.url();
    let mut request =
        url.websocket(PATH).into_client_request().map_err(|error| relay.wrong(DOING, &error.to_string()))?;
    let bearer = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| relay.wrong(DOING, "its session token cannot stand in a header"))?;
    request.headers_mut().insert(AUTHORIZATION, bearer);
    let connected = match url.loopback_address() {
        Some(address) => TcpStream::connect(address).await,
        None => TcpStream::connect((url.host(), url.port())).await,
    };
    let tcp = connected.map_err(|error| relay.unreachable(DOING, &error))?;
    // A small frame must not wait for a bigger one.
    tcp.set_nodelay(true).map_err(|error| relay.unreachable(DOING, &error))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_CLIENT_FRAME))
        .max_frame_size(Some(MAX_CLIENT_FRAME));
    match client_async_tls_with_config(request, tcp, Some(config), None).await {
        Ok((stream, _)) => Ok(stream),
        Err(WsError::Http(response)) => Err(match response.body().as_deref().map(serde_json::from_slice) {
            Some(Ok(ErrorBody { error, detail, .. })) => {
                ClientError::Refused { doing: DOING.to_owned(), reason: error, detail }
            }
            _ if response.status().as_u16() == 401 => ClientError::Refused {
                doing: DOING.to_owned(),
                reason: Refusal::Unauthenticated,
                detail: "the relay does not know this session".to_owned(),
            },
            _ => relay.wrong(DOING, &format!("HTTP {} instead of a WebSocket", response.status())),
        }),
        Err(error) => Err(relay.unreachable(DOING, &error)),
    }
}

impl Writer {
    /// Sends a frame.
    pub(crate) async fn send(&mut self, relay: &Relay, frame: &Up) -> Result<(), ClientError> {
        let message = WsMessage::Binary(Bytes::from(frame.to_cbor()));
        self.0.send(message).await.map_err(|error| relay.unreachable(DOING, &error))
    }

    /// Asks for a sign of life.
    pub(crate) async fn ping(&mut self, relay: &Relay) -> Result<(), ClientError> {
        let ping = WsMessage::Ping(Bytes::new());
        self.0.send(ping).await.map_err(|error| relay.unreachable(DOING, &error))
    }

    /// Says goodbye; a relay that is gone need not hear it.
    pub(crate) async fn close(mut self) {
        let _ = self.0.close().await;
    }
}

impl Reader {
    /// Waits for the next thing. May be dropped while it waits; nothing is lost by that.
    pub(crate) async fn next(&mut self, relay: &Relay) -> Result<Received, ClientError> {
        let message = match self.0.next().await {
            None => return Ok(Received::Closed),
            Some(Ok(message)) => message,
            Some(Err(WsError::ConnectionClosed | WsError::AlreadyClosed)) => return Ok(Received::Closed),
            Some(Err(error)) => return Err(relay.unreachable(DOING, &error)),
        };
        match message {
            WsMessage::Binary(bytes) => Down::from_cbor(&bytes)
                .map(Received::Frame)
                .map_err(|fault| relay.wrong(DOING, &format!("a frame: {fault}"))),
            WsMessage::Close(_) => Ok(Received::Closed),
            WsMessage::Text(_) => Err(relay.wrong(DOING, "a text where frames are binary")),
            WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_) => Ok(Received::Alive),
        }
    }
}
