//! Refusals on a stream, in the form of its protocol.

use std::time::Duration;

use futures::AsyncReadExt;
use futures::io::{ReadHalf, WriteHalf};
use libp2p::Stream;
use posthouse_spec::Cbor;
use posthouse_spec::cbor::Text;
use posthouse_spec::peer::hello::{HelloResponse, PeerRefusal};
use posthouse_spec::peer::{KeysResponse, MailbagResponse, ReceiptFrame, RoomResponse};

use super::peers::Peers;
use crate::behaviour::Protocol;
use crate::codec::FrameWriter;
use crate::conduct::price;
use crate::link::Violation;

/// How long one write may take before the peer counts as gone.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a refused stream is still read, so that the refusal is not lost with a reset, and how many bytes.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// A stream on which the peer broke a rule, before it is told of that.
pub(crate) struct Broken {
    pub(crate) violation: Violation,
    /// Where to tell it, if there is anything left of the stream.
    pub(crate) stream: Option<Stream>,
}

impl Broken {
    /// What the peer did on a stream whose halves are these.
    pub(crate) fn new(violation: Violation, reading: ReadHalf<Stream>, writing: WriteHalf<Stream>) -> Self {
        Self { violation, stream: reading.reunite(writing).ok() }
    }

    /// Tells the peer, in the words of the version that is spoken, and ends the stream.
    pub(crate) async fn refuse(self, protocol: Protocol, version: u16) {
        if let Some(stream) = self.stream {
            refuse(stream, protocol, &self.violation, version).await;
        }
    }
}

/// What a question may be answered with.
pub(crate) trait Answer: Cbor {
    /// The refusal, if the answer says that the asker broke a rule.
    fn rejection(&self) -> Option<&PeerRefusal>;
}

impl Answer for RoomResponse {
    fn rejection(&self) -> Option<&PeerRefusal> {
        if let Self::Rejected(refusal) = self { Some(refusal) } else { None }
    }
}

impl Answer for KeysResponse {
    fn rejection(&self) -> Option<&PeerRefusal> {
        if let Self::Rejected(refusal) = self { Some(refusal) } else { None }
    }
}

impl Answer for MailbagResponse {
    fn rejection(&self) -> Option<&PeerRefusal> {
        if let Self::Rejected(refusal) = self { Some(refusal) } else { None }
    }
}

/// The rule that the asker broke, where an answer says so and that has its price.
pub(crate) fn broken_rule(answer: &impl Answer) -> Option<Violation> {
    let refusal = answer.rejection().filter(|refusal| price(refusal.rule) > 0)?;
    Some(Violation::new(refusal.rule, &refusal.detail))
}

/// Names a peer that broke a rule in log and metrics; the log is spared where this happens without end.
pub(crate) fn report(peers: &Peers, peer: impl std::fmt::Display, protocol: Protocol, violation: &Violation) {
    let (protocol, rule, detail) = (protocol.name(), violation.rule.name(), &violation.detail);
    if peers.may_report() {
        tracing::warn!(%peer, protocol, rule, detail, "a peer broke a rule");
    } else {
        tracing::debug!(%peer, protocol, rule, detail, "a peer broke a rule, one of many");
    }
    metrics::counter!("posthouse_peer_refusals_total", "rule" => violation.rule.name()).increment(1);
}

/// Tells the peer which rule it broke, in the words of the version that is spoken, and ends the stream.
pub(crate) async fn refuse(stream: Stream, protocol: Protocol, violation: &Violation, version: u16) {
    let rule = violation.rule.for_version(version);
    let refusal = PeerRefusal { rule, detail: Text::clipped(&violation.detail) };
    let (mut reading, writing) = stream.split();
    let mut writer = FrameWriter::new(writing);
    let telling = async {
        match protocol {
            Protocol::Hello => writer.send(&HelloResponse::Refused(refusal)).await,
            Protocol::Deliver => writer.send(&ReceiptFrame::Refused(refusal)).await,
            Protocol::Room => writer.send(&RoomResponse::Rejected(refusal)).await,
            Protocol::Keys => writer.send(&KeysResponse::Rejected(refusal)).await,
            Protocol::Mailbag => writer.send(&MailbagResponse::Rejected(refusal)).await,
        }?;
        writer.close().await
    };
    // A peer that does not listen has only itself to blame.
    let told = tokio::time::timeout(WRITE_TIMEOUT, telling).await;
    if matches!(told, Ok(Ok(()))) {
        let mut rest = (&mut reading).take(LINGER_BYTES);
        let mut nowhere = futures::io::sink();
        let draining = futures::io::copy(&mut rest, &mut nowhere);
        let _ = tokio::time::timeout(LINGER, draining).await;
    }
}
