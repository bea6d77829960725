//! The table of ARCHITECTURE.md, "Rooms of the house", as data: who may depend on whom.

/// What a crate may depend on.
pub(crate) struct Crate {
    pub(crate) folder: &'static str,
    pub(crate) name: &'static str,
    /// Crates of this workspace that it may depend on.
    pub(crate) siblings: &'static [&'static str],
    /// All other crates that it may depend on, where the list is closed.
    pub(crate) only: Option<&'static [&'static str]>,
    /// Crates that it never depends on.
    pub(crate) never: &'static [&'static str],
}

/// Crates that hold sockets or run tasks.
const IO: &[&str] =
    &["tokio", "tokio-util", "futures", "axum", "axum-server", "libp2p", "libp2p-stream", "reqwest", "sqlx"];

pub(crate) const CRATES: &[Crate] = &[
    Crate {
        folder: "spec",
        name: "posthouse-spec",
        siblings: &[],
        only: Some(&["minicbor", "serde", "thiserror", "hex", "base64", "bytes", "utoipa"]),
        never: &[],
    },
    Crate {
        folder: "crypto",
        name: "posthouse-crypto",
        siblings: &["posthouse-spec"],
        only: None,
        never: IO,
    },
    Crate {
        folder: "federation",
        name: "posthouse-federation",
        siblings: &["posthouse-spec", "posthouse-crypto"],
        only: None,
        never: &["sqlx", "axum", "openmls"],
    },
    Crate {
        folder: "relay",
        name: "posthouse-relay",
        siblings: &["posthouse-spec", "posthouse-crypto", "posthouse-federation"],
        only: None,
        never: &["openmls", "libp2p", "libp2p-stream"],
    },
    Crate {
        folder: "client",
        name: "posthouse-client",
        siblings: &["posthouse-spec", "posthouse-crypto"],
        only: None,
        never: &["openmls", "libp2p", "axum"],
    },
    Crate {
        folder: "client-cli",
        name: "posthouse",
        siblings: &["posthouse-spec", "posthouse-client"],
        only: None,
        never: &["openmls", "sqlx", "libp2p", "axum", "reqwest"],
    },
];

/// The one crate that alone may switch on the member's side of rooms in what is shipped.
pub(crate) const MEMBER_SIDE: &str = "client";

/// What the files of a module may not name.
pub(crate) struct Module {
    pub(crate) folder: &'static str,
    /// Modules of the crate, each with everything below it.
    pub(crate) modules: &'static [&'static str],
    /// Paths, each with everything below it.
    pub(crate) never: &'static [&'static str],
    pub(crate) why: &'static str,
}

pub(crate) const MODULES: &[Module] = &[
    Module {
        folder: "federation",
        modules: &["link", "schedule", "retry", "policy", "conduct", "budget"],
        never: &["tokio", "tokio_util", "futures", "libp2p", "libp2p_stream", "reqwest", "async_trait"],
        why: "the link is sans-IO: sockets and tasks live in node",
    },
    Module {
        folder: "federation",
        modules: &["link", "schedule", "retry", "policy", "conduct", "budget"],
        never: &["std::time", "rand", "rand_core", "getrandom"],
        why: "time and randomness are arguments of core logic",
    },
    Module {
        folder: "federation",
        modules: &["link", "schedule", "retry", "policy", "conduct", "budget"],
        never: &["crate::codec", "crate::behaviour", "crate::node", "crate::discovery"],
        why: "a core module imports nothing that does I/O",
    },
    Module {
        folder: "federation",
        modules: &["codec", "behaviour", "discovery"],
        never: &["crate::node"],
        why: "the node stands on these, not they on it",
    },
    Module {
        folder: "relay",
        modules: &["mailbox", "lane", "rooms", "quota"],
        never: &[
            "tokio",
            "tokio_util",
            "futures",
            "sqlx",
            "axum",
            "posthouse_federation",
            "std::time",
            "rand",
        ],
        why: "these are pure rules over what they are given",
    },
    Module {
        folder: "relay",
        modules: &["mailbox", "lane", "rooms", "quota"],
        never: &[
            "crate::store",
            "crate::http",
            "crate::sessions",
            "crate::outbox",
            "crate::server",
            "crate::state",
        ],
        why: "rules are below what asks them",
    },
    Module {
        folder: "relay",
        modules: &["store"],
        never: &["axum", "tower_http", "utoipa", "posthouse_federation"],
        why: "the store knows neither HTTP nor the federation; outbox.rs translates",
    },
    Module {
        folder: "relay",
        modules: &["store"],
        never: &[
            "crate::http",
            "crate::sessions",
            "crate::outbox",
            "crate::server",
            "crate::state",
            "crate::accounts",
            "crate::hub",
        ],
        why: "the store is below everything that stores",
    },
    Module {
        folder: "relay",
        modules: &["outbox", "sessions", "accounts", "hub", "mailbags"],
        never: &["crate::http", "crate::server"],
        why: "HTTP and the server stand on these, not they on them",
    },
    Module {
        folder: "relay",
        modules: &["mailbags::plan"],
        never: &[
            "tokio",
            "tokio_util",
            "futures",
            "posthouse_federation",
            "std::time",
            "rand",
            "crate::network",
        ],
        why: "what is left where is decided by a pure planner",
    },
    Module {
        folder: "relay",
        modules: &["keys"],
        never: &["tokio", "sqlx", "axum", "std::time", "crate::store", "crate::network", "crate::server"],
        why: "keys are read, replaced and written without knowing who uses them",
    },
    Module {
        folder: "relay",
        modules: &["keyring"],
        never: &["axum", "sqlx", "crate::http", "crate::server", "crate::control", "crate::cli"],
        why: "the socket and the server replace keys through the keyring, not it through them",
    },
    Module {
        folder: "relay",
        modules: &["http"],
        never: &["posthouse_federation", "crate::server", "crate::outbox", "sqlx", "libp2p"],
        why: "a handler asks state, sessions and store, never the federation itself",
    },
    Module {
        folder: "relay",
        modules: &["peers", "doctor", "canaries"],
        never: &["axum", "sqlx", "libp2p", "crate::http", "crate::control", "crate::server", "crate::cli"],
        why: "what the operator is told is the same with a running relay and without one; control and cli carry it",
    },
    Module {
        folder: "relay",
        modules: &["control"],
        never: &["sqlx", "libp2p", "crate::http", "crate::server", "crate::cli"],
        why: "the control socket stands beside the API for clients, and the server puts both together",
    },
    Module {
        folder: "client",
        modules: &["vault"],
        never: &[
            "reqwest",
            "tokio_tungstenite",
            "crate::connection",
            "crate::sync",
            "crate::rooms",
            "crate::outbox",
        ],
        why: "the vault is below everything that is kept in it",
    },
];
