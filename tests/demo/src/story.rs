//! The story itself. Every step says what happens, does it with the real programs, and checks what came of it.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use posthouse_tests::{Network, Person, Search};

use crate::group;
use crate::teller::Teller;

/// What Alice and Bob write: nothing of it may be found at a relay.
const FIRST: &str = "Dear Bob, this is the first letter that our posthouse carries.";
const ANSWER: &str = "Dear Alice, it came through with its seal unbroken.";
const LIVE: &str = "Then let us write every day, whatever the weather on the road.";
const RELAY_DOWN: &str = "Your relay is asleep, so this one waits at mine until it wakes.";
const OWN_RELAY_DOWN: &str = "My own relay sleeps as well; I keep this one in my vault.";
/// How many messages are on the way while both relays are killed.
const STORM: usize = 400;

/// The people, once everything has come out as told.
pub(crate) struct Story {
    pub(crate) alice: Person,
    pub(crate) bob: Person,
}

impl Story {
    /// Plays all of it.
    pub(crate) async fn play(network: &mut Network, teller: &mut Teller) -> Result<Self> {
        let story = Self::arrive(network, teller).await?;
        story.first_letter(teller).await?;
        story.compare_numbers(teller).await?;
        story.relay_down(network, teller).await?;
        story.own_relay_down(network, teller).await?;
        story.kills(network, teller).await?;
        group::play(network, &story.alice, &story.bob, teller).await?;
        story.search(network, teller).await?;
        teller.title("Summary");
        teller.checked("three relays of different domains, three people, messages all ways");
        teller.checked("first contact waited for consent");
        teller.checked(
            "a relay down, a client offline, two relays killed: nothing lost, nothing twice, all in order",
        );
        teller.checked("a group of all three: written, read, and left in the dark once removed");
        teller.checked("the relays hold no word of it");
        teller.say(&format!("The story took {} s.", teller.seconds()));
        Ok(story)
    }

    async fn arrive(network: &mut Network, teller: &mut Teller) -> Result<Self> {
        teller.title("1. Two relays, two people");
        for domain in ["a.localhost", "b.localhost"] {
            network.start(domain).await?;
            let relay = network.relay(domain);
            teller.say(&format!(
                "The relay {domain} runs as process {} at {}.",
                relay.pid(),
                relay.http_url()
            ));
        }
        let alice = Person::register(network, "alice@a.localhost").await?;
        let bob = Person::register(network, "bob@b.localhost").await?;
        for person in [&alice, &bob] {
            let who = person.ok(&["whoami"]).await?;
            ensure!(who[0]["alias"] == person.alias(), "whoami says {who:?}");
            teller.say(&format!("{} registers and is shown a recovery code of 24 words.", person.alias()));
        }
        Ok(Self { alice, bob })
    }

    async fn first_letter(&self, teller: &mut Teller) -> Result<()> {
        teller.title("2. The first letter");
        let (alice, bob) = (&self.alice, &self.bob);
        alice.send(bob, FIRST).await?;
        teller.say(&format!("Alice writes: \"{FIRST}\" Her relay has it: accepted."));
        bob.await_request(alice).await?;
        let requests = bob.run(&["requests", "--offline"]).await?;
        ensure!(!requests.stderr.contains(FIRST), "the request shows what was written");
        ensure!(
            requests.lines.iter().all(|line| !line.to_string().contains(FIRST)),
            "the request shows the letter"
        );
        teller.say("Bob sees that somebody asks to talk, who it is, and nothing else.");
        bob.ok(&["accept", alice.alias()]).await?;
        bob.expect_from(alice, &[FIRST]).await?;
        teller.checked("Bob accepts, and reads the letter");
        bob.send(alice, ANSWER).await?;
        alice.expect_from(bob, &[ANSWER]).await?;
        teller.checked(&format!("Alice reads his answer: \"{ANSWER}\""));

        let mut listener = bob.listen().await?;
        listener.next_of("caught-up").await?;
        let sent = Instant::now();
        alice.send(bob, LIVE).await?;
        let message = listener.next_of("message").await?;
        ensure!(message["text"] == LIVE, "Bob's `listen` shows {message}");
        teller.checked(&format!(
            "Bob listens, and the next one is on his screen after {} ms",
            sent.elapsed().as_millis()
        ));
        listener.terminate().await
    }

    async fn compare_numbers(&self, teller: &mut Teller) -> Result<()> {
        teller.title("3. Is it really you?");
        let number = async |own: &Person, other: &Person| -> Result<String> {
            let lines = own.ok(&["verify", other.alias()]).await?;
            Ok(lines[0]["number"].as_str().context("verify shows no number")?.to_owned())
        };
        let (hers, his) = (number(&self.alice, &self.bob).await?, number(&self.bob, &self.alice).await?);
        ensure!(hers == his, "the safety numbers differ: {hers} and {his}");
        teller.say(&format!("Both see the safety number {hers}"));
        teller.checked("the two are the same: nobody stands between them");
        Ok(())
    }

    async fn relay_down(&self, network: &Network, teller: &mut Teller) -> Result<()> {
        teller.title("4. Bob's relay is down");
        let relay = network.relay("b.localhost");
        relay.terminate().await?;
        teller.say("b.localhost stops.");
        self.alice.send(&self.bob, RELAY_DOWN).await?;
        teller.say("Alice writes all the same. Her relay takes it: accepted.");
        relay.start().await?;
        let back = Instant::now();
        self.bob.expect_from(&self.alice, &[RELAY_DOWN]).await?;
        teller.checked(&format!(
            "b.localhost returns, and {} ms later Bob reads it",
            back.elapsed().as_millis()
        ));
        Ok(())
    }

    async fn own_relay_down(&self, network: &Network, teller: &mut Teller) -> Result<()> {
        teller.title("5. Alice's own relay is down");
        let relay = network.relay("a.localhost");
        relay.terminate().await?;
        let state = self.alice.try_send(&self.bob, OWN_RELAY_DOWN).await?;
        ensure!(state == "queued", "without a relay the message was {state}");
        teller.say("a.localhost stops; Alice writes, and is told: queued.");
        relay.start().await?;
        // Any command that connects takes along what waits.
        self.alice.ok(&["inbox"]).await?;
        self.bob.expect_from(&self.alice, &[OWN_RELAY_DOWN]).await?;
        teller.checked("it goes out with her next command, and Bob reads it");
        Ok(())
    }

    async fn kills(&self, network: &Network, teller: &mut Teller) -> Result<()> {
        teller.title("6. kill -9");
        let (alice, bob) = (&self.alice, &self.bob);
        let texts: Vec<String> = (1..=STORM).map(|n| format!("letter {n} of the stormy night")).collect();
        let (first, second) = texts.split_at(STORM / 2);
        for (domain, texts) in [("b.localhost", first), ("a.localhost", second)] {
            let mut sending = alice.start_sending(bob, texts).await?;
            let told = sending.next().await?.context("`send` told nothing")?;
            network.relay(domain).kill().await?;
            let mut states = sending.finish().await?;
            states.extend(told["state"].as_str().map(str::to_owned));
            let accepted = states.iter().filter(|state| *state == "accepted").count();
            ensure!(
                states.len() == texts.len(),
                "`send` told of {} of {} messages",
                states.len(),
                texts.len()
            );
            teller.say(&format!(
                "{domain} is killed while Alice sends {}: {accepted} accepted, {} queued.",
                texts.len(),
                states.len() - accepted
            ));
        }
        for relay in network.relays() {
            relay.start().await?;
        }
        alice.ok(&["inbox"]).await?;
        let expected: Vec<&str> = texts.iter().map(String::as_str).collect();
        bob.expect_from(alice, &expected).await?;
        let seen = bob.history(alice, "in").await?;
        let storm: Vec<&String> = seen.iter().filter(|text| text.contains("stormy night")).collect();
        ensure!(storm.len() == STORM, "{} of {STORM} messages stand in Bob's history", storm.len());
        teller.checked(&format!("both return: Bob has all {STORM}, each once, in her order"));
        Ok(())
    }

    async fn search(&self, network: &Network, teller: &mut Teller) -> Result<()> {
        teller.title("8. What the relays know");
        let letters = [FIRST, ANSWER, LIVE, RELAY_DOWN, OWN_RELAY_DOWN, "stormy night"];
        let secrets = [&letters[..], &group::SECRETS].concat();
        for relay in network.relays() {
            let search = Search::folder(&relay.data(), &secrets)?;
            ensure!(search.files > 0, "{} has no files", relay.domain());
            ensure!(search.found.is_empty(), "{} holds plaintext: {:?}", relay.domain(), search.found);
            // The search itself must be able to find something.
            let control = Search::folder(&relay.data(), &[relay.domain()])?;
            ensure!(!control.found.is_empty(), "the search does not even find {}", relay.domain());
            teller.say(&format!(
                "{}: {} files, {} KiB read.",
                relay.domain(),
                search.files,
                search.bytes / 1024
            ));
        }
        teller.checked("none of the letters is in them, nor what the group is called");
        Ok(())
    }
}
