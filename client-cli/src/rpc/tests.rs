//! Whoever asks, before an `rpc` whose vault a `listen` owns that does what the test says.

use std::time::Duration;

use posthouse_client::Profile;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::out::Out;
use super::server::{MAX_IN_FLIGHT, Server};
use super::way::Way;
use crate::failure::{Exit, Failure};
use crate::request::{Order, Request};
use crate::socket::{self, Bound, Reply};

/// A `listen` that answers `whoami` at once, `rooms` never, and refuses the rest.
async fn listen(bound: Bound, held: mpsc::Sender<()>) {
    while let Ok((stream, _)) = bound.listener.accept().await {
        let held = held.clone();
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let order: Order = socket::read(&mut stream).await.unwrap().unwrap();
            match order.request {
                Request::Whoami => socket::write(&mut stream, &Reply::Done).await.unwrap(),
                Request::Rooms => {
                    held.send(()).await.unwrap();
                    std::future::pending::<()>().await;
                }
                _ => {
                    let failure = Failure::new(Exit::NotFound, "unknown-person", "nobody is called so");
                    socket::write(&mut stream, &Reply::Failed(failure)).await.unwrap();
                }
            }
        });
    }
}

struct World {
    input: DuplexStream,
    said: mpsc::Receiver<String>,
    /// An order that is never answered has come.
    held: mpsc::Receiver<()>,
    asked: CancellationToken,
    served: tokio::task::JoinHandle<Result<(), Failure>>,
    _ways: watch::Sender<Option<Way>>,
    _home: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile::locate(Some(home.path()), "default").unwrap();
        std::fs::create_dir_all(profile.dir()).unwrap();
        let (hold, held) = mpsc::channel(MAX_IN_FLIGHT);
        tokio::spawn(listen(Bound::bind(&profile).unwrap(), hold));
        let (ways, way) = watch::channel(Some(Way::Through(profile)));
        let (out, said) = Out::channel();
        let (input, from) = tokio::io::duplex(1024);
        let asked = CancellationToken::new();
        let server = Server::new(way, out, CancellationToken::new(), Duration::from_secs(1));
        let served = tokio::spawn({
            let asked = asked.clone();
            async move { server.serve(BufReader::new(from), &asked, Duration::ZERO).await }
        });
        Self { input, said, held, asked, served, _ways: ways, _home: home }
    }

    async fn ask(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn call(&mut self, id: u32, method: &str, params: Value) {
        self.ask(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string())
            .await;
    }

    async fn answer(&mut self) -> Value {
        serde_json::from_str(&self.said.recv().await.unwrap()).unwrap()
    }

    /// Closes the input, and returns what was still answered.
    async fn finish(mut self) -> Vec<Value> {
        drop(self.input);
        self.served.await.unwrap().unwrap();
        let mut answers = Vec::new();
        while let Some(line) = self.said.recv().await {
            answers.push(serde_json::from_str(&line).unwrap());
        }
        answers
    }
}

#[tokio::test]
async fn a_slow_request_holds_up_no_other() {
    let mut world = World::new();
    world.call(1, "rooms", json!({})).await;
    world.held.recv().await.unwrap();
    world.call(2, "whoami", json!({})).await;
    assert_eq!(world.answer().await, json!({ "jsonrpc": "2.0", "id": 2, "result": { "warnings": [] } }));
}

#[tokio::test]
async fn only_so_many_requests_are_worked_on_at_once() {
    let mut world = World::new();
    for id in 0..MAX_IN_FLIGHT {
        world.call(u32::try_from(id).unwrap(), "rooms", json!({})).await;
        world.held.recv().await.unwrap();
    }
    world.call(99, "rooms", json!({})).await;
    tokio::task::yield_now().await;
    assert!(world.held.try_recv().is_err() && world.said.try_recv().is_err());
}

#[tokio::test]
async fn a_failure_has_its_category_and_its_stable_name() {
    let mut world = World::new();
    world.call(1, "verify", json!({ "alias": "nobody@b.example" })).await;
    let error = json!({ "code": -32006, "message": "nobody is called so",
        "data": { "category": "not-found", "code": "unknown-person" } });
    assert_eq!(world.answer().await, json!({ "jsonrpc": "2.0", "id": 1, "error": error }));
}

#[tokio::test]
async fn a_batch_is_answered_in_one_line_without_its_notifications() {
    let mut world = World::new();
    world.ask(r#"[{"jsonrpc":"2.0","id":"a","method":"whoami"},{"jsonrpc":"2.0","method":"whoami"},7,{"jsonrpc":"2.0","id":null,"method":"nonsense"}]"#).await;
    let answers = world.answer().await;
    let seen: Vec<_> =
        answers.as_array().unwrap().iter().map(|one| (&one["id"], &one["error"]["code"])).collect();
    assert_eq!(
        seen,
        [(&json!("a"), &Value::Null), (&Value::Null, &json!(-32600)), (&Value::Null, &json!(-32601))]
    );
    world.ask(r#"[{"jsonrpc":"2.0","method":"whoami"}]"#).await;
    world.ask(r#"{"jsonrpc":"2.0","method":"nonsense"}"#).await;
    assert!(world.finish().await.is_empty());
}

#[tokio::test]
async fn a_line_that_is_too_long_is_refused_by_name() {
    let mut world = World::new();
    let long = "a".repeat(2 * super::read::MAX_LINE);
    world.ask(&long).await;
    world.ask("nonsense").await;
    assert_eq!(world.answer().await["error"]["data"]["code"], "line-too-long");
    assert_eq!(world.answer().await["error"]["data"]["code"], "parse-error");
}

#[tokio::test]
async fn the_version_and_the_methods_are_told() {
    let mut world = World::new();
    world.call(1, "rpc.version", json!({})).await;
    assert_eq!(world.answer().await["result"]["protocol"], 1);
    world.call(2, "rpc.methods", json!({})).await;
    let listed = world.answer().await;
    let methods = listed["result"]["methods"].as_array().unwrap();
    let history = methods.iter().find(|method| method["name"] == "history").unwrap();
    assert_eq!(history["params"][0]["name"], "with");
    assert_eq!(history["result"], json!({ "kind": "list", "field": "messages", "type": "message" }));
}

#[tokio::test]
async fn whoever_asks_it_to_stop_gets_an_answer_to_what_still_runs() {
    let mut world = World::new();
    world.call(1, "rooms", json!({})).await;
    world.held.recv().await.unwrap();
    world.asked.cancel();
    let answer = world.answer().await;
    assert_eq!((&answer["id"], &answer["error"]["data"]["code"]), (&json!(1), &json!("interrupted")));
    world.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_runs_at_the_end_of_the_input_is_finished() {
    let mut world = World::new();
    for id in 0..9 {
        world.call(id, "whoami", json!({})).await;
    }
    assert_eq!(world.finish().await.len(), 9);
}
