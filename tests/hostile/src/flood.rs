//! Everything at once, as fast as it can be said.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{AsyncWriteExt as _, StreamExt as _};
use posthouse_spec::ids::Incarnation;
use posthouse_spec::limits::MAX_ENVELOPE;
use posthouse_spec::peer::deliver::ReceiptFrame;
use posthouse_spec::peer::hello::HelloResponse;
use posthouse_spec::peer::{KeysResponse, deliver, keys, mailbag, room};
use posthouse_spec::{Cbor as _, Domain};

use crate::peer::{Connection, Identity, Streams, read_frame, send_envelope, varint, write_frame};

/// Connections that flood at the same time.
const CONNECTIONS: usize = 8;
/// Streams of each that are under way at once.
const STREAMS_AT_ONCE: usize = 64;
/// Streams that a connection opens before it says hello anew.
const STREAMS: u64 = 2_000;
/// How long one answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of garbage in one stream.
const GARBAGE: usize = 64 * 1024;
/// How long a connection that cannot be made is left alone.
const BREATH: Duration = Duration::from_millis(5);

/// What a flood did, and how it was answered.
#[derive(Debug, Default, Clone)]
pub struct Flooded {
    /// What was sent, by name: of what goes over a stream, only that for which the relay opened one.
    pub tried: BTreeMap<&'static str, u64>,
    /// Refusals, by the rule's name.
    pub refused: BTreeMap<&'static str, u64>,
}

/// Floods a relay at one of its addresses for so long.
pub async fn flood(evil: &Identity, relay: &Domain, addresses: &[String], time: Duration) -> Flooded {
    let flooded = Mutex::new(Flooded::default());
    let until = Instant::now() + time;
    let one = async |n: usize| {
        let mut address = addresses.iter().cycle().skip(n);
        while let (true, Some(address)) = (Instant::now() < until, address.next()) {
            if connection(evil, relay, address, &flooded, until).await.is_err() {
                tokio::time::sleep(BREATH).await;
            }
        }
    };
    futures::future::join_all((0..CONNECTIONS).map(one)).await;
    flooded.into_inner().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn count(flooded: &Mutex<Flooded>, what: &'static str) {
    let mut all = flooded.lock().unwrap_or_else(PoisonError::into_inner);
    *all.tried.entry(what).or_default() += 1;
}

pub(crate) fn refused(flooded: &Mutex<Flooded>, rule: &'static str) {
    let mut all = flooded.lock().unwrap_or_else(PoisonError::into_inner);
    *all.refused.entry(rule).or_default() += 1;
}

/// One connection, from the hello until it is closed.
async fn connection(
    evil: &Identity,
    relay: &Domain,
    address: &str,
    flooded: &Mutex<Flooded>,
    until: Instant,
) -> Result<()> {
    count(flooded, "connections");
    let mut connection = Connection::dial(evil, address).await?;
    count(flooded, "hellos");
    match tokio::time::timeout(PATIENCE, connection.hello(&evil.hello())).await?? {
        HelloResponse::Hello(_) => {}
        HelloResponse::Refused(refusal) => refused(flooded, refusal.rule.name()),
    }
    let attacks =
        futures::stream::iter(0..STREAMS).take_while(|_| std::future::ready(Instant::now() < until));
    let streams = connection.streams();
    let mut ends = attacks
        .map(|nth| {
            let streams = streams.clone();
            async move { tokio::time::timeout(PATIENCE, attack(evil, relay, streams, nth, flooded)).await }
        })
        .buffer_unordered(STREAMS_AT_ONCE);
    let mut failures = 0;
    while let Some(end) = ends.next().await {
        // So many in a row: the connection is closed.
        failures = if matches!(end, Ok(Err(_))) { failures + 1 } else { 0 };
        if failures > STREAMS_AT_ONCE {
            break;
        }
    }
    Ok(())
}

async fn attack(
    evil: &Identity,
    relay: &Domain,
    mut streams: Streams,
    nth: u64,
    flooded: &Mutex<Flooded>,
) -> Result<()> {
    let protocol =
        [deliver::PROTOCOL, keys::PROTOCOL, room::PROTOCOL, mailbag::PROTOCOL][(nth / 6 % 4) as usize];
    let lane = Incarnation::new([7; 16]);
    match nth % 6 {
        0 => {
            let mut stream = streams.open(protocol).await?;
            count(flooded, "mute streams");
            drop(read_frame::<KeysResponse>(&mut stream).await);
        }
        1 => {
            let mut stream = streams.open(protocol).await?;
            count(flooded, "garbage");
            stream.write_all(&vec![0xa5; GARBAGE]).await?;
            stream.close().await?;
        }
        2 => {
            let mut stream = streams.open(posthouse_spec::peer::hello::PROTOCOL).await?;
            count(flooded, "hellos");
            write_frame(&mut stream, &evil.hello().to_cbor()).await?;
            if let HelloResponse::Refused(refusal) = read_frame(&mut stream).await? {
                refused(flooded, refusal.rule.name());
            }
        }
        3 => {
            let mut stream = streams.open(protocol).await?;
            count(flooded, "lengths of a gibibyte");
            stream.write_all(&varint(1 << 30)).await?;
            stream.write_all(&vec![0; GARBAGE]).await?;
            stream.close().await?;
        }
        4 => {
            let mut stream = lane_on(&mut streams, lane).await?;
            count(flooded, "oversized envelopes");
            stream.write_all(&varint(MAX_ENVELOPE as u64 + 1_000)).await?;
            let bytes = vec![0x5a; GARBAGE];
            for _ in 0..=MAX_ENVELOPE / GARBAGE {
                stream.write_all(&bytes).await?;
            }
            told(read_frame(&mut stream).await?, flooded);
        }
        _ => {
            let mut stream = lane_on(&mut streams, lane).await?;
            count(flooded, "forged envelopes");
            let mut envelope = evil.envelope(relay, lane, 1, &[0; 1024]);
            envelope.origin = relay.clone();
            let signed = evil.node.sign(&envelope).as_bytes().clone();
            told(send_envelope(&mut stream, signed).await?, flooded);
        }
    }
    Ok(())
}

async fn lane_on(streams: &mut Streams, lane: Incarnation) -> Result<libp2p::Stream> {
    use posthouse_spec::envelope::LaneClass;
    use posthouse_spec::ids::LaneSeq;
    use posthouse_spec::peer::deliver::{DeliverFrame, Open};
    let mut stream = streams.open(deliver::PROTOCOL).await?;
    let open = Open { class: LaneClass::Messages, incarnation: lane, oldest: LaneSeq(1) };
    write_frame(&mut stream, &DeliverFrame::Open(open).to_cbor()).await?;
    Ok(stream)
}

fn told(answer: ReceiptFrame, flooded: &Mutex<Flooded>) {
    if let ReceiptFrame::Refused(refusal) = answer {
        refused(flooded, refusal.rule.name());
    }
}
