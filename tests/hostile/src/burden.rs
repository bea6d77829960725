//! As much as a relay may be sent without a rule being broken: lanes that are filled to their credit, and questions.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::AsyncWriteExt as _;
use futures::future::{join, join_all};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::envelope::{CanaryItem, Envelope, Item, LaneClass, MessageItem};
use posthouse_spec::ids::{Epoch, Incarnation, LaneSeq, RoomId};
use posthouse_spec::peer::deliver::{self, Credit, DeliverFrame, Open, ReceiptFrame};
use posthouse_spec::peer::hello::HelloResponse;
use posthouse_spec::peer::{KeysRequest, KeysResponse, keys};
use posthouse_spec::{Cbor as _, Domain};
use rand::Rng as _;

use crate::flood::{Flooded, count, refused};
use crate::peer::{Connection, Identity, Streams, now, read_frame, write_frame};

/// Items of one envelope on the messages lane, and on the control lane.
const MESSAGES: usize = 256;
const CANARIES: usize = 16;
/// Length of a message, bytes.
const BODY: usize = 1024;
/// Bytes of an envelope for each of its items beside a message's body, at most.
const BESIDE_BODY: usize = 512;
/// Questions that are under way at once; a relay may ask 16.
const QUESTIONS_AT_ONCE: usize = 12;
/// Time between two hellos: half of what is allowed.
const HELLO_EVERY: Duration = Duration::from_millis(100);
/// How long a connection, a lane or a question that failed is left alone.
const BREATH: Duration = Duration::from_millis(500);

/// Burdens a relay at one of its addresses for so long.
pub async fn burden(evil: &Identity, relay: &Domain, addresses: &[String], time: Duration) -> Flooded {
    let flooded = Mutex::new(Flooded::default());
    let until = Instant::now() + time;
    let all = async {
        for address in addresses.iter().cycle() {
            if connection(evil, relay, address, &flooded).await.is_err() {
                count(&flooded, "connections that failed");
                tokio::time::sleep(BREATH).await;
            }
        }
    };
    // Whatever is under way then is given up.
    let _ = tokio::time::timeout_at(until.into(), all).await;
    flooded.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// One connection, until a hello fails on it.
async fn connection(evil: &Identity, relay: &Domain, address: &str, flooded: &Mutex<Flooded>) -> Result<()> {
    count(flooded, "connections");
    let mut connection = Connection::dial(evil, address).await?;
    greet(evil, &mut connection, flooded).await?;
    let streams = connection.streams();
    let lane = async |class| {
        loop {
            if fill(evil, relay, streams.clone(), class, flooded).await.is_err() {
                count(flooded, "lanes that broke");
            }
            tokio::time::sleep(BREATH).await;
        }
    };
    let questions = join_all((0..QUESTIONS_AT_ONCE).map(|_| async {
        loop {
            if ask(streams.clone(), flooded).await.is_err() {
                tokio::time::sleep(BREATH).await;
            }
        }
    }));
    let hellos = async {
        loop {
            tokio::time::sleep(HELLO_EVERY).await;
            if let Err(error) = greet(evil, &mut connection, flooded).await {
                break error;
            }
        }
    };
    tokio::select! {
        _ = join(lane(LaneClass::Messages), lane(LaneClass::Control)) => Ok(()),
        _ = questions => Ok(()),
        error = hellos => Err(error),
    }
}

async fn greet(evil: &Identity, connection: &mut Connection, flooded: &Mutex<Flooded>) -> Result<()> {
    count(flooded, "hellos");
    if let HelloResponse::Refused(refusal) = connection.hello(&evil.hello()).await? {
        refused(flooded, refusal.rule.name());
        bail!("a hello was refused: {refusal:?}");
    }
    Ok(())
}

/// Asks for somebody who is not there.
async fn ask(mut streams: Streams, flooded: &Mutex<Flooded>) -> Result<()> {
    let mut stream = streams.open(keys::PROTOCOL).await?;
    count(flooded, "look-ups");
    write_frame(&mut stream, &KeysRequest::Alias("nobody".parse()?).to_cbor()).await?;
    stream.close().await?;
    if let KeysResponse::Rejected(refusal) = read_frame(&mut stream).await? {
        refused(flooded, refusal.rule.name());
    }
    Ok(())
}

/// Keeps as much in flight on a lane as the relay gives credit for.
async fn fill(
    evil: &Identity,
    relay: &Domain,
    mut streams: Streams,
    class: LaneClass,
    flooded: &Mutex<Flooded>,
) -> Result<()> {
    let incarnation = Incarnation::new(random());
    let mut stream = streams.open(deliver::PROTOCOL).await?;
    let open = Open { class, incarnation, oldest: LaneSeq(1) };
    write_frame(&mut stream, &DeliverFrame::Open(open).to_cbor()).await?;
    let mut flight = Flight::default();
    loop {
        match read_frame(&mut stream).await? {
            ReceiptFrame::Resume(resume) => flight.start(resume.next, resume.credit),
            ReceiptFrame::Ack(ack) => flight.land(ack.next, ack.credit),
            ReceiptFrame::Busy(busy) => {
                count(flooded, "waits for a busy relay");
                tokio::time::sleep(Duration::from_millis(busy.retry_after_ms)).await;
                return Ok(());
            }
            ReceiptFrame::Refused(refusal) => {
                refused(flooded, refusal.rule.name());
                bail!("the lane was refused: {refusal:?}");
            }
        }
        let (items, most) = match class {
            LaneClass::Messages => (MESSAGES, MESSAGES * (BODY + BESIDE_BODY)),
            _ => (CANARIES, CANARIES * BESIDE_BODY),
        };
        while flight.admits(items as u64, most as u64) {
            let envelope = Envelope {
                class,
                items: List::new(items_of(class, evil, items)?)?,
                created: now(),
                ..evil.envelope(relay, incarnation, flight.next.0, &[])
            };
            let signed = evil.node.sign(&envelope).as_bytes().clone();
            flight.depart(items as u64, signed.len() as u64);
            count(
                flooded,
                if class == LaneClass::Messages { "envelopes of messages" } else { "envelopes of canaries" },
            );
            write_frame(&mut stream, &DeliverFrame::Envelope(Octets::new(signed)?).to_cbor()).await?;
        }
    }
}

/// Messages for a room that nobody knows, or canaries.
fn items_of<const MAX: usize>(class: LaneClass, evil: &Identity, count: usize) -> Result<Vec<Octets<MAX>>> {
    let room = RoomId::new(random());
    let item = || -> Result<Item> {
        Ok(match class {
            LaneClass::Messages => Item::Message(MessageItem {
                room,
                hub: evil.domain.clone(),
                epoch: Epoch(1),
                body: Octets::new(random::<BODY>().to_vec())?,
                mark: None,
            }),
            _ => Item::Canary(CanaryItem { nonce: Octets::new(random::<16>().to_vec())?, answer: false }),
        })
    };
    (0..count).map(|_| Ok(Octets::new(item()?.to_cbor())?)).collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// What is in flight on a lane, and how much may be.
struct Flight {
    acknowledged: LaneSeq,
    next: LaneSeq,
    credit: Credit,
    /// Of each envelope the position behind it and its bytes.
    envelopes: VecDeque<(LaneSeq, u64)>,
    bytes: u64,
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            acknowledged: LaneSeq(1),
            next: LaneSeq(1),
            credit: Credit { items: 0, bytes: 0 },
            envelopes: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl Flight {
    fn start(&mut self, next: LaneSeq, credit: Credit) {
        *self = Self { acknowledged: next, next, credit, ..Self::default() };
    }

    fn land(&mut self, next: LaneSeq, credit: Credit) {
        (self.acknowledged, self.credit) = (next, credit);
        while let Some((_, bytes)) = self.envelopes.pop_front_if(|(behind, _)| *behind <= next) {
            self.bytes -= bytes;
        }
    }

    fn admits(&self, items: u64, bytes: u64) -> bool {
        self.next.0 + items <= self.acknowledged.0 + self.credit.items
            && self.bytes + bytes <= self.credit.bytes
    }

    fn depart(&mut self, items: u64, bytes: u64) {
        self.next = LaneSeq(self.next.0 + items);
        self.envelopes.push_back((self.next, bytes));
        self.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_stays_within_the_credit() {
        let mut flight = Flight::default();
        assert!(!flight.admits(1, 1), "nothing before the relay has given credit");
        flight.start(LaneSeq(5), Credit { items: 10, bytes: 100 });
        flight.depart(6, 60);
        assert!(flight.admits(4, 40) && !flight.admits(5, 1) && !flight.admits(1, 41));
        flight.land(LaneSeq(11), Credit { items: 10, bytes: 100 });
        assert!(flight.admits(10, 100) && !flight.admits(11, 100));
    }
}
