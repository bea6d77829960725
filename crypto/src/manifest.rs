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
    /// Another manifest with the position of the pinned one: evidence of two relays with one root.
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
        let same = new.signed().payload_bytes() == pinned.signed().payload_bytes();
        return if same { Ok(()) } else { Err(ManifestFault::Equivocation(new.seq)) };
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
