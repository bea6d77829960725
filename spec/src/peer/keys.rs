//! `/posthouse/keys/1`: account chains and key package claims between relays.

use crate::account::{AccountRecord, Chain, ClaimedKeyPackages, KeyClaim};
use crate::ids::AccountId;
use crate::name::AliasName;
use crate::peer::hello::PeerRefusal;
use crate::peer::room::RoomRefusal;
use crate::sign1::Signed;
use crate::{choice, record};

/// The libp2p protocol name.
pub const PROTOCOL: &str = "/posthouse/keys/1";

record! {
    /// A claim with the claimant's chain, so that the home relay of the claimed can check who asks.
    pub struct ClaimRequest {
        /// The claim, signed by the claiming device.
        1 => claim: Signed<KeyClaim>,
        /// Who the claimant is.
        2 => claimant: AccountRecord,
    }
}

choice! {
    /// What is asked.
    #[expect(clippy::large_enum_variant, reason = "one lives at a time, and most of it is on the heap anyway")]
    pub enum KeysRequest {
        /// Who is behind a name at this relay?
        1 => Alias(AliasName),
        /// An account's chain.
        2 => Chain(AccountId),
        /// Key packages.
        3 => Claim(ClaimRequest),
        /// Who is this account at this relay? Asked for a member of a room, who is known by account.
        4 => Record(AccountId),
    }
}

choice! {
    /// The answer.
    pub enum KeysResponse {
        /// To `Alias` and `Record`.
        1 => Account(AccountRecord),
        /// To `Chain`.
        2 => Chain(Chain),
        /// To `Claim`.
        3 => KeyPackages(ClaimedKeyPackages),
        /// The question is fine, but the answer is no.
        4 => Refused(RoomRefusal),
        /// The asking relay broke a rule.
        5 => Rejected(PeerRefusal),
    }
}
