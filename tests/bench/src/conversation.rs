//! Two people, the room that they share, and the sockets over which one writes to the other.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use posthouse_crypto::room::member::Room;
use posthouse_spec::cbor::Octets;
use posthouse_spec::client::delivery::{MessageDelivery, WelcomeDelivery};
use posthouse_spec::client::socket::Submit;
use posthouse_spec::client::{Delivery, Down, Up};
use posthouse_spec::content::MimiContent;
use posthouse_spec::room::Suite;
use posthouse_spec::{Cbor as _, Epoch, MailboxSeq, Number, RoomId};
use tokio::time::timeout;

use crate::client::{Home, Person, Socket};

/// Length of a text, bytes.
pub(crate) const TEXT_BYTES: usize = 200;
/// The suite of the rooms: that of everyday chat.
pub(crate) const SUITE: Suite = Suite::PostQuantum;
/// Texts that are sealed before the sockets are attended to again.
const SEALED_AT_ONCE: usize = 256;
/// How long one step of the preparation may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a relay says over a socket, as far as a load run cares.
#[derive(Debug)]
pub(crate) enum Event {
    /// A sealed message.
    Message(MessageDelivery),
    /// An invitation.
    Welcome(Box<WelcomeDelivery>),
    /// Something else for the mailbox.
    Other,
    /// Submits up to this number are durable.
    Accepted(Number),
}

/// A device's socket, and how far its mailbox was read.
#[derive(Debug)]
pub(crate) struct Line {
    socket: Socket,
    seen: MailboxSeq,
    acknowledged: MailboxSeq,
}

/// The end that writes.
#[derive(Debug)]
pub(crate) struct Sender {
    line: Line,
    room: RoomId,
    epoch: Epoch,
    number: Number,
    accepted: Number,
}

/// Alice, who writes, and Bob, who reads.
pub(crate) struct Conversation {
    alice: Person,
    room: Room,
    bob: Person,
    /// Alice's end.
    pub(crate) sender: Sender,
    /// Bob's end.
    pub(crate) receiver: Line,
}

impl Conversation {
    /// Registers both, founds their room, and sends a first message that Bob really opens.
    pub(crate) async fn open(alices: &Home, bobs: &Home, index: u32) -> Result<Self> {
        let mut alice = Person::register(alices, &format!("alice{index}")).await?;
        let mut bob = Person::register(bobs, &format!("bob{index}")).await?;
        alice.login().await?;
        bob.login().await?;
        bob.publish_key_package(SUITE).await?;
        let mut receiver = Line::new(bob.connect(MailboxSeq(0), Number(0)).await?);
        let mut room = alice.open_room(bob.alias(), SUITE).await?;
        let mut bobs_room = within("the invitation", receive_welcome(&mut bob, &mut receiver)).await?;
        let line = Line::new(alice.connect(MailboxSeq(0), Number(0)).await?);
        let mut sender =
            Sender { line, room: room.id(), epoch: room.epoch(), number: Number(0), accepted: Number(0) };
        let greeting = text(&mut alice, &mut room, 'g')?;
        sender.feed(greeting).await?;
        sender.line.flush().await?;
        let body = within("the first message", receive_message(&mut receiver)).await?;
        let content = MimiContent::from_cbor(&bob.open(&mut bobs_room, &body)?)?;
        ensure!(content.as_text() == Some(&"g".repeat(TEXT_BYTES)), "the first message is not what was sent");
        within("the first answer", sender.all_accepted()).await?;
        Ok(Self { alice, room, bob, sender, receiver })
    }

    /// Seals texts in advance, and attends to both sockets now and then.
    pub(crate) async fn seal(&mut self, count: usize) -> Result<Vec<Bytes>> {
        let mut bodies = Vec::with_capacity(count);
        while bodies.len() < count {
            let some = SEALED_AT_ONCE.min(count - bodies.len());
            for _ in 0..some {
                bodies.push(text(&mut self.alice, &mut self.room, 'x')?);
            }
            self.attend().await?;
            tokio::task::yield_now().await;
        }
        Ok(bodies)
    }

    /// Takes what waits at both sockets while nothing is under way, which answers pings: a relay gives up whoever is silent.
    async fn attend(&mut self) -> Result<()> {
        while let Some(event) = self.sender.line.waiting() {
            self.sender.take(event?);
        }
        while let Some(event) = self.receiver.waiting() {
            event?;
        }
        self.sender.flush().await?;
        self.receiver.flush().await
    }

    /// Bob comes back after his relay did.
    pub(crate) async fn reconnect(&mut self, bobs: &Home) -> Result<()> {
        self.bob.reached_by(bobs);
        self.bob.login().await?;
        let seen = self.receiver.seen;
        self.receiver = Line::new(self.bob.connect(seen, Number(0)).await?);
        self.receiver.seen = seen;
        Ok(())
    }
}

async fn within<T>(what: &str, step: impl Future<Output = Result<T>>) -> Result<T> {
    let waited = timeout(PATIENCE, step).await;
    waited.with_context(|| format!("{what} did not come within {} s", PATIENCE.as_secs()))?
}

fn text(alice: &mut Person, room: &mut Room, letter: char) -> Result<Bytes> {
    let mut salt = [0; 16];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut salt);
    let content = MimiContent::text(salt, &letter.to_string().repeat(TEXT_BYTES))?;
    Ok(Bytes::from(alice.seal(room, &content.to_cbor())?))
}

async fn receive_welcome(bob: &mut Person, receiver: &mut Line) -> Result<Room> {
    loop {
        if let Event::Welcome(welcome) = receiver.next().await? {
            receiver.acknowledge().await?;
            return bob.join(&welcome);
        }
    }
}

async fn receive_message(receiver: &mut Line) -> Result<Bytes> {
    loop {
        if let Event::Message(message) = receiver.next().await? {
            receiver.acknowledge().await?;
            return Ok(message.body.into_bytes());
        }
    }
}

impl Line {
    fn new(socket: Socket) -> Self {
        let acknowledged = socket.ready().acked;
        Self { socket, seen: acknowledged, acknowledged }
    }

    /// Waits for what comes next. Nothing is lost where the wait is given up.
    pub(crate) async fn next(&mut self) -> Result<Event> {
        let frame = self.socket.next().await?;
        self.read(frame)
    }

    /// What comes next, if it is there already.
    pub(crate) fn waiting(&mut self) -> Option<Result<Event>> {
        let frame = self.socket.waiting()?;
        Some(frame.and_then(|frame| self.read(frame)))
    }

    /// Acknowledges what was read since the last time, in one frame.
    pub(crate) async fn acknowledge(&mut self) -> Result<()> {
        if self.seen > self.acknowledged {
            self.acknowledged = self.seen;
            self.socket.acknowledge(self.seen).await?;
        }
        Ok(())
    }

    /// Writes what was fed.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.socket.flush().await
    }

    fn read(&mut self, frame: Down) -> Result<Event> {
        match frame {
            Down::Push(push) => {
                self.seen = self.seen.max(push.seq);
                match Delivery::from_cbor(&push.item)? {
                    Delivery::Notice(notice) => bail!(
                        "message {} failed at {} ({}): {}",
                        notice.number,
                        notice.relay,
                        notice.failure,
                        notice.detail
                    ),
                    Delivery::Message(message) => Ok(Event::Message(message)),
                    Delivery::Welcome(welcome) => Ok(Event::Welcome(Box::new(welcome))),
                    Delivery::Decided(_) | Delivery::EpochEnd(_) => Ok(Event::Other),
                }
            }
            Down::Accepted(accepted) => Ok(Event::Accepted(accepted.through)),
            Down::Refused(refused) => {
                bail!("message {} was refused ({}): {}", refused.number, refused.reason, refused.detail)
            }
            Down::Goodbye(bye) => bail!("the relay said goodbye ({}): {}", bye.reason, bye.detail),
            Down::Ready(_) => bail!("the relay greeted twice"),
        }
    }
}

impl Sender {
    /// Whether the relay takes one more before it has answered those that it has.
    pub(crate) fn has_credit(&self) -> bool {
        self.number.0 - self.accepted.0 < self.line.socket.ready().submit_window
    }

    /// Puts the next submit into the buffer.
    pub(crate) async fn feed(&mut self, body: Bytes) -> Result<()> {
        self.number = self.number.next();
        let submit =
            Submit { room: self.room, epoch: self.epoch, number: self.number, body: Octets::new(body)? };
        self.line.socket.feed(&Up::Submit(submit)).await
    }

    /// Writes what was fed.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.line.flush().await
    }

    /// Waits for something from the relay, and takes all that is there. Nothing is lost where the wait is given up.
    pub(crate) async fn progress(&mut self) -> Result<()> {
        let event = self.line.next().await?;
        self.take(event);
        while let Some(event) = self.line.waiting() {
            self.take(event?);
        }
        Ok(())
    }

    /// Acknowledges what came to the sender's own mailbox, such as its own commit.
    pub(crate) async fn acknowledge(&mut self) -> Result<()> {
        self.line.acknowledge().await
    }

    /// Waits until all that was fed is durable at the relay.
    pub(crate) async fn all_accepted(&mut self) -> Result<()> {
        while self.accepted < self.number {
            self.progress().await?;
            self.acknowledge().await?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        if let Event::Accepted(through) = event {
            self.accepted = self.accepted.max(through);
        }
    }
}
