//! Identifiers, keys as others see them, positions and times: a type for each, so that none is taken for another.

use crate::cbor::{Cbor, Malformed, Reader, Writer};

macro_rules! fixed_bytes {
    ($($(#[$meta:meta])* $name:ident[$len:literal];)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// Takes the bytes as they are.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
            /// Takes a slice of exactly the right length.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                // The first bytes tell ids apart in a log without filling it.
                write!(f, "{}({}…)", stringify!($name), hex::encode(&self.0[..4]))
            }
        }

        impl std::str::FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| Malformed::BadValue(concat!(stringify!($name), " in hexadecimal")))?;
                Ok(Self(bytes))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Cbor for $name {
            fn write(&self, w: &mut Writer) {
                w.bytes(&self.0);
            }
            fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
                let bytes = r.bytes(stringify!($name), $len)?;
                Self::from_slice(bytes)
                    .ok_or(Malformed::TooLong { what: stringify!($name), len: bytes.len(), limit: $len })
            }
        }
    )+};
}

fixed_bytes! {
    /// An account: SHA-256 of its Genesis event's payload.
    AccountId[32];
    /// A device: its Ed25519 public key, so that whoever holds the id can check what the device signed.
    DeviceId[32];
    /// A room: 32 random bytes, which are the MLS group id.
    RoomId[32];
    /// An Ed25519 public key that is not a device's: root, ordering, node, recovery or leaf key.
    PublicKey[32];
    /// An X25519 public key to which things are sealed (HPKE, RFC 9180).
    SealKey[32];
    /// SHA-256 of an account event's payload; the next event names it.
    EventHash[32];
    /// SHA-256 of a commit's bytes (an MLSMessage holding a PublicMessage).
    CommitHash[32];
    /// SHA-256 of an envelope's payload.
    EnvelopeId[32];
    /// SHA-256 of a relay's first manifest's payload: the relay's identity through all key changes.
    Lineage[32];
    /// SHA-256 of a manifest's payload; the next manifest names it.
    ManifestHash[32];
    /// SHA-256 of a key package's bytes.
    KeyPackageHash[32];
    /// SHA-256 of the next root key, published before it is used.
    KeyHash[32];
    /// A one-time permit to send a Welcome for one claimed key package.
    Ticket[32];
    /// One life of a numbered sequence: a vault's or a lane's. A restore from a copy starts another one.
    Incarnation[16];
    /// A message, derived from sender, room and content (draft-ietf-mimi-content): it stands inside the seal.
    MessageId[32];
    /// An Ed25519 signature.
    Signature[64];
}

macro_rules! numbers {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The number behind this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Cbor for $name {
            fn write(&self, w: &mut Writer) {
                w.uint(self.0);
            }
            fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
                // Positions fit a signed 64-bit column, and adding one never overflows.
                match r.uint()? {
                    n if n < i64::MAX as u64 => Ok(Self(n)),
                    _ => Err(Malformed::BadValue("a number below 2^63 - 1")),
                }
            }
        }
    )+};
}

numbers! {
    /// A room's MLS epoch.
    Epoch;
    /// A device's own count of its submits in one incarnation, from 1.
    Number;
    /// A position in one device's mailbox, from 1.
    MailboxSeq;
    /// A position in a lane, from 1.
    LaneSeq;
    /// A position in an account's chain, 0 for Genesis.
    ChainSeq;
    /// A manifest's position in its chain, from 1.
    ManifestSeq;
    /// A hub's attempt to decide an epoch, from 0; a higher one replaces a decision that nobody could apply.
    Ballot;
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Millis;
}

impl Millis {
    /// The time `ms` milliseconds later; it stays at the largest time rather than wrap.
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// How far apart two times are, milliseconds.
    #[must_use]
    pub const fn abs_diff(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }
}

impl From<DeviceId> for PublicKey {
    fn from(device: DeviceId) -> Self {
        Self(*device.as_bytes())
    }
}
