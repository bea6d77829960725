//! Following a relay's chain of manifests from the one that was pinned.

use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Lineage, ManifestSeq, Signed};

use crate::hash::{key_hash, manifest_hash, sha256};
use crate::sign::{Verified, VerifyError, verify};

/// Why a manifest is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    /// The signature of its own root key does not hold, or its form is wrong.
    #[error("the manifest's signature by its root key does not hold: {0}")]
    Signature(#[from] VerifyError),
    /// It is another relay's.
    #[error("wrong-domain: asked for {expected}, got a manifest of {found}")]
    Domain {
        /// The domain that was asked for.
        expected: Domain,
        /// The domain in the manifest.
        found: Domain,
    },
    /// Position, previous hash and lineage do not fit each other: the first manifest has position 1 and neither hash,
    /// each later one has both.
    #[error("bad-form: a first manifest names no previous one and no lineage, a later one names both")]
    Form,
    /// It is older than the pinned one.
    #[error("rolled-back: the manifest has position {found}, but {pinned} is known already")]
    RolledBack {
        /// The position that is pinned.
        pinned: ManifestSeq,
        /// The position in the new manifest.
        found: ManifestSeq,
    },
    /// Another manifest with the position of the pinned one, by a key that could sign it: evidence of two relays with
    /// one root.
    #[error(
        "equivocation: two different manifests have position {0}; ask the relay's operator which one is right before \
         pinning it again"
    )]
    Equivocation(ManifestSeq),
    /// Its root is neither the pinned root nor the one announced to follow it.
    #[error("root-changed: the root key is neither the pinned one nor the one that it announced")]
    Root,
    /// It directly follows the pinned manifest by its position, but not by its hash.
    #[error("previous-hash: the manifest does not name the pinned one as the one before it")]
    Previous,
    /// It belongs to another chain of manifests.
    #[error("other-lineage: the manifest belongs to another relay that uses the same name")]
    Lineage,
}

/// A relay's identity through all changes of its keys: the hash of its first manifest.
#[must_use]
pub fn lineage(manifest: &Verified<Manifest>) -> Lineage {
    manifest.lineage.unwrap_or_else(|| Lineage::new(sha256(manifest.signed().payload_bytes())))
}

/// Checks a manifest of `domain` by itself and, where one is pinned, as its successor. Without a pinned one this is
/// trust on first use: only the root's own signature and the form are checked.
///
/// # Errors
/// The rule that the manifest breaks.
pub fn follow(
    domain: &Domain,
    pinned: Option<&Signed<Manifest>>,
    new: &Signed<Manifest>,
) -> Result<Verified<Manifest>, ManifestFault> {
    let manifest = check_alone(domain, new)?;
    if let Some(pinned) = pinned {
        check_successor(&check_alone(domain, pinned)?, &manifest)?;
    }
    Ok(manifest)
}

/// Follows a chain from the pinned manifest over the links behind it, in their order, to the newest one. The root may
/// have changed several times on the way.
///
/// # Errors
/// The rule that the first unfit link breaks.
pub fn follow_chain(
    domain: &Domain,
    pinned: &Signed<Manifest>,
    links: &[Signed<Manifest>],
    newest: &Signed<Manifest>,
) -> Result<Verified<Manifest>, ManifestFault> {
    let mut last = pinned;
    for link in links {
        follow(domain, Some(last), link)?;
        last = link;
    }
    follow(domain, Some(last), newest)
}

/// Checks that a manifest stands in the chain right before `later`, which was verified: `later` names it by its hash.
///
/// # Errors
/// The rule that it breaks.
pub fn precedes(
    domain: &Domain,
    later: &Manifest,
    earlier: &Signed<Manifest>,
) -> Result<Verified<Manifest>, ManifestFault> {
    let manifest = check_alone(domain, earlier)?;
    if manifest.seq.next() != later.seq || later.previous != Some(manifest_hash(earlier)) {
        return Err(ManifestFault::Previous);
    }
    Ok(manifest)
}

/// Whether two manifests of one position contradict each other, so that both together are evidence: both are signed by
/// one root; or the `other` one is signed by the root that the manifest `before` both had announced, and the pinned one
/// is not. Neither a stranger nor a thief of a root that was replaced since can make evidence.
#[must_use]
pub fn contradict(
    domain: &Domain,
    before: Option<&Signed<Manifest>>,
    pinned: &Signed<Manifest>,
    other: &Signed<Manifest>,
) -> bool {
    match follow(domain, Some(pinned), other) {
        Err(ManifestFault::Equivocation(_)) => return true,
        Err(ManifestFault::Root) => {}
        _ => return false,
    }
    let Some(before) = before else { return false };
    let (Ok(last), Ok(pinned), Ok(other)) =
        (check_alone(domain, before), check_alone(domain, pinned), check_alone(domain, other))
    else {
        return false;
    };
    let direct = last.seq.next() == pinned.seq && pinned.seq == other.seq;
    let announced = other.root != last.root && pinned.root == last.root;
    direct && announced && [&pinned, &other].iter().all(|new| check_successor(&last, new).is_ok())
}

fn check_alone(domain: &Domain, signed: &Signed<Manifest>) -> Result<Verified<Manifest>, ManifestFault> {
    let claimed = signed.peek().map_err(|fault| {
        ManifestFault::Signature(VerifyError::Malformed { label: posthouse_spec::labels::MANIFEST, fault })
    })?;
    let manifest = verify(signed, &claimed.root)?;
    if manifest.domain != *domain {
        return Err(ManifestFault::Domain { expected: domain.clone(), found: manifest.domain.clone() });
    }
    let first = manifest.seq == ManifestSeq(1);
    if manifest.seq == ManifestSeq(0)
        || manifest.previous.is_none() != first
        || manifest.lineage.is_none() != first
    {
        return Err(ManifestFault::Form);
    }
    Ok(manifest)
}

fn check_successor(pinned: &Verified<Manifest>, new: &Verified<Manifest>) -> Result<(), ManifestFault> {
    if new.seq < pinned.seq {
        return Err(ManifestFault::RolledBack { pinned: pinned.seq, found: new.seq });
    }
    if new.seq == pinned.seq {
        if new.signed().payload_bytes() == pinned.signed().payload_bytes() {
            return Ok(());
        }
        // Anybody can write a domain and a position; only the same root's second word is evidence against it.
        return Err(if new.root == pinned.root {
            ManifestFault::Equivocation(new.seq)
        } else if lineage(new) == lineage(pinned) {
            ManifestFault::Root
        } else {
            ManifestFault::Lineage
        });
    }
    if lineage(new) != lineage(pinned) {
        return Err(ManifestFault::Lineage);
    }
    if new.root != pinned.root && key_hash(&new.root) != pinned.next_root {
        return Err(ManifestFault::Root);
    }
    if new.seq == pinned.seq.next() && new.previous != Some(manifest_hash(pinned.signed())) {
        return Err(ManifestFault::Previous);
    }
    Ok(())
}
