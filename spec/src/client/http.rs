//! The HTTP API's JSON bodies. Ids are lower-case hexadecimal; other binary values are base64url without padding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::cbor::{Cbor, Malformed};
use crate::client::Refusal;
use crate::ids::{AccountId, DeviceId, Epoch, Millis, RoomId};
use crate::name::{Alias, Domain};

/// Bytes in JSON: base64url without padding.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = Binary))]
pub struct Base64(pub Vec<u8>);

impl Base64 {
    /// The canonical encoding of a value.
    pub fn of(value: &impl Cbor) -> Self {
        Self(value.to_cbor())
    }
    /// Reads a value from its canonical encoding.
    ///
    /// # Errors
    /// The rule of the encoding that the bytes break.
    pub fn read<T: Cbor>(&self) -> Result<T, Malformed> {
        T::from_cbor(&self.0)
    }
}

impl std::fmt::Debug for Base64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Base64({} bytes)", self.0.len())
    }
}

impl From<Base64> for String {
    fn from(bytes: Base64) -> Self {
        URL_SAFE_NO_PAD.encode(bytes.0)
    }
}

impl TryFrom<String> for Base64 {
    type Error = Malformed;
    fn try_from(text: String) -> Result<Self, Malformed> {
        URL_SAFE_NO_PAD.decode(text).map(Self).map_err(|_| Malformed::BadValue("base64url without padding"))
    }
}

macro_rules! body {
    ($($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty),* $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty),* }
    )+};
}

body! {
    /// `POST /v1/accounts`: registers an account. Sent again, it gives the same answer.
    RegisterRequest {
        /// The account's chain: a CBOR array of signed events, Genesis first.
        chain: Base64,
        /// The signed alias claim, as CBOR byte string.
        claim: Base64,
        /// An invite token, where the relay asks for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invite: Option<String>,
    }
    /// The answer to a registration.
    RegisterResponse {
        /// The signed alias binding, as CBOR byte string.
        binding: Base64,
    }
    /// `POST /v1/challenges`: asks for a login challenge.
    ChallengeRequest {
        /// The account.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        account: AccountId,
        /// The device.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        device: DeviceId,
    }
    /// A login challenge.
    ChallengeResponse {
        /// 32 random bytes.
        challenge: Base64,
        /// The relay's domain, which the answer names.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        domain: Domain,
        /// The relay's clock, milliseconds since 1970.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        now: Millis,
    }
    /// `POST /v1/sessions`: answers a challenge.
    LoginRequest {
        /// The signed login, as CBOR byte string.
        login: Base64,
    }
    /// A session.
    LoginResponse {
        /// The bearer token for the `Authorization` header.
        token: String,
        /// When it ends, milliseconds since 1970.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        expires: Millis,
    }
    /// One device of the session's account.
    DeviceInfo {
        /// The device.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        device: DeviceId,
        /// Whether it is connected now.
        online: bool,
        /// Key packages left in suite 0x0003.
        key_packages_classic: u64,
        /// Key packages left in suite 0x004e.
        key_packages_post_quantum: u64,
    }
    /// `GET /v1/devices`.
    DevicesResponse {
        /// The active devices of the account.
        devices: Vec<DeviceInfo>,
    }
    /// `GET /v1/aliases/{alias}`: who is behind an alias, at this relay or at another.
    AccountResponse {
        /// The account record as CBOR.
        record: Base64,
        /// The signed manifest of the alias's relay, as CBOR byte string.
        manifest: Base64,
    }
    /// `GET /v1/relays/{domain}`: a relay's manifest, as this relay has verified it.
    RelayResponse {
        /// The signed manifest, as CBOR byte string.
        manifest: Base64,
    }
    /// `POST /v1/key-packages`: adds key packages of the session's device.
    KeyPackageUpload {
        /// The MLS ciphersuite.
        suite: u16,
        /// MLS KeyPackages as MLSMessages.
        key_packages: Vec<Base64>,
        /// The marked last resort, which replaces the one before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_resort: Option<Base64>,
    }
    /// `GET /v1/key-packages`: how many are left.
    KeyPackageCounts {
        /// In suite 0x0003.
        classic: u64,
        /// In suite 0x004e.
        post_quantum: u64,
    }
    /// `POST /v1/claims`: claims key packages, at this relay or at another.
    ClaimRequest {
        /// The signed key claim, as CBOR byte string.
        claim: Base64,
    }
    /// The claimed key packages.
    ClaimResponse {
        /// A CBOR array of claimed key packages.
        key_packages: Base64,
    }
    /// `PUT /v1/rooms/{room}`: founds a room; this relay becomes its hub. Sent again, it gives the same answer.
    RoomCreate {
        /// The MLS GroupInfo of epoch 0 with the ratchet tree, as an MLSMessage.
        group_info: Base64,
    }
    /// A room as the relay sees it.
    RoomResponse {
        /// The room.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        room: RoomId,
        /// Its epoch.
        #[cfg_attr(feature = "openapi", schema(value_type = u64))]
        epoch: Epoch,
        /// Its hub.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        hub: Domain,
    }
    /// `POST /v1/rooms/{room}/commits`: asks the hub to decide a commit, through this relay.
    CommitRequest {
        /// The commit upload as CBOR.
        upload: Base64,
    }
    /// A decided commit.
    CommitResponse {
        /// The decided commit as CBOR.
        decided: Base64,
    }
    /// `PUT /v1/blocks/{account}`, `DELETE /v1/blocks/{account}`: blocks an account, or no longer.
    BlockResponse {
        /// Whether it is blocked now.
        blocked: bool,
    }
    /// The body of every refusal.
    ErrorBody {
        /// The refusal's stable name.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        error: Refusal,
        /// What was tried, why it failed, what to do.
        detail: String,
        /// For a stale epoch: what was decided instead, as CBOR.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decided: Option<Base64>,
    }
    /// `GET /v1/account`: the session's own account.
    WhoamiResponse {
        /// The alias.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        alias: Alias,
        /// The account.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        account: AccountId,
        /// The device.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        device: DeviceId,
    }
}
