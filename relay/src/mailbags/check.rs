//! What an opened mailbag is worth: the envelope inside is believed where a node key of its origin signed it that was good
//! when it says that it was made.

use posthouse_crypto::{BagFault, Verified, verify_any};
use posthouse_spec::envelope::{ENVELOPE_VERSION, Envelope, LaneClass};
use posthouse_spec::limits::MAX_CLOCK_SKEW_MS;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::peer::mailbag::{Mailbag, MailbagRef};
use posthouse_spec::{Domain, Millis, Signed};

/// The rule that a bag breaks, as the log names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BagRule {
    /// It does not open.
    Seal,
    /// Its time is over: on their lane, what is inside has other positions by now.
    Expired,
    /// The holder gave another bag than was asked for, or what is inside is not what stands on it.
    Mismatch,
    /// It breaks a rule that lanes have too.
    Peer(PeerRule),
}

impl BagRule {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seal => "mailbag-seal",
            Self::Expired => "mailbag-expired",
            Self::Mismatch => "mailbag-mismatch",
            Self::Peer(rule) => rule.name(),
        }
    }
}

/// A bag that is worth nothing, now or ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", .rule.name())]
pub struct BadBag {
    /// The rule that it breaks.
    pub rule: BagRule,
    /// In words.
    pub detail: String,
}

impl BadBag {
    pub(super) fn new(rule: BagRule, detail: impl std::fmt::Display) -> Self {
        Self { rule, detail: detail.to_string() }
    }
}

impl From<BagFault> for BadBag {
    fn from(fault: BagFault) -> Self {
        let rule = match fault {
            BagFault::Seal(_) => BagRule::Seal,
            BagFault::Malformed(_) => BagRule::Peer(PeerRule::Malformed),
            BagFault::Mismatch(_) => BagRule::Mismatch,
        };
        Self::new(rule, fault)
    }
}

/// What a manifest says of an envelope.
#[derive(Debug)]
pub(super) enum Judged {
    /// It holds.
    Good(Box<Verified<Envelope>>),
    /// The manifest does not list its key for the time at which it was made: another manifest may.
    UnknownKey,
}

/// Whether the holder gave what was asked for.
pub(super) fn check_label(own: &Domain, asked: &MailbagRef, bag: &Mailbag) -> Result<(), BadBag> {
    if bag.origin != asked.origin || bag.envelope != asked.envelope {
        return Err(BadBag::new(BagRule::Mismatch, "the holder gave another bag than the one asked for"));
    }
    if bag.destination != *own {
        let detail = format!("the bag is for {}, this is {own}", bag.destination);
        return Err(BadBag::new(BagRule::Peer(PeerRule::WrongDestination), detail));
    }
    Ok(())
}

/// Whether a bag that opens is still good: its expiry is part of what is sealed, whatever its holder says.
pub(super) fn check_expiry(bag: &Mailbag, now: Millis) -> Result<(), BadBag> {
    if bag.expires <= now {
        return Err(BadBag::new(BagRule::Expired, "it has expired, and its holder gave it all the same"));
    }
    Ok(())
}

/// Checks an envelope out of a bag against a manifest of its origin.
pub(super) fn judge(signed: &Signed<Envelope>, manifest: &Manifest, now: Millis) -> Result<Judged, BadBag> {
    let peer = |rule, detail: String| BadBag::new(BagRule::Peer(rule), detail);
    let inside = signed.peek().map_err(|e| peer(PeerRule::Malformed, e.to_string()))?;
    if inside.version != ENVELOPE_VERSION {
        let detail = format!("envelope version {}, this relay reads {ENVELOPE_VERSION}", inside.version);
        return Err(peer(PeerRule::Version, detail));
    }
    if !matches!(inside.class, LaneClass::Control | LaneClass::Messages) {
        return Err(peer(PeerRule::WrongLane, format!("mailbags carry no {} lanes", inside.class)));
    }
    // Both relays' clocks agree with the holder's, or it would not have talked to them.
    if inside.created > now.after(2 * MAX_CLOCK_SKEW_MS) {
        return Err(peer(PeerRule::ClockSkew, "the envelope is from the future".into()));
    }
    if !manifest.lists_node(&signed.kid(), inside.created) {
        return Ok(Judged::UnknownKey);
    }
    verify_any(signed, |key| manifest.lists_node(key, inside.created))
        .map(|envelope| Judged::Good(Box::new(envelope)))
        .map_err(|fault| peer(PeerRule::EnvelopeSignature, fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use posthouse_crypto::{SigningKey, envelope_id};
    use posthouse_spec::cbor::{List, Octets, Text};
    use posthouse_spec::manifest::Node;
    use posthouse_spec::{Incarnation, KeyHash, LaneSeq, ManifestSeq};

    const MADE: Millis = Millis(1_800_000_000_000);

    fn domain(name: &str) -> Domain {
        name.parse().unwrap()
    }

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32])
    }

    fn manifest(not_after: Millis) -> Manifest {
        let node = Node { key: key().public(), not_before: Millis(0), not_after };
        Manifest {
            domain: domain("a.example"),
            seq: ManifestSeq(1),
            previous: None,
            root: key().public(),
            next_root: KeyHash::new([0; 32]),
            ordering: key().public(),
            nodes: List::new(vec![node]).unwrap(),
            addresses: List::default(),
            client_url: Text::clipped("https://a.example"),
            created: Millis(1),
            lineage: None,
            mailbags: None,
            circuits: None,
        }
    }

    fn envelope(change: impl FnOnce(&mut Envelope)) -> Signed<Envelope> {
        let mut envelope = Envelope {
            version: ENVELOPE_VERSION,
            origin: domain("a.example"),
            destination: domain("b.example"),
            class: LaneClass::Messages,
            incarnation: Incarnation::new([3; 16]),
            first: LaneSeq(5),
            created: MADE,
            items: List::new(vec![Octets::new(&b"an item"[..]).unwrap()]).unwrap(),
        };
        change(&mut envelope);
        key().sign(&envelope)
    }

    fn rule(signed: &Signed<Envelope>) -> Option<BagRule> {
        judge(signed, &manifest(MADE), MADE).err().map(|bad| bad.rule)
    }

    #[test]
    fn a_key_counts_that_was_good_when_the_envelope_was_made() {
        let late = MADE.after(1_000_000_000);
        assert!(matches!(judge(&envelope(|_| ()), &manifest(MADE), late), Ok(Judged::Good(_))));
        let ended = manifest(Millis(MADE.0 - 1));
        assert!(matches!(judge(&envelope(|_| ()), &ended, late), Ok(Judged::UnknownKey)));
    }

    #[test]
    fn an_altered_envelope_is_named() {
        let good = envelope(|_| ());
        let mut bytes = good.as_bytes().to_vec();
        let at = bytes.len() - 1;
        bytes[at] ^= 1;
        let bad = Signed::from_bytes(Bytes::from(bytes)).unwrap();
        assert_eq!(rule(&bad), Some(BagRule::Peer(PeerRule::EnvelopeSignature)));
    }

    #[test]
    fn what_no_lane_would_take_is_refused_by_the_same_names() {
        let slots = envelope(|envelope| envelope.class = LaneClass::Slots);
        assert_eq!(rule(&slots), Some(BagRule::Peer(PeerRule::WrongLane)));
        let version = envelope(|envelope| envelope.version = 9);
        assert_eq!(rule(&version), Some(BagRule::Peer(PeerRule::Version)));
        let future = envelope(|envelope| envelope.created = MADE.after(2 * MAX_CLOCK_SKEW_MS + 1));
        assert_eq!(rule(&future), Some(BagRule::Peer(PeerRule::ClockSkew)));
    }

    #[test]
    fn a_holder_that_gives_another_bag_or_an_old_one_is_named() {
        let signed = envelope(|_| ());
        let bag = Mailbag {
            origin: domain("a.example"),
            destination: domain("b.example"),
            envelope: envelope_id(&signed),
            expires: MADE,
            sealed: Octets::default(),
        };
        let asked = MailbagRef { origin: bag.origin.clone(), envelope: bag.envelope, size: 0 };
        assert_eq!(check_label(&domain("b.example"), &asked, &bag), Ok(()));
        let other = MailbagRef { origin: domain("c.example"), ..asked.clone() };
        assert_eq!(check_label(&domain("b.example"), &other, &bag).unwrap_err().rule, BagRule::Mismatch);
        let elsewhere = check_label(&domain("d.example"), &asked, &bag).unwrap_err();
        assert_eq!(elsewhere.rule, BagRule::Peer(PeerRule::WrongDestination));
        assert_eq!(check_expiry(&bag, Millis(MADE.0 - 1)), Ok(()));
        assert_eq!(check_expiry(&bag, MADE).unwrap_err().rule, BagRule::Expired);
    }
}
