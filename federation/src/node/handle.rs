//! The handle by which the rest of the relay uses the federation.

use std::collections::BTreeSet;
use std::sync::Arc;

use posthouse_crypto::Verified;
use posthouse_spec::Domain;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::peer::{KeysRequest, KeysResponse, RoomRequest, RoomResponse};

use super::directory::Directory;
use super::lanes::Lanes;
use super::own::Own;
use super::peers::Peers;
use super::reach::Reachability;
use super::requests::Requests;
use super::status::PeerStatus;
use crate::error::PeerError;
use crate::host::LaneId;
use crate::policy::Policy;
use crate::schedule::Load;

/// A handle on a running node. Clones are the same node.
#[derive(Clone)]
pub struct Federation {
    pub(super) own: Arc<Own>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) requests: Requests,
    pub(super) directory: Arc<Directory>,
    pub(super) peers: Arc<Peers>,
}

impl std::fmt::Debug for Federation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Federation")
    }
}

impl Federation {
    /// Something new waits on a lane. Never waits, and may be called from any thread.
    pub fn wake(&self, lane: &LaneId) {
        self.lanes.wake(lane);
    }

    /// Asks another relay for a chain or for key packages.
    ///
    /// # Errors
    /// The relay is unknown, out of reach, too slow, or a rule was broken.
    pub async fn keys(&self, domain: &Domain, request: KeysRequest) -> Result<KeysResponse, PeerError> {
        self.requests.keys(domain, &request).await
    }

    /// Asks a room's hub.
    ///
    /// # Errors
    /// The relay is unknown, out of reach, too slow, or a rule was broken.
    pub async fn room(&self, domain: &Domain, request: RoomRequest) -> Result<RoomResponse, PeerError> {
        self.requests.room(domain, &request).await
    }

    /// A relay's manifest: the own one, the pinned one, or what discovery finds (and pins).
    ///
    /// # Errors
    /// The relay is unknown.
    pub async fn manifest(&self, domain: &Domain) -> Result<Verified<Manifest>, PeerError> {
        self.directory.manifest(domain).await
    }

    /// From now on this policy holds: sessions with relays that it does not permit are closed, and relays that it permits
    /// anew are called, if anything is known of them.
    pub fn set_policy(&self, policy: Policy) {
        let denied: BTreeSet<Domain> =
            self.peers.known().into_iter().filter(|d| !self.own.permits(d)).collect();
        self.own.replace_policy(policy);
        let Requests { connector } = &self.requests;
        for connection in self.peers.connections_of(|domain| !self.own.permits(domain)) {
            let network = connector.network.clone();
            connector.tasks.spawn_cancellable(async move { network.close(connection).await });
        }
        for domain in denied.into_iter().filter(|domain| self.own.permits(domain)) {
            let connector = connector.clone();
            connector.tasks.clone().spawn_cancellable(async move {
                connector.peers.peer(&domain).forgive();
                if let Err(error) = connector.session(&domain).await {
                    tracing::info!(%error, "a relay that is allowed now was not reached");
                }
            });
        }
    }

    /// How this relay can be reached, as far as others have tried.
    #[must_use]
    pub fn reachability(&self) -> Reachability {
        self.requests.connector.reach.status()
    }

    /// How much the schedule of the lanes has to do.
    #[must_use]
    pub fn load(&self) -> Load {
        self.lanes.load()
    }

    /// What is known of other relays, by domain.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.peers.status(self.own.now())
    }

    /// Forgives another relay what it has done: it is neither slowed nor cut off any more. Whether there was anything to
    /// forgive.
    pub fn pardon(&self, domain: &Domain) -> bool {
        let known = self.peers.conducts.pardon(domain, self.own.now());
        if known {
            self.requests.connector.resume(domain.clone());
        }
        known
    }
}
