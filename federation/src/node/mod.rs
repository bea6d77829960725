//! The node.
mod config;
pub use config::{Clock, NodeConfig};

use crate::error::{BindError, PeerError};
use crate::host::{Host, LaneId};
use posthouse_crypto::Verified;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::{KeysRequest, KeysResponse, RoomRequest, RoomResponse};
use posthouse_spec::{Domain, Millis, Signed};
use std::sync::Arc;

/// A running node.
#[derive(Debug)]
pub struct Node(());
/// A node that has its ports and waits for the manifest that names them.
#[derive(Debug)]
pub struct Listening(());
/// A handle on a running node, for the rest of the relay.
#[derive(Debug, Clone)]
pub struct Federation(());

/// What is known of another relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The relay.
    pub domain: Domain,
    /// Whether a connection stands on which both have said hello.
    pub connected: bool,
    /// Items that wait for it, by lane class.
    pub backlog: Vec<(LaneClass, u64)>,
    /// What went wrong last, while it is not connected.
    pub last_error: Option<String>,
    /// When it is tried again, while it is not connected.
    pub retry_at: Option<Millis>,
}

impl Node {
    /// Listens, without accepting anybody yet.
    ///
    /// # Errors
    /// An address that is no address, or is taken.
    pub async fn listen(config: NodeConfig) -> Result<Listening, BindError> {
        let _ = config;
        unimplemented!()
    }
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        unimplemented!()
    }
    /// A handle for the rest of the relay.
    #[must_use]
    pub fn federation(&self) -> Federation {
        unimplemented!()
    }
    /// Ends every task of the node and waits for them.
    pub async fn shutdown(self) {
        unimplemented!()
    }
}

impl Listening {
    /// Where it listens, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        unimplemented!()
    }
    /// Takes up the work as the relay that `manifest` describes.
    ///
    /// # Errors
    /// The manifest is not this relay's, or does not list this node.
    pub fn start(self, manifest: Signed<Manifest>, host: Arc<dyn Host>) -> Result<Node, BindError> {
        let _ = (manifest, host);
        unimplemented!()
    }
}

impl Federation {
    /// Something new waits on a lane. Never blocks, and may be called from any thread.
    pub fn wake(&self, lane: &LaneId) {
        let _ = lane;
        unimplemented!()
    }
    /// Asks another relay for a chain or for key packages.
    ///
    /// # Errors
    /// The relay is unknown, out of reach, too slow, or a rule was broken.
    pub async fn keys(&self, domain: &Domain, request: KeysRequest) -> Result<KeysResponse, PeerError> {
        let _ = (domain, request);
        unimplemented!()
    }
    /// Asks a room's hub.
    ///
    /// # Errors
    /// The relay is unknown, out of reach, too slow, or a rule was broken.
    pub async fn room(&self, domain: &Domain, request: RoomRequest) -> Result<RoomResponse, PeerError> {
        let _ = (domain, request);
        unimplemented!()
    }
    /// A relay's manifest: the own one, the pinned one, or what discovery finds (and pins).
    ///
    /// # Errors
    /// The relay is unknown.
    pub async fn manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, PeerError> {
        let _ = domain;
        unimplemented!()
    }
    /// What is known of other relays.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        unimplemented!()
    }
}
