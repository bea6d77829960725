//! Keys, signatures, seals, identities and rooms: everything of the protocol that needs cryptography.
//!
//! The types of `posthouse-spec` say what travels; this crate says what holds. What it has checked it returns as
//! another type ([`Verified`], [`Account`], [`KnownAccount`], [`room::Observer`]), so that nobody takes a claim for a
//! fact.
//!
//! The story, bottom up: [`secret`] holds private keys and the recovery code; [`sign`] checks and makes signed
//! containers; [`hash`] names things; [`seal`] encrypts to one device, [`mark`] for the relay itself, [`stream`] what is long,
//! and [`backup`] wraps a backup's key for whoever may open it; [`identity`] turns an account's chain of
//! events into an account; [`manifest`] follows a relay's chain of manifests; [`room`] is MLS: the observer's side,
//! which every relay runs and which can decrypt nothing, and behind the feature `member` the side that can.

pub mod backup;
pub mod hash;
pub mod identity;
pub mod mailbag;
pub mod manifest;
pub mod mark;
pub mod room;
pub mod seal;
pub mod secret;
pub mod sign;
pub mod slip;
pub mod stream;

pub use backup::FileKey;
pub use hash::{
    account_id, commit_hash, envelope_id, event_hash, key_hash, key_package_hash, manifest_hash, message_id,
    sha256,
};
pub use identity::{Account, IdentityError, KnownAccount, safety_number, verify_record};
pub use mailbag::{BagError, BagFault, open_mailbag, seal_mailbag};
pub use manifest::{ManifestFault, contradict, follow, follow_chain, lineage, precedes};
pub use seal::{SealError, open, seal_to};
pub use secret::{BadRecoveryCode, RecoveryCode, SealSecret, SigningKey};
pub use sign::{Verified, VerifyError, verify, verify_any, verify_raw};
pub use slip::{Slip, find_slip};
pub use stream::{Place, StreamKey};
