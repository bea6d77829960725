//! The WebSocket: greetings, windows, and what ends it.

use futures::{SinkExt as _, StreamExt as _};
use posthouse_spec::cbor::Octets;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::socket::{DeviceAck, Down, Goodbye, Hello, Ready, SOCKET_VERSION, Submit, Up};
use posthouse_spec::limits::{MAX_BODY, SESSION_LIFETIME_MS, SUBMIT_WINDOW};
use posthouse_spec::{Cbor as _, Epoch, Incarnation, MailboxSeq, Number, RoomId};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::house::{House, Person};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(house: &House, person: &Person) -> Self {
        Self::try_open(house, &person.token).await.unwrap()
    }

    async fn try_open(house: &House, token: &str) -> Result<Self, Error> {
        let url = format!("{}/v1/socket", house.url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        connect_async(request).await.map(|(socket, _)| Self(socket))
    }

    async fn send(&mut self, frame: Up) {
        self.0.send(Message::binary(frame.to_cbor())).await.unwrap();
    }

    async fn next(&mut self) -> Option<Down> {
        loop {
            match self.0.next().await? {
                Ok(Message::Binary(bytes)) => return Some(Down::from_cbor(&bytes).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn greet(&mut self) -> Ready {
        self.send(hello(1)).await;
        match self.next().await {
            Some(Down::Ready(ready)) => ready,
            other => panic!("expected Ready, got {other:?}"),
        }
    }

    /// The goodbye, behind which nothing comes.
    async fn goodbye(&mut self) -> Goodbye {
        let Some(Down::Goodbye(goodbye)) = self.next().await else { panic!("expected Goodbye") };
        assert_eq!(self.next().await, None);
        goodbye
    }

    async fn malformed(&mut self, rule: &str) {
        let goodbye = self.goodbye().await;
        assert_eq!(goodbye.reason, Refusal::Malformed);
        assert!(goodbye.detail.as_str().starts_with(rule), "{}", goodbye.detail);
    }
}

fn hello(incarnation: u8) -> Up {
    Up::Hello(Hello {
        version: SOCKET_VERSION,
        incarnation: Incarnation::new([incarnation; 16]),
        acked: MailboxSeq(0),
        last_number: Number(0),
    })
}

fn submit(number: u64) -> Up {
    Up::Submit(Submit {
        room: RoomId::new([1; 32]),
        epoch: Epoch(0),
        number: Number(number),
        body: Octets::new(vec![0; 16]).unwrap(),
    })
}

#[tokio::test]
async fn a_device_is_greeted_and_seen_online() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let mut socket = Socket::open(&house, &alice).await;
    let ready = socket.greet().await;
    assert_eq!(ready.domain, house.domain());
    assert_eq!((ready.accepted, ready.acked, ready.head), (Number(0), MailboxSeq(0), MailboxSeq(0)));
    assert_eq!(ready.submit_window, SUBMIT_WINDOW);
    let devices = house.get("/v1/devices", Some(&alice.token)).await.ok();
    assert_eq!(devices["devices"][0]["online"], true);
    house.close().await;
}

#[tokio::test]
async fn without_a_session_there_is_no_socket() {
    let house = House::open().await;
    let Err(Error::Http(answer)) = Socket::try_open(&house, "wrong").await else { panic!("it opened") };
    assert_eq!(answer.status(), 401);
    house.close().await;
}

#[tokio::test]
async fn what_is_not_a_frame_ends_the_connection_by_its_rule() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let cases: [(&str, Message); 5] = [
        ("wrong-type", Message::binary(vec![0x00])),
        ("truncated", Message::binary(vec![0x82, 0x02])),
        ("unknown-variant", Message::binary(vec![0x82, 0x09, 0x00])),
        ("wrong-type", Message::text("hello")),
        ("too-long", Message::binary(vec![0; MAX_BODY * 2])),
    ];
    for (rule, message) in cases {
        let mut socket = Socket::open(&house, &alice).await;
        socket.greet().await;
        socket.0.send(message).await.unwrap();
        socket.malformed(rule).await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_message_beyond_all_limits_is_not_read_into_memory() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let mut socket = Socket::open(&house, &alice).await;
    socket.greet().await;
    // The relay may close while the client still writes.
    let sent = socket.0.send(Message::binary(vec![0; 4 * 1024 * 1024])).await;
    drop(sent);
    while let Some(frame) = socket.next().await {
        assert!(
            matches!(&frame, Down::Goodbye(goodbye) if goodbye.reason == Refusal::Malformed),
            "{frame:?}"
        );
    }
    house.close().await;
}

#[tokio::test]
async fn hello_comes_first_and_once_and_in_a_version_that_both_speak() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let mut socket = Socket::open(&house, &alice).await;
    socket.send(submit(1)).await;
    socket.malformed("out-of-turn").await;

    let mut socket = Socket::open(&house, &alice).await;
    socket.greet().await;
    socket.send(hello(1)).await;
    socket.malformed("out-of-turn").await;

    let mut socket = Socket::open(&house, &alice).await;
    let Up::Hello(old) = hello(1) else { unreachable!() };
    socket.send(Up::Hello(Hello { version: 77, ..old })).await;
    assert_eq!(socket.goodbye().await.reason, Refusal::Version);
    house.close().await;
}

#[tokio::test]
async fn a_newer_connection_takes_over() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let mut older = Socket::open(&house, &alice).await;
    older.greet().await;
    let mut newer = Socket::open(&house, &alice).await;
    newer.greet().await;
    assert_eq!(older.goodbye().await.reason, Refusal::Superseded);
    newer.send(submit(1)).await;
    assert!(matches!(newer.next().await, Some(Down::Refused(_))));
    house.close().await;
}

#[tokio::test]
async fn another_vault_of_the_device_is_told_that_it_is_a_copy() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let mut first = Socket::open(&house, &alice).await;
    first.greet().await;
    let mut copy = Socket::open(&house, &alice).await;
    copy.send(hello(2)).await;
    assert_eq!(copy.goodbye().await.reason, Refusal::RolledBack);
    house.close().await;
}

#[tokio::test]
async fn a_refused_submit_is_answered_and_its_number_is_free_again() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let mut socket = Socket::open(&house, &alice).await;
    socket.greet().await;
    for _ in 0..2 {
        socket.send(submit(1)).await;
        let Some(Down::Refused(refused)) = socket.next().await else { panic!("expected Refused") };
        assert_eq!(refused.number, Number(1));
        assert_eq!(refused.reason, Refusal::UnknownRoom, "{}", refused.detail);
    }
    // More than the window at once: the relay reads on as it answers, and keeps the order.
    let numbers = 1..=SUBMIT_WINDOW * 2;
    for number in numbers.clone() {
        socket.0.feed(Message::binary(submit(number).to_cbor())).await.unwrap();
    }
    socket.0.flush().await.unwrap();
    for number in numbers {
        let Some(Down::Refused(refused)) = socket.next().await else { panic!("expected Refused") };
        assert_eq!(refused.number, Number(number));
    }
    house.close().await;
}

#[tokio::test]
async fn what_was_not_pushed_cannot_be_acknowledged() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let mut socket = Socket::open(&house, &alice).await;
    socket.greet().await;
    socket.send(Up::Ack(DeviceAck { through: MailboxSeq(5) })).await;
    socket.malformed("bad-value").await;
    house.close().await;
}

#[tokio::test]
async fn a_relay_that_ends_says_goodbye() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let mut socket = Socket::open(&house, &alice).await;
    socket.greet().await;
    house.close().await;
    assert_eq!(socket.goodbye().await.reason, Refusal::ShuttingDown);
}

#[tokio::test]
async fn a_relay_takes_only_so_many_connections() {
    let house = House::with(|config| config.http.max_connections = 1).await;
    let alice = house.person("alice").await;
    let _socket = Socket::open(&house, &alice).await;
    let Err(Error::Http(answer)) = Socket::try_open(&house, &alice.token).await else { panic!("it opened") };
    assert_eq!(answer.status(), 503);
    house.close().await;
}

#[tokio::test]
async fn an_expired_session_opens_no_socket() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    house.turn_clock(SESSION_LIFETIME_MS);
    let Err(Error::Http(answer)) = Socket::try_open(&house, &alice.token).await else { panic!("it opened") };
    assert_eq!(answer.status(), 401);
    house.close().await;
}
