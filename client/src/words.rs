//! How the protocol's codes stand in JSON: by their names.

use posthouse_spec::room::{Role, RoomKind, Suite};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a code by its name.
pub(crate) fn as_text<T: std::fmt::Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads a kind of room.
pub(crate) fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RoomKind, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = RoomKind::ALL.iter().copied().find(|kind| kind.name() == name);
    known.ok_or_else(|| D::Error::custom("a kind of room"))
}

/// Reads a ciphersuite.
pub(crate) fn suite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Suite, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = Suite::ALL.iter().copied().find(|suite| suite.name() == name);
    known.ok_or_else(|| D::Error::custom("a ciphersuite"))
}

/// Reads a role.
pub(crate) fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    role_of(&String::deserialize(deserializer)?)
}

fn role_of<E: serde::de::Error>(name: &str) -> Result<Role, E> {
    let known = Role::ALL.iter().copied().find(|role| role.name() == name);
    known.ok_or_else(|| E::custom("`member`, `admin` or `owner`"))
}

/// A role that may be absent.
pub(crate) mod optional_role {
    use super::{Deserialize, Deserializer, Role, Serialize, Serializer, role_of};

    /// Writes it by its name.
    pub(crate) fn serialize<S: Serializer>(role: &Option<Role>, serializer: S) -> Result<S::Ok, S::Error> {
        role.map(Role::name).serialize(serializer)
    }

    /// Reads it.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Role>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|name| role_of(&name)).transpose()
    }
}
