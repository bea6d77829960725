//! Who vouches for an envelope out of a bag: a manifest of its origin that lists the key which signed it. The origin may have
//! replaced keys since, and may be gone for good; so what is kept here is asked first.

use posthouse_crypto::Verified;
use posthouse_federation::host::HostError;
use posthouse_federation::{Federation, Host, PeerError};
use posthouse_spec::envelope::Envelope;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::hello::PeerRule;
use posthouse_spec::{Domain, ManifestSeq, Millis, Signed};

use super::check::{BadBag, BagRule, Judged, judge};

/// Manifests of one origin that are looked through for a key: as many as the store keeps.
const MAX_LINKS: usize = 256;

/// What is known of an envelope.
pub(super) enum Vouched {
    /// It holds.
    Good(Box<Verified<Envelope>>),
    /// It does not, whoever is asked.
    Bad(BadBag),
    /// Only the origin could tell, and cannot be asked.
    Nobody(PeerError),
}

/// The manifests of an envelope's origin.
pub(super) struct Vouching<'a> {
    pub(super) federation: &'a Federation,
    pub(super) host: &'a dyn Host,
    pub(super) origin: &'a Domain,
    pub(super) now: Millis,
}

impl Vouching<'_> {
    /// Asks the pinned manifest, the kept one of the envelope's time, the newest, and those between, in this order.
    ///
    /// # Errors
    /// This relay's own store failed.
    pub(super) async fn vouch(&self, envelope: &Signed<Envelope>) -> Result<Vouched, HostError> {
        let Ok(made) = envelope.peek().map(|inside| inside.created) else {
            let bad = BadBag::new(BagRule::Peer(PeerRule::Malformed), "the envelope cannot be read");
            return Ok(Vouched::Bad(bad));
        };
        if let Some(pinned) = self.federation.pinned_manifest(self.origin).await.map_err(HostError::new)? {
            match judge(envelope, &pinned, self.now) {
                Ok(Judged::UnknownKey) => {}
                judged => return Ok(self.settled(judged)),
            }
            if let Some(link) = self.kept_at(made).await?
                && let Ok(Judged::Good(envelope)) = judge(envelope, &link, self.now)
            {
                return Ok(Vouched::Good(envelope));
            }
        }
        Ok(match self.asked(envelope, made).await {
            Ok(judged) => self.settled(judged),
            Err(error) => Vouched::Nobody(error),
        })
    }

    fn settled(&self, judged: Result<Judged, BadBag>) -> Vouched {
        match judged {
            Ok(Judged::Good(envelope)) => Vouched::Good(envelope),
            Ok(Judged::UnknownKey) => {
                let detail = format!("no manifest of {} lists the key that signed the envelope", self.origin);
                Vouched::Bad(BadBag::new(BagRule::Peer(PeerRule::EnvelopeSignature), detail))
            }
            Err(bad) => Vouched::Bad(bad),
        }
    }

    /// The kept manifest that was the newest when the envelope was made.
    async fn kept_at(&self, made: Millis) -> Result<Option<Manifest>, HostError> {
        let (mut at, mut then) = (ManifestSeq(1), None);
        for _ in 0..MAX_LINKS {
            let link = self.host.pinned_from(self.origin, at).await?;
            let Some(Ok(link)) = link.map(|link| link.peek()) else { break };
            if link.created > made {
                break;
            }
            at = link.seq.next();
            then = Some(link);
        }
        Ok(then)
    }

    /// What the newest manifest says, and where that lists another key, those before it, back to the one that was the newest
    /// when the envelope was made.
    async fn asked(
        &self,
        envelope: &Signed<Envelope>,
        made: Millis,
    ) -> Result<Result<Judged, BadBag>, PeerError> {
        let mut manifest = self.federation.newest_manifest(self.origin).await?;
        for _ in 0..MAX_LINKS {
            let judged = judge(envelope, &manifest, self.now);
            match earlier(&manifest, made) {
                Some(seq) if matches!(judged, Ok(Judged::UnknownKey)) => {
                    manifest = self.federation.manifest_at(self.origin, seq).await?;
                }
                _ => return Ok(judged),
            }
        }
        Ok(Ok(Judged::UnknownKey))
    }
}

/// Where the manifest before this one stands, if that too was the newest at some time since the envelope was made.
fn earlier(manifest: &Manifest, made: Millis) -> Option<ManifestSeq> {
    (manifest.created > made && manifest.seq > ManifestSeq(1)).then(|| ManifestSeq(manifest.seq.0 - 1))
}

#[cfg(test)]
mod tests {
    use posthouse_crypto::SigningKey;
    use posthouse_spec::KeyHash;
    use posthouse_spec::cbor::{List, Text};

    use super::*;

    fn manifest(seq: u64) -> Manifest {
        let key = SigningKey::from_seed(&[7; 32]).public();
        Manifest {
            domain: "a.example".parse().unwrap(),
            seq: ManifestSeq(seq),
            previous: None,
            root: key,
            next_root: KeyHash::new([0; 32]),
            ordering: key,
            nodes: List::default(),
            addresses: List::default(),
            client_url: Text::clipped("https://a.example"),
            created: Millis(seq * 1_000),
            lineage: None,
            mailbags: None,
            circuits: None,
        }
    }

    /// The manifests of a chain of nine that are asked about an envelope whose key none of them lists.
    fn asked(made: u64) -> Vec<u64> {
        let next = |seq: &u64| earlier(&manifest(*seq), Millis(made)).map(|seq| seq.0);
        std::iter::successors(Some(9), next).collect()
    }

    #[test]
    fn the_manifests_since_an_envelope_was_made_are_asked_and_no_others() {
        assert_eq!(asked(9_500), [9]);
        assert_eq!(asked(6_500), [9, 8, 7, 6], "the last was the newest when it was made");
        assert_eq!(asked(0), [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    }
}
