//! Who is there, and what they say when something is done or refused.

use anyhow::{Result, ensure};
use posthouse_tests::{Network, Outcome, Person, Room};
use serde_json::Value;

/// Five people at three relays. All of them know Alice.
pub(crate) struct Day {
    pub(crate) network: Network,
    pub(crate) alice: Person,
    pub(crate) anna: Person,
    pub(crate) bob: Person,
    pub(crate) carol: Person,
    pub(crate) dave: Person,
}

impl Day {
    pub(crate) async fn begin() -> Result<Self> {
        let mut network = Network::new()?;
        for domain in ["a.localhost", "b.localhost", "c.localhost"] {
            network.start(domain).await?;
        }
        let register = async |alias| Person::register_with_key_file(&network, alias).await;
        let (alice, anna) = (register("alice@a.localhost").await?, register("anna@a.localhost").await?);
        let (bob, carol) = (register("bob@b.localhost").await?, register("carol@c.localhost").await?);
        let dave = register("dave@b.localhost").await?;
        let day = Self { network, alice, anna, bob, carol, dave };
        for other in [&day.anna, &day.bob, &day.carol, &day.dave] {
            day.alice.befriend(other).await?;
        }
        Ok(day)
    }

    /// Alice makes a group of these.
    pub(crate) async fn group(&self, name: &str, others: &[&Person]) -> Result<Room> {
        let room = Room::create(&self.alice, name, &[], others).await?;
        for other in others {
            room.await_member(other, other.alias()).await?;
        }
        Ok(room)
    }
}

/// A change that must be done.
pub(crate) async fn change(person: &Person, args: &[&str]) -> Result<()> {
    let lines = person.ok(&[&["room"], args].concat()).await?;
    let changes: Vec<&Value> = lines.iter().filter(|line| line["type"] == "change").collect();
    ensure!(!changes.is_empty(), "`room {}` told of no change: {lines:?}", args.join(" "));
    ensure!(changes.iter().all(|change| change["state"] == "done"), "`room {}`: {changes:?}", args.join(" "));
    Ok(())
}

/// A command that must fail with this exit code, and this code.
pub(crate) async fn refused(person: &Person, args: &[&str], exit: i32, code: &str) -> Result<Outcome> {
    let outcome = person.run(args).await?;
    ensure!(outcome.code == Some(exit), "`{}` ended otherwise: {outcome:?}", args.join(" "));
    ensure!(outcome.error_code() == Some(code), "`{}` failed otherwise: {outcome:?}", args.join(" "));
    Ok(outcome)
}
