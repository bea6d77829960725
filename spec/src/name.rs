//! Names that people type: domains and aliases.

use std::fmt;
use std::str::FromStr;

use crate::cbor::{Cbor, Malformed, Reader, Writer};
use crate::limits::{MAX_ALIAS_NAME, MAX_DOMAIN};

/// A relay's DNS name in ASCII (IDNA A-labels), lower case, without a trailing dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(std::sync::Arc<str>);

/// The part of an alias before the `@`: 1–64 of `a-z 0-9 . _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AliasName(std::sync::Arc<str>);

/// `name@domain`: what a relay binds to an account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias {
    /// The part before the `@`.
    pub name: AliasName,
    /// The relay's domain.
    pub domain: Domain,
}

/// What is wrong with a name that somebody typed or sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Not a DNS name in the form this protocol uses.
    #[error(
        "`{0}` is not a domain: write a DNS name in lower case such as a.example (international names in their xn-- form)"
    )]
    Domain(String),
    /// Not a name part.
    #[error("`{0}` is not a name: use 1 to 64 of a-z, 0-9, dot, underscore and hyphen")]
    Name(String),
    /// No `@` between name and domain.
    #[error("`{0}` is not an alias: write it as name@domain, for example alice@a.example")]
    Alias(String),
}

impl Domain {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is `localhost` or below it: always loopback, never asked of DNS.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        &*self.0 == "localhost" || self.0.ends_with(".localhost")
    }
}

impl AliasName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl FromStr for Domain {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        // URL parsers read a name whose last label is a number, such as 10.0.0.1 or 0x7f000001, as an IPv4 address.
        let last = text.rsplit('.').next().unwrap_or_default();
        let numeric = last.starts_with(|c: char| c.is_ascii_digit());
        if text.len() > MAX_DOMAIN || numeric || !text.split('.').all(is_label) {
            return Err(BadName::Domain(text.chars().take(MAX_DOMAIN).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for AliasName {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > MAX_ALIAS_NAME || !text.bytes().all(allowed) {
            return Err(BadName::Name(text.chars().take(MAX_ALIAS_NAME).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for Alias {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let (name, domain) = text.split_once('@').ok_or_else(|| BadName::Alias(text.to_owned()))?;
        Ok(Self { name: name.parse()?, domain: domain.parse()? })
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.domain)
    }
}

impl fmt::Debug for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Cbor for Alias {
    fn write(&self, w: &mut Writer) {
        w.text(&self.to_string());
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        r.text("alias", MAX_ALIAS_NAME + 1 + MAX_DOMAIN)?
            .parse()
            .map_err(|_| Malformed::BadValue("an alias is name@domain"))
    }
}

macro_rules! text_name {
    ($name:ident, $limit:ident, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Cbor for $name {
            fn write(&self, w: &mut Writer) {
                w.text(&self.0);
            }
            fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
                r.text($what, $limit)?.parse().map_err(|_| Malformed::BadValue($what))
            }
        }
    };
}

text_name!(Domain, MAX_DOMAIN, "a domain");
text_name!(AliasName, MAX_ALIAS_NAME, "the name of an alias");

macro_rules! serde_as_text {
    ($($name:ident),+) => {$(
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
    )+};
}

serde_as_text!(Domain, AliasName, Alias);
