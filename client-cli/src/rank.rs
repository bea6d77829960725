//! Roles and ciphersuites, as people type them and as requests hold them.

use clap::ValueEnum;
use posthouse_spec::room::{Role, Suite};
use serde::{Deserialize, Serialize};

/// A role in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rank {
    /// Everybody in the room.
    Member,
    /// Manages members.
    Admin,
    /// Manages everything.
    Owner,
}

impl From<Rank> for Role {
    fn from(rank: Rank) -> Self {
        match rank {
            Rank::Member => Self::Member,
            Rank::Admin => Self::Admin,
            Rank::Owner => Self::Owner,
        }
    }
}

/// With what a room is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Seal {
    /// Holds against quantum computers too.
    #[default]
    PostQuantum,
    /// For rooms of more devices.
    Classic,
}

impl From<Seal> for Suite {
    fn from(seal: Seal) -> Self {
        match seal {
            Seal::PostQuantum => Self::PostQuantum,
            Seal::Classic => Self::Classic,
        }
    }
}
