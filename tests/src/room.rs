//! A room of many, as its people see it.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::person::Person;

/// A room.
#[derive(Debug, Clone)]
pub struct Room {
    id: String,
    name: String,
}

impl Room {
    /// A room that is there.
    #[must_use]
    pub fn of(id: &str, name: &str) -> Self {
        Self { id: id.to_owned(), name: name.to_owned() }
    }

    /// Has somebody make a room; all who are invited must come into it.
    ///
    /// # Errors
    /// The command fails, or somebody does not come into it.
    pub async fn create(owner: &Person, name: &str, flags: &[&str], others: &[&Person]) -> Result<Self> {
        let mut args = vec!["room", "create", name];
        args.extend(flags);
        args.extend(others.iter().map(|other| other.alias()));
        let lines = owner.ok(&args).await?;
        let created = lines.iter().find(|line| line["type"] == "room-created").context("no room was made")?;
        let changes = created["changes"].as_array().context("no changes are told")?;
        let done = changes.iter().filter(|change| change["state"] == "done").count();
        ensure!(done == others.len(), "not all came into {name}: {created}");
        Ok(Self::of(created["room"].as_str().context("the room has no id")?, name))
    }

    /// The room's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name under which it was made.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has somebody write; the relay must accept it.
    ///
    /// # Errors
    /// It does not.
    pub async fn say(&self, person: &Person, text: &str) -> Result<()> {
        let lines = person.ok(&["send", &self.id, text]).await?;
        let accepted = lines.iter().any(|line| line["type"] == "sent" && line["state"] == "accepted");
        ensure!(accepted, "{} could not write to {}: {lines:?}", person.alias(), self.name);
        Ok(())
    }

    /// All of it, as somebody's vault has it.
    ///
    /// # Errors
    /// It is not there.
    pub async fn show(&self, person: &Person) -> Result<Value> {
        self.show_as(person, &self.id).await
    }

    /// All of it, by the name that somebody uses.
    ///
    /// # Errors
    /// It is not there.
    pub async fn show_as(&self, person: &Person, named: &str) -> Result<Value> {
        let lines = person.ok(&["room", "show", named, "--offline"]).await?;
        lines.into_iter().find(|line| line["type"] == "room-details").context("nothing is shown")
    }

    /// All texts in it, as somebody's vault has them, oldest first.
    ///
    /// # Errors
    /// The command fails.
    pub async fn texts(&self, person: &Person) -> Result<Vec<String>> {
        let texts = self.lines(person).await?.into_iter().filter(|line| line["kind"] == "text");
        Ok(texts.filter_map(|line| line["text"].as_str().map(str::to_owned)).collect())
    }

    async fn lines(&self, person: &Person) -> Result<Vec<Value>> {
        let outcome = person.run(&["history", &self.id, "--offline"]).await?;
        Ok(outcome.of_type("message").into_iter().cloned().collect())
    }

    /// Waits until the last texts in somebody's history are these, in this order.
    ///
    /// # Errors
    /// They do not come.
    pub async fn expect(&self, person: &Person, texts: &[&str]) -> Result<()> {
        let there = async || -> Result<bool> { Ok(self.texts(person).await?.ends_with(&owned(texts))) };
        match person.live_until(&format!("{texts:?} in {}", self.name), there).await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(format!("the room has {:?}", self.texts(person).await?))),
        }
    }

    /// Waits until the texts of each author in somebody's history are these, in their order. Of different authors whichever comes
    /// first stands first.
    ///
    /// # Errors
    /// They do not come.
    pub async fn expect_of_each(&self, person: &Person, authors: &[(&Person, &[&str])]) -> Result<()> {
        let there = async || -> Result<bool> {
            let lines = self.lines(person).await?;
            Ok(authors.iter().all(|(author, texts)| {
                let of =
                    lines.iter().filter(|line| line["kind"] == "text" && line["sender"] == author.alias());
                of.filter_map(|line| line["text"].as_str()).eq(texts.iter().copied())
            }))
        };
        match person.live_until(&format!("what each wrote in {}", self.name), there).await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(format!("the room has {:?}", self.texts(person).await?))),
        }
    }

    /// Waits until all texts in somebody's history are these, in this order.
    ///
    /// # Errors
    /// They do not come, or there are others.
    pub async fn expect_all(&self, person: &Person, texts: &[&str]) -> Result<()> {
        self.expect(person, texts).await?;
        let all = self.texts(person).await?;
        ensure!(all == owned(texts), "{} reads more than {texts:?}: {all:?}", person.alias());
        Ok(())
    }

    /// Waits until something of this kind has happened in somebody's history.
    ///
    /// # Errors
    /// It does not.
    pub async fn expect_news(&self, person: &Person, news: &str) -> Result<()> {
        let told = async || -> Result<bool> {
            Ok(self.lines(person).await?.iter().any(|line| line["news"]["news"] == news))
        };
        person.live_until(&format!("a line that says `{news}` in {}", self.name), told).await
    }

    /// Waits until the room is as `is` wants it, in somebody's vault.
    ///
    /// # Errors
    /// It does not become so.
    pub async fn until(&self, person: &Person, what: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
        let so = async || -> Result<bool> {
            let outcome = person.run(&["room", "show", &self.id, "--offline"]).await?;
            Ok(outcome.of_type("room-details").first().is_some_and(|shown| is(shown)))
        };
        person.live_until(&format!("{what} in {}", self.name), so).await
    }

    /// Waits until a room has a member, in somebody's vault.
    ///
    /// # Errors
    /// They do not come into it.
    pub async fn await_member(&self, person: &Person, alias: &str) -> Result<()> {
        let what = format!("{alias} to be in it");
        self.until(person, &what, |shown| member(shown, alias).is_some() && shown["state"] == "active").await
    }

    /// Waits until a room has a member, whatever they are called in somebody's vault.
    ///
    /// # Errors
    /// They do not come into it.
    pub async fn await_account(&self, person: &Person, member: &Person) -> Result<()> {
        let who = member.ok(&["whoami"]).await?;
        let account = who.first().context("nobody owns the vault")?["account"].clone();
        let there = |shown: &Value| {
            let people = shown["people"].as_array();
            people.is_some_and(|people| people.iter().any(|listed| listed["account"] == account))
        };
        self.until(person, &format!("{} to be in it", member.alias()), there).await
    }

    /// Waits until a room has lost a member, in somebody's vault.
    ///
    /// # Errors
    /// They stay.
    pub async fn await_gone(&self, person: &Person, alias: &str) -> Result<()> {
        self.until(person, &format!("{alias} to be gone"), |shown| member(shown, alias).is_none()).await
    }

    /// Waits until somebody has a role, in somebody's vault.
    ///
    /// # Errors
    /// They do not get it.
    pub async fn await_role(&self, person: &Person, alias: &str, role: &str) -> Result<()> {
        let what = format!("{alias} to be {role}");
        self.until(person, &what, |shown| member(shown, alias).is_some_and(|listed| listed["role"] == role))
            .await
    }

    /// Waits until a room is in a state, in somebody's vault.
    ///
    /// # Errors
    /// It does not get there.
    pub async fn await_state(&self, person: &Person, state: &str) -> Result<()> {
        self.until(person, &format!("the state {state}"), |shown| shown["state"] == state).await
    }
}

fn member<'a>(shown: &'a Value, alias: &str) -> Option<&'a Value> {
    shown["people"].as_array()?.iter().find(|listed| listed["alias"] == alias)
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
