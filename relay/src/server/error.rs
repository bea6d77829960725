//! Why a relay does not start.

use std::net::SocketAddr;

use posthouse_federation::BindError;

use crate::config::TlsFault;
use crate::control::server::NoSocket;
use crate::keys::KeysError;
use crate::mailbags::MailbagKeyError;
use crate::manifest::ManifestError;
use crate::store::StoreError;

/// Why a relay does not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The certificate files.
    #[error(transparent)]
    Tls(#[from] TlsFault),
    /// The relay's own keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The key of its mailbags.
    #[error(transparent)]
    MailbagKey(#[from] MailbagKeyError),
    /// The relay's own manifests.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node for other relays.
    #[error(transparent)]
    Node(#[from] BindError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] NoSocket),
    /// Another program has the port.
    #[error(
        "listening for {what} at {address}: another program has that port; stop it, or set `{key}` to another address"
    )]
    PortTaken {
        /// Who would have connected.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The key that sets it.
        key: &'static str,
    },
    /// The system does not let the relay listen.
    #[error(
        "listening for {what} at {address}: {error}; set `{key}` to an address of this machine, with a port that this user may have"
    )]
    Listen {
        /// Who would have connected.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The key that sets it.
        key: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}
