//! A thousand messages while the other relay is down.

use std::time::Instant;

use anyhow::{Result, ensure};
use posthouse_tests::{Network, Person};

/// Messages sent during the outage.
const MESSAGES: usize = 1000;

#[tokio::test]
async fn a_thousand_messages_arrive_once_and_in_order_after_an_outage() -> Result<()> {
    let network = Network::of_two().await?;
    let alice = Person::register_with_key_file(&network, "alice@a.localhost").await?;
    let bob = Person::register_with_key_file(&network, "bob@b.localhost").await?;
    alice.befriend(&bob).await?;
    let relay = network.relay("b.localhost");
    relay.terminate().await?;

    let texts: Vec<String> = (1..=MESSAGES).map(|n| format!("message {n} of the outage")).collect();
    let began = Instant::now();
    let sent = alice.run_with_input(&["send", bob.alias(), "-", "--lines"], &texts.join("\n")).await?;
    ensure!(sent.code == Some(0), "{:?} {}", sent.code, sent.stderr);
    let accepted = sent.of_type("sent").iter().filter(|line| line["state"] == "accepted").count();
    ensure!(accepted == MESSAGES, "{accepted} of {MESSAGES} were accepted: {}", sent.stderr);
    println!("{MESSAGES} messages accepted in {:?}", began.elapsed());

    relay.start().await?;
    let back = Instant::now();
    let mut listener = bob.listen().await?;
    let mut arrived = Vec::new();
    while arrived.len() < MESSAGES {
        let message = listener.next_of("message").await?;
        arrived.extend(message["text"].as_str().map(str::to_owned));
    }
    // How fast that has to be is for the load runs to say, which use programs that are optimised.
    println!("{MESSAGES} messages arrived {:?} after the relay's return", back.elapsed());
    ensure!(arrived == texts, "they did not arrive in order");
    listener.terminate().await?;
    let mut history = bob.history(&alice, "in").await?;
    history.retain(|text| text.ends_with("of the outage"));
    ensure!(history == texts, "the history holds {} of them, or in another order", history.len());
    Ok(())
}
