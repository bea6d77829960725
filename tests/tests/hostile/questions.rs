//! Questions that are none, more connections than one peer may have, and mailbags in another's name.

use anyhow::{Context as _, Result, bail, ensure};
use futures::AsyncWriteExt as _;
use libp2p::Stream;
use posthouse_hostile::peer::{Connection, now, read_frame, varint, write_frame};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::peer::hello::{HelloResponse, PeerRule};
use posthouse_spec::peer::mailbag::{self, Mailbag, MailbagRef, MailbagRequest, MailbagResponse};
use posthouse_spec::peer::{KeysResponse, RoomResponse, keys, room};
use posthouse_spec::{Cbor as _, EnvelopeId};

use crate::Scene;

/// What is asked and answered once on a stream.
const QUESTIONS: [&str; 3] = [room::PROTOCOL, keys::PROTOCOL, mailbag::PROTOCOL];
/// Connections that one peer may have, and how many it makes here.
const CONNECTIONS: usize = 12;
const ATTEMPTS: usize = 20;

/// The rule by which a stream of a protocol is refused.
async fn refusal(protocol: &str, stream: &mut Stream) -> Result<PeerRule> {
    let refusal = match protocol {
        room::PROTOCOL => match read_frame(stream).await? {
            RoomResponse::Rejected(refusal) => refusal,
            other => bail!("{other:?}"),
        },
        keys::PROTOCOL => match read_frame(stream).await? {
            KeysResponse::Rejected(refusal) => refusal,
            other => bail!("{other:?}"),
        },
        mailbag::PROTOCOL => match read_frame(stream).await? {
            MailbagResponse::Rejected(refusal) => refusal,
            other => bail!("{other:?}"),
        },
        other => bail!("{other} is no protocol"),
    };
    Ok(refusal.rule)
}

/// Opens a stream, says these bytes and no more, and expects to be refused by a rule.
async fn told(connection: &Connection, protocol: &'static str, bytes: &[u8], rule: PeerRule) -> Result<()> {
    let mut stream = connection.streams().open(protocol).await?;
    stream.write_all(bytes).await?;
    stream.flush().await?;
    let told = refusal(protocol, &mut stream).await.with_context(|| protocol.to_owned())?;
    ensure!(told == rule, "{protocol}: expected {rule}, got {told}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_question_is_refused_by_each_protocol() -> Result<()> {
    let scene = Scene::set().await?;
    let connection = scene.introduced().await?;
    for protocol in QUESTIONS {
        // A choice of which there is no such number, and half a value.
        for malformed in [&[0x82, 0x18, 0x63, 0xf6][..], &[0x82]] {
            let mut frame = varint(malformed.len() as u64);
            frame.extend_from_slice(malformed);
            told(&connection, protocol, &frame, PeerRule::Malformed).await?;
        }
        told(&connection, protocol, &varint(1 << 30), PeerRule::FrameTooLong).await?;
        scene.relay().admin(&["peers", "pardon", "evil.localhost"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn one_peer_has_no_more_connections_than_it_may() -> Result<()> {
    let scene = Scene::set().await?;
    let hello = scene.evil.hello();
    let call = async || {
        let mut connection = scene.connect().await?;
        match connection.hello(&hello).await? {
            HelloResponse::Hello(_) => anyhow::Ok(connection),
            HelloResponse::Refused(refusal) => bail!("{refusal:?}"),
        }
    };
    let calls = futures::future::join_all((0..ATTEMPTS).map(|_| call())).await;
    let taken = calls.iter().filter(|call| call.is_ok()).count();
    ensure!((1..=CONNECTIONS).contains(&taken), "{taken} of {ATTEMPTS} connections were taken");
    drop(calls);
    Ok(())
}

fn bag(scene: &Scene) -> Result<Mailbag> {
    Ok(Mailbag {
        origin: scene.evil.domain.clone(),
        destination: "b.localhost".parse()?,
        envelope: EnvelopeId::new([1; 32]),
        expires: now().after(60_000),
        sealed: Octets::new(vec![0; 100])?,
    })
}

async fn ask(connection: &Connection, request: MailbagRequest) -> Result<MailbagResponse> {
    let mut stream = connection.streams().open(mailbag::PROTOCOL).await?;
    write_frame(&mut stream, &request.to_cbor()).await?;
    stream.close().await?;
    read_frame(&mut stream).await
}

#[tokio::test]
async fn nobody_leaves_or_collects_a_mailbag_in_anothers_name() -> Result<()> {
    let scene = Scene::set().await?;
    let relay = scene.relay();
    relay.set_variable("POSTHOUSE_MAILBAGS_HOLD_FOR", "b.localhost");
    relay.restart().await?;
    let evil = scene.introduced().await?;
    let own = bag(&scene)?;
    for (change, rule) in [
        (
            (|bag| bag.origin = "b.localhost".parse().expect("a domain")) as fn(&mut Mailbag),
            PeerRule::ForgedOrigin,
        ),
        (|bag| bag.sealed = Octets::new(vec![0; 48]).expect("short"), PeerRule::Malformed),
        (|bag| bag.expires = now(), PeerRule::OutOfTurn),
    ] {
        let mut wrong = own.clone();
        change(&mut wrong);
        match ask(&evil, MailbagRequest::Leave(wrong)).await? {
            MailbagResponse::Rejected(refusal) => ensure!(refusal.rule == rule, "{rule}: {refusal:?}"),
            other => bail!("{rule}: {other:?}"),
        }
    }
    let MailbagResponse::Held(_) = ask(&evil, MailbagRequest::Leave(own.clone())).await? else {
        bail!("an honest bag was not held")
    };
    // It is for b.localhost alone: not even who left it sees it again, or has it dropped.
    let named = MailbagRef { origin: own.origin, envelope: own.envelope, size: 100 };
    match ask(&evil, MailbagRequest::Take(named.clone())).await? {
        MailbagResponse::Mailbag(found) => ensure!(found.is_empty(), "{found:?}"),
        other => bail!("{other:?}"),
    }
    match ask(&evil, MailbagRequest::Drop(List::new(vec![named])?)).await? {
        MailbagResponse::Dropped(dropped) => ensure!(dropped == 0, "{dropped} were dropped"),
        other => bail!("{other:?}"),
    }
    let metrics = reqwest::get(format!("{}/metrics", relay.direct_url())).await?.text().await?;
    ensure!(metrics.lines().any(|line| line == "posthouse_mailbags_held 1"), "it is gone: {metrics}");
    Ok(())
}
