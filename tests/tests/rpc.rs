//! Other programs on `posthouse rpc`: a bot in Python, and what a desktop client would do.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Network, Person, Room, Ship, tools};
use serde_json::{Value, json};
use tokio::process::Command;

/// Alice, and somebody at another relay whom a program serves.
async fn alice_and(alias: &str) -> Result<(Network, Person, Person)> {
    let network = Network::of_two().await?;
    let alice = Person::register_with_key_file(&network, "alice@a.localhost").await?;
    let other = Person::register_with_key_file(&network, alias).await?;
    Ok((network, alice, other))
}

#[tokio::test]
async fn a_bot_in_python_accepts_who_asks_and_echoes() -> Result<()> {
    let Some(python) = tools::require("python3", "apt-get install python3")? else { return Ok(()) };
    let (_network, alice, bot) = alice_and("echo@b.localhost").await?;
    // The command that the harness would run, as the bot's own.
    let posthouse = bot.command(&[]);
    let posthouse = posthouse.as_std();
    let mut command = Command::new(python);
    command.arg(Ship::workspace().join("client-cli/examples/echo_bot.py"));
    command.arg(posthouse.get_program()).args(posthouse.get_args());
    for (name, value) in posthouse.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut running = command.stdin(Stdio::null()).kill_on_drop(true).spawn().context("starting the bot")?;

    alice.send(&bot, "is anybody there?").await?;
    alice.expect_from(&bot, &["is anybody there?"]).await?;
    alice.send(&bot, "and again: ¡hola!\nin two lines").await?;
    alice.expect_from(&bot, &["is anybody there?", "and again: ¡hola!\nin two lines"]).await?;
    let garden = Room::create(&alice, "Garden", &[], &[&bot]).await?;
    garden.say(&alice, "hello, all of you").await?;
    garden.expect_all(&alice, &["hello, all of you", "hello, all of you"]).await?;
    ensure!(running.try_wait()?.is_none(), "the bot has ended");
    running.kill().await.context("stopping the bot")
}

#[tokio::test]
async fn a_program_reads_and_writes_while_other_commands_go_through_it() -> Result<()> {
    let (_network, alice, bob) = alice_and("bob@b.localhost").await?;
    let mut rpc = bob.rpc()?;
    ensure!(rpc.event("listening").await?["owner"] == true, "rpc does not own the vault");
    ensure!(rpc.call("rpc.version", json!({})).await?["protocol"] == 1);
    ensure!(rpc.call("whoami", json!({})).await?["alias"] == bob.alias());
    rpc.event("caught-up").await?;

    alice.send(&bob, "a letter").await?;
    rpc.event("request").await?;
    let requests = rpc.call("requests", json!({ "offline": true })).await?;
    ensure!(requests["requests"][0]["alias"] == alice.alias(), "{requests}");
    ensure!(rpc.call("accept", json!({ "alias": alice.alias() })).await?["state"] == "accepted");
    // What is opened by accepting is no event; what is opened later, once the alias is confirmed, is one.
    while rpc.call("inbox", json!({})).await?["messages"] == json!([]) {
        rpc.event("message").await?;
    }
    let sent = rpc.call("send", json!({ "to": alice.alias(), "texts": ["one", "two"] })).await?;
    ensure!(sent["sent"][1]["state"] == "accepted", "{sent}");
    alice.expect_from(&bob, &["one", "two"]).await?;

    // A listed message is read when the program says so.
    for _ in 0..2 {
        let inbox = rpc.call("inbox", json!({})).await?;
        ensure!(inbox["messages"].as_array().is_some_and(|messages| messages.len() == 1), "{inbox}");
        ensure!(inbox["messages"][0]["text"] == "a letter" && inbox["more"] == false, "{inbox}");
    }
    let other = bob.ok(&["inbox", "--offline"]).await?;
    ensure!(other.len() == 1 && other[0]["text"] == "a letter", "not through rpc: {other:?}");
    let history = rpc.call("history", json!({ "with": alice.alias(), "limit": 2 })).await?;
    let texts = |list: &Value| -> Vec<String> {
        let messages = list["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().filter_map(|message| message["text"].as_str().map(str::to_owned)).collect()
    };
    ensure!(texts(&history) == ["one", "two"], "{history}");
    let first = rpc.call("export", json!({ "limit": 2 })).await?;
    ensure!(texts(&first) == ["a letter", "one"] && first["more"] == true, "{first}");
    let second = rpc.call("export", json!({ "limit": 2, "after": first["messages"][1]["local"] })).await?;
    ensure!(texts(&second) == ["two"] && second["more"] == false, "{second}");

    // What was asked is answered, though nothing more can be.
    let last = rpc.ask("history", json!({ "with": alice.alias() })).await?;
    let (said, code) = rpc.close().await?;
    ensure!(said.iter().any(|line| line["id"] == last && texts(&line["result"]).len() == 3), "{said:?}");
    ensure!(code == Some(0), "rpc ended with {code:?}");
    Ok(())
}

#[tokio::test]
async fn a_program_beside_a_listen_goes_on_when_that_one_ends() -> Result<()> {
    let (_network, alice, bob) = alice_and("bob@b.localhost").await?;
    alice.befriend(&bob).await?;
    let mut listener = bob.listen().await?;
    listener.next_of("listening").await?;
    let mut rpc = bob.rpc()?;
    ensure!(rpc.event("listening").await?["owner"] == false, "two own the vault");
    rpc.event("caught-up").await?;
    alice.send(&bob, "to both").await?;
    ensure!(rpc.event("message").await?["text"] == "to both");
    ensure!(listener.next_of("message").await?["text"] == "to both");
    let inbox = rpc.call("inbox", json!({ "offline": true })).await?;
    let locals: Vec<&Value> = inbox["messages"]
        .as_array()
        .context("no messages")?
        .iter()
        .map(|message| &message["local"])
        .collect();
    rpc.call("mark_read", json!({ "locals": locals })).await?;
    ensure!(bob.ok(&["inbox", "--offline"]).await?.is_empty(), "the messages are unread still");

    listener.terminate().await?;
    ensure!(rpc.event("listening").await?["owner"] == true, "nobody owns the vault");
    rpc.event("caught-up").await?;
    ensure!(rpc.call("whoami", json!({})).await?["alias"] == bob.alias());
    alice.send(&bob, "to one").await?;
    ensure!(rpc.event("message").await?["text"] == "to one");
    let (_, code) = rpc.terminate().await?;
    ensure!(code == Some(0), "rpc ended with {code:?}");
    Ok(())
}

#[tokio::test]
async fn a_vault_that_does_not_open_is_said_in_the_last_line() -> Result<()> {
    let network = Network::of_two().await?;
    let bob = Person::register(&network, "bob@b.localhost").await?;
    bob.set_passphrase("another one");
    let (said, code) = bob.rpc()?.close().await?;
    ensure!(said.len() == 1 && said[0]["params"]["type"] == "stopped", "{said:?}");
    ensure!(said[0]["params"]["code"] == "wrong-passphrase" && code == Some(5), "{said:?} {code:?}");
    Ok(())
}
