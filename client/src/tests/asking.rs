//! Asking the relay: sessions, refusals, and answers that make no sense. The relay is a socket that says what it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use posthouse_spec::client::Refusal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::world::World;
use crate::connection::{Relay, RelayUrl};
use crate::event::Until;
use crate::{Category, Client, ClientError, clock, trust};

/// Largest request that the relay of these tests reads, bytes.
const MAX_REQUEST: usize = 64 * 1024;

/// A relay that gives prepared answers, one for each connection, and keeps what it was asked.
struct Script {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Script {
    async fn of(answers: Vec<(u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        let task = tokio::spawn(async move {
            let mut answers = VecDeque::from(answers);
            while let (Some((status, body)), Ok((stream, _))) = (answers.pop_front(), listener.accept().await)
            {
                let request = answer(stream, status, &body).await;
                kept.lock().expect("one thread").push(request);
            }
        });
        Self { url, asked, task }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("one thread").clone()
    }

    fn relay(&self) -> Relay {
        Relay::new(RelayUrl::parse(&self.url).expect("a URL")).expect("a relay")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one request, answers it, and returns its first line with its authorization.
async fn answer(mut stream: TcpStream, status: u16, body: &str) -> String {
    let mut request = Vec::new();
    let complete = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_lowercase();
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        rest.len() >= length.unwrap_or(0)
    };
    while !complete(&request) && request.len() < MAX_REQUEST {
        if stream.read_buf(&mut request).await.expect("readable") == 0 {
            break;
        }
    }
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).await.expect("writable");
    let text = String::from_utf8_lossy(&request).into_owned();
    let authorization = text.lines().find(|line| line.to_lowercase().starts_with("authorization"));
    format!("{} {}", text.lines().next().unwrap_or_default(), authorization.unwrap_or_default())
}

fn challenge(now: u64) -> (u16, String) {
    let challenge = "A".repeat(43);
    (200, format!(r#"{{"challenge":"{challenge}","domain":"h.localhost","now":{now}}}"#))
}

fn session(token: &str) -> (u16, String) {
    (200, format!(r#"{{"token":"{token}","expires":1}}"#))
}

fn refusal(status: u16, reason: Refusal) -> (u16, String) {
    (status, format!(r#"{{"error":"{reason}","detail":"so says the test"}}"#))
}

const COUNTS: &str = r#"{"classic":1,"post_quantum":2}"#;

async fn counts(relay: &Relay, client: &Client) -> Result<serde_json::Value, ClientError> {
    let owner = &client.context().owner;
    relay.ask(owner, "count", reqwest::Method::GET, "/v1/key-packages", None::<&()>).await
}

#[tokio::test]
async fn a_session_that_is_over_is_replaced_once() {
    let alice = World::new().person("alice").await;
    let now = clock::now().0;
    let script = Script::of(vec![
        challenge(now),
        session("first"),
        refusal(401, Refusal::Unauthenticated),
        challenge(now),
        session("second"),
        (200, COUNTS.to_owned()),
        refusal(401, Refusal::Unauthenticated),
        challenge(now),
        session("third"),
        refusal(401, Refusal::Unauthenticated),
    ])
    .await;
    let relay = script.relay();
    counts(&relay, &alice.client).await.expect("counted");
    let asked = script.asked();
    assert!(asked[2].ends_with("Bearer first") && asked[5].ends_with("Bearer second"), "{asked:?}");
    let error = counts(&relay, &alice.client).await.expect_err("refused twice");
    assert_eq!((error.code(), error.category()), ("unauthenticated", Category::Auth));
    assert_eq!(script.asked().len(), 10);
}

#[tokio::test]
async fn a_refusal_is_said_in_the_relays_words() {
    let alice = World::new().person("alice").await;
    let script = Script::of(vec![
        challenge(clock::now().0),
        session("t"),
        refusal(429, Refusal::RateLimited),
        (502, "<html>bad gateway</html>".to_owned()),
        (200, "{".to_owned()),
    ])
    .await;
    let relay = script.relay();
    let error = counts(&relay, &alice.client).await.expect_err("refused");
    assert_eq!((error.code(), error.is_temporary()), ("rate-limited", true));
    assert!(error.to_string().contains("so says the test"), "{error}");
    for _ in 0..2 {
        let error = counts(&relay, &alice.client).await.expect_err("nonsense");
        assert_eq!((error.code(), error.category()), ("wrong-answer", Category::Network), "{error}");
        assert!(error.to_string().contains(&script.url), "{error}");
    }
}

#[tokio::test]
async fn a_relay_of_another_domain_gets_no_login() {
    let alice = World::new().person("alice").await;
    let body = format!(r#"{{"challenge":"{}","domain":"evil.localhost","now":1}}"#, "A".repeat(43));
    let script = Script::of(vec![(200, body)]).await;
    let error = counts(&script.relay(), &alice.client).await.expect_err("another relay");
    assert!(matches!(error, ClientError::OtherRelay { .. }), "{error}");
    assert_eq!(script.asked().len(), 1, "nothing was signed for it");
}

#[tokio::test]
async fn a_clock_that_is_off_by_a_day_is_noticed_and_mended() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let alice = World::new().person("alice").await;
    let now = clock::now().0;
    let script = Script::of(vec![challenge(now - DAY_MS), session("t"), (200, COUNTS.to_owned())]).await;
    let relay = script.relay();
    counts(&relay, &alice.client).await.expect("counted all the same");
    let ahead = relay.clock_trouble().await.expect("noticed");
    assert!((ahead.unsigned_abs()).abs_diff(DAY_MS) < 60_000 && ahead > 0, "{ahead}");
    assert!(relay.time().await.0.abs_diff(now - DAY_MS) < 60_000);
}

#[tokio::test]
async fn a_relay_that_does_not_run_is_named() {
    let alice = World::new().person("alice").await;
    let bob = "bob@b.localhost".parse().expect("an alias");
    alice.client.send(&bob, "later").await.expect("queued");
    let (events, _kept) = mpsc::channel(16);
    let until = Until::Idle { timeout: Duration::from_secs(30) };
    let error = alice.client.sync(until, events).await.expect_err("nobody listens at port 1");
    assert_eq!((error.code(), error.category()), ("relay-not-running", Category::Network));
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
    let of = crate::Conversation::With(bob);
    let history = alice.client.history(&of, crate::Page::default()).await.expect("a history");
    assert_eq!(history[0].state, crate::MessageState::Queued, "nothing is lost by that");
}

#[tokio::test]
async fn an_alias_that_changes_hands_is_a_new_person() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let other_bob = world.person("bob").await;
    alice.knows(&bob).await;
    let owner = &other_bob.context().owner;
    let known = posthouse_crypto::KnownAccount {
        alias: owner.alias.clone(),
        account: owner.account.clone(),
        bound: posthouse_spec::Millis(2),
    };
    let mut tx = alice.context().vault.begin().await.expect("a transaction");
    let error = trust::recognise(tx.db().expect("db"), &known).await.expect_err("not who it was");
    tx.commit().await.expect("durable");
    assert!(matches!(error, ClientError::AccountChanged(_)));
    let number = alice.client.verify(bob.alias()).await.expect("a number");
    assert!(number.changed && number.account == owner.account.id());
    let taken = alice.client.accept(bob.alias()).await.expect("taken for him");
    assert_eq!(taken.account, owner.account.id());
    assert!(!alice.client.verify(bob.alias()).await.expect("a number").changed);
}
