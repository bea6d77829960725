//! What a method is: its name, its parameters, and the shape of its answer.

use posthouse_client::Who;
use posthouse_spec::Alias;
use posthouse_spec::client::http::Base64;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::args::history::Keep;
use crate::rank::{Rank, Seal};

/// One method.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Method {
    /// The name; with hyphens for underscores it is a `command` of [`crate::request::Request`].
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) does: &'static str,
    /// What it takes, by name.
    pub(crate) params: &'static [Param],
    /// What it answers.
    pub(crate) result: Shape,
}

/// One parameter.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// What it means.
    pub(crate) is: &'static str,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// An alias, such as `bob@b.example`.
    Alias,
    /// A list of aliases.
    Aliases,
    /// An alias, or an account's id.
    Person,
    /// A list of those.
    Persons,
    /// A role in a room.
    Role,
    /// A ciphersuite.
    Suite,
    /// How long a conversation is kept.
    Keep,
    /// Bytes, as base64url without padding.
    Bytes,
    /// A string.
    Text,
    /// A list of strings, at least one, none of them blank.
    Texts,
    /// A whole number from 0.
    Number,
    /// A list of whole numbers from 0.
    Numbers,
    /// `true` or `false`.
    Flag,
}

/// What a method answers. Every answer is an object with `warnings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// Nothing else.
    Nothing,
    /// The fields of one line of this type.
    One {
        #[serde(rename = "type")]
        of: &'static str,
    },
    /// A list of lines of this type, in `field`.
    List {
        field: &'static str,
        #[serde(rename = "type")]
        of: &'static str,
    },
    /// The fields named, of `rpc` itself.
    Own { fields: &'static [&'static str] },
}

/// A parameter that must be there.
pub(crate) const fn required(name: &'static str, kind: Kind, is: &'static str) -> Param {
    Param { name, kind, required: true, is }
}

/// A parameter that may be there.
pub(crate) const fn optional(name: &'static str, kind: Kind, is: &'static str) -> Param {
    Param { name, kind, required: false, is }
}

impl Method {
    /// Whether it takes a parameter of that name.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.params.iter().any(|param| param.name == name)
    }

    /// Checks names and kinds of what was given.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub(crate) fn check(&self, given: &Map<String, Value>) -> Result<(), String> {
        for (name, value) in given {
            let Some(param) = self.params.iter().find(|param| param.name == name) else {
                return Err(format!("`{}` takes no parameter `{name}`: {}", self.name, self.usage()));
            };
            if !param.kind.is_of(value) {
                return Err(format!("`{name}` of `{}` is {}: {}", self.name, param.kind.words(), param.is));
            }
        }
        match self.params.iter().find(|param| param.required && !given.contains_key(param.name)) {
            Some(missing) => {
                Err(format!("`{}` needs the parameter `{}`: {}", self.name, missing.name, self.usage()))
            }
            None => Ok(()),
        }
    }

    /// What it takes, in words.
    pub(crate) fn usage(&self) -> String {
        let names: Vec<String> = self
            .params
            .iter()
            .map(|param| format!("`{}`{}", param.name, if param.required { " (required)" } else { "" }))
            .collect();
        if names.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", names.join(", ")) }
    }
}

impl Kind {
    fn is_of(self, value: &Value) -> bool {
        let all = |is: fn(&Value) -> bool| value.as_array().is_some_and(|values| values.iter().all(is));
        match self {
            Self::Alias => value.as_str().is_some_and(|text| text.parse::<Alias>().is_ok()),
            Self::Aliases => all(|value| Self::Alias.is_of(value)),
            Self::Person => is::<Who>(value),
            Self::Persons => is::<Vec<Who>>(value),
            Self::Role => is::<Rank>(value),
            Self::Suite => is::<Seal>(value),
            Self::Keep => is::<Keep>(value),
            Self::Bytes => is::<Base64>(value),
            Self::Text => value.is_string(),
            Self::Texts => {
                let text = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
                value != &Value::Array(Vec::new()) && all(text)
            }
            Self::Number => value.is_u64(),
            Self::Numbers => all(Value::is_u64),
            Self::Flag => value.is_boolean(),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Alias => "an alias, such as \"bob@b.example\"",
            Self::Aliases => "a list of aliases, such as [\"bob@b.example\"]",
            Self::Person => "an alias, such as \"bob@b.example\", or an account's id",
            Self::Persons => "a list of aliases, such as [\"bob@b.example\"], or of accounts' ids",
            Self::Role => "\"member\", \"admin\" or \"owner\"",
            Self::Keep => "a number of days, or \"off\"",
            Self::Suite => "\"post-quantum\" or \"classic\"",
            Self::Bytes => "bytes as base64url without padding",
            Self::Text => "a text, in quotation marks",
            Self::Texts => "a list of texts, at least one and none of them empty",
            Self::Number => "a whole number, 0 or more",
            Self::Numbers => "a list of whole numbers",
            Self::Flag => "true or false",
        }
    }
}

/// Whether a value is one of these.
fn is<T: DeserializeOwned>(value: &Value) -> bool {
    serde_json::from_value::<T>(value.clone()).is_ok()
}
