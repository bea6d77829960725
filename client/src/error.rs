//! What can go wrong, said for the one who has to do something about it.

use posthouse_spec::client::Refusal;
use posthouse_spec::name::BadName;
use posthouse_spec::{Alias, Domain};

use crate::history::error::HistoryError;
use crate::room_error::RoomFault;
pub use crate::vault_error::VaultError;

/// The kind of trouble, from which a program makes its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// What was asked for makes no sense here.
    Usage,
    /// The relay, or another one, cannot be reached or talks nonsense.
    Network,
    /// The relay does not take us for who we say we are.
    Auth,
    /// The vault cannot be opened or written.
    Vault,
    /// The relay understood and said no.
    Refused,
}

/// Why something did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A name that is none.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// A profile name that is none.
    #[error("`{0}` is not a profile name: use 1 to 64 letters, digits, dots, underscores and hyphens")]
    BadProfileName(String),
    /// No folder for profiles is known.
    #[error("cannot tell where profiles are kept: set POSTHOUSE_HOME (or HOME) to a folder")]
    NoHome,
    /// The relay's URL cannot be used.
    #[error("cannot use `{url}` as a relay: {why}")]
    BadRelayUrl {
        /// The URL.
        url: String,
        /// Why not, and what to write.
        why: String,
    },
    /// The profile has an account already.
    #[error("this profile is registered as {0} already: use another --profile for another account")]
    AlreadyRegistered(Alias),
    /// The profile has begun to register as somebody else.
    #[error(
        "this profile has begun to register as {begun}: finish that, or use another --profile for {asked}"
    )]
    OtherRegistration {
        /// The alias of the unfinished registration.
        begun: Alias,
        /// The alias now asked for.
        asked: Alias,
    },
    /// The registration was not finished.
    #[error(
        "the registration of {0} is unfinished: run `register {0}` again, which goes on where it stopped"
    )]
    NotRegistered(Alias),
    /// The text is longer than a message may be.
    #[error("the text has {len} bytes and a message takes at most {limit}: send it in parts")]
    TextTooLong {
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// Nobody talks to whom is named.
    #[error("there is no conversation {0} in this vault: see `rooms`")]
    UnknownConversation(String),
    /// There is no such message.
    #[error("there is no message {0} in this vault")]
    UnknownMessage(u64),
    /// Nobody of that alias asks to talk.
    #[error("nobody called {0} asks to talk: see `requests`")]
    NoRequest(Alias),
    /// Nobody of that alias is known here.
    #[error("nobody called {0} is known to this vault: write to them first, or check the spelling")]
    UnknownPerson(Alias),
    /// Somebody is blocked.
    #[error("{0} is blocked: `accept {0}` lifts that")]
    Blocked(Alias),
    /// The alias is one's own.
    #[error("{0} is this account itself: name somebody else")]
    OwnAlias(Alias),
    /// An alias stands for another account than before.
    #[error(
        "{0} is not who it was: their relay now names another account. Compare safety numbers with the person, then \
         `accept {0}` to take the new account for them"
    )]
    AccountChanged(Alias),
    /// A sync is running on this vault.
    #[error("a sync is running already: it sends what you do meanwhile")]
    SyncRunning,
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The relay cannot be reached.
    #[error(
        "cannot reach the relay at {url} to {doing}: {why}. Check that it runs and that the URL is right"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What was tried.
        doing: String,
        /// Why it failed.
        why: String,
    },
    /// The relay answers what this client cannot believe or understand.
    #[error("the relay at {url} gave a wrong answer when asked to {doing}: {why}")]
    WrongAnswer {
        /// Where it is.
        url: String,
        /// What was tried.
        doing: String,
        /// What is wrong.
        why: String,
    },
    /// The relay serves another domain.
    #[error("the relay at {url} is {found}, not {expected}: give the URL of {expected} with --relay")]
    OtherRelay {
        /// Where it is.
        url: String,
        /// The domain of the alias.
        expected: Domain,
        /// The domain that it serves.
        found: Domain,
    },
    /// Another relay's identity does not hold.
    #[error("cannot trust the relay {domain}: {why}")]
    UntrustedRelay {
        /// Its domain.
        domain: Domain,
        /// Why.
        why: String,
    },
    /// Somebody's identity does not hold.
    #[error("cannot trust what the relay says of {alias}: {why}")]
    UntrustedAccount {
        /// Their alias.
        alias: Alias,
        /// Why.
        why: String,
    },
    /// The identity of somebody in a room does not hold.
    #[error("cannot trust what {home} says of one of its people: {why}")]
    UntrustedMember {
        /// Their relay.
        home: Domain,
        /// Why.
        why: String,
    },
    /// Something cannot be done in a room.
    #[error(transparent)]
    RoomFault(#[from] RoomFault),
    /// The relay said no.
    #[error("could not {doing}: {detail}")]
    Refused {
        /// What was tried.
        doing: String,
        /// Why, by its stable name.
        reason: Refusal,
        /// In the relay's words.
        detail: String,
    },
    /// Something with history or a backup.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Something of a room does not work.
    #[error("could not {doing}: {why}")]
    Room {
        /// What was tried.
        doing: String,
        /// Why it failed.
        why: String,
    },
}

impl ClientError {
    /// The stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadName(_) => "bad-name",
            Self::BadProfileName(_) => "bad-profile-name",
            Self::NoHome => "no-home",
            Self::BadRelayUrl { .. } => "bad-relay-url",
            Self::AlreadyRegistered(_) => "already-registered",
            Self::OtherRegistration { .. } => "other-registration",
            Self::NotRegistered(_) => "not-registered",
            Self::TextTooLong { .. } => "text-too-long",
            Self::UnknownConversation(_) => "unknown-conversation",
            Self::UnknownMessage(_) => "unknown-message",
            Self::NoRequest(_) => "no-request",
            Self::UnknownPerson(_) => "unknown-person",
            Self::Blocked(_) => "blocked",
            Self::OwnAlias(_) => "own-alias",
            Self::AccountChanged(_) => "account-changed",
            Self::SyncRunning => "sync-running",
            Self::Vault(error) => error.code(),
            Self::Unreachable { .. } => "relay-not-running",
            Self::WrongAnswer { .. } => "wrong-answer",
            Self::OtherRelay { .. } => "other-relay",
            Self::UntrustedRelay { .. } => "untrusted-relay",
            Self::UntrustedAccount { .. } => "untrusted-account",
            Self::UntrustedMember { .. } => "untrusted-account",
            Self::RoomFault(fault) => fault.code(),
            Self::Refused { reason, .. } => reason.name(),
            Self::History(error) => error.code(),
            Self::Room { .. } => "room-failed",
        }
    }

    /// The kind of trouble.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Vault(_) => Category::Vault,
            Self::Unreachable { .. } | Self::WrongAnswer { .. } | Self::OtherRelay { .. } => {
                Category::Network
            }
            Self::Refused { reason, .. } => of_refusal(*reason),
            Self::UntrustedRelay { .. }
            | Self::UntrustedAccount { .. }
            | Self::UntrustedMember { .. }
            | Self::RoomFault(RoomFault::NotAllowed { .. })
            | Self::AccountChanged(_)
            | Self::History(HistoryError::NotEnrolled(_))
            | Self::Room { .. } => Category::Refused,
            _ => Category::Usage,
        }
    }

    /// Whether trying the same again later may work.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::WrongAnswer { .. } => true,
            Self::Refused { reason, .. } => matches!(
                reason,
                Refusal::Busy
                    | Refusal::RelayUnreachable
                    | Refusal::RateLimited
                    | Refusal::Internal
                    | Refusal::ShuttingDown
                    | Refusal::Unauthenticated
                    | Refusal::ClockSkew
            ),
            _ => false,
        }
    }
}

fn of_refusal(reason: Refusal) -> Category {
    match reason {
        Refusal::Unauthenticated | Refusal::RolledBack | Refusal::Superseded => Category::Auth,
        Refusal::RelayUnreachable | Refusal::Busy | Refusal::ShuttingDown | Refusal::Internal => {
            Category::Network
        }
        _ => Category::Refused,
    }
}
