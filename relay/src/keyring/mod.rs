//! The keys of the relay that runs: listed, and replaced without a restart.
//!
//! The order keeps every crash harmless. First the new key is durable in the file of the keys; then the next manifest, which
//! names it, is written; only then is it announced and used. A start after a crash in between finds keys that no
//! manifest names, and writes that manifest.
//!
//! A new root or ordering key is announced to the relays that are connected. A new node key is a new PeerId: the node ends
//! and another one takes its ports, and its first hellos tell the neighbours. The lanes go on from the store.

mod node;
pub mod stopped;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use posthouse_crypto::Verified;
use posthouse_federation::{BindError, Clock, Host, Listening, Node, Outbox as _};
use posthouse_spec::manifest::Manifest;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Settings;
use crate::keys::{KEYS_FILE, Keys, KeysError, KeysReport, OrderingKey, Overlap, Replaced, Which};
use crate::manifest::{self, Announcement, ManifestError};
use crate::network::Network;
use crate::outbox::RelayHost;
use crate::peers::rules::Rules;
use crate::store::StoreError;

pub(crate) use node::{config as node_config, multiaddresses};

/// How often the ports are tried again that the node before has just given back.
const PORT_TRIES: u32 = 50;
/// How long between two tries.
const PORT_RETRY: Duration = Duration::from_millis(200);

/// Why a key was not replaced, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The keys cannot be read or written.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The manifest cannot be read or written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The data folder has no keys.
    #[error("there is no {}: start the relay once to make its keys, or restore them from a backup if it had any", .0.display())]
    Gone(PathBuf),
    /// The node with the new key does not start.
    #[error(
        "the new key is in force, but the node cannot take its ports again ({0}); the relay ends, and its next start goes on with the new key"
    )]
    Node(#[from] BindError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The relay is ending.
    #[error(
        "the relay is shutting down, and the key may have been replaced; list the keys after its next start"
    )]
    Ending,
}

/// The running relay's keys. Clones share them.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    settings: Settings,
    rules: Rules,
    clock: Clock,
    network: Network,
    ordering: OrderingKey,
    host: Arc<RelayHost>,
    tasks: TaskTracker,
    failed: CancellationToken,
    state: Mutex<State>,
}

/// What is in force.
struct State {
    announcement: Announcement,
    manifest: Verified<Manifest>,
    /// Where the node listens, with the ports that it was given.
    listening: Vec<String>,
    /// Absent while it is replaced, and after the end.
    node: Option<Node>,
}

/// What a keyring is made of.
pub struct Parts {
    /// The configuration.
    pub settings: Settings,
    /// The operator's rules on other relays.
    pub rules: Rules,
    /// The relay's clock.
    pub clock: Clock,
    /// The way to other relays, which is replaced.
    pub network: Network,
    /// The ordering key, which is replaced.
    pub ordering: OrderingKey,
    /// What the node works on.
    pub host: Arc<RelayHost>,
    /// Where what was begun is waited for at the end.
    pub tasks: TaskTracker,
    /// Cancelled where the relay cannot go on.
    pub failed: CancellationToken,
    /// What the relay says of itself.
    pub announcement: Announcement,
    /// The newest manifest.
    pub manifest: Verified<Manifest>,
    /// The node that runs.
    pub node: Node,
}

impl Keyring {
    /// The keyring of a relay that has just started.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts {
            settings,
            rules,
            clock,
            network,
            ordering,
            host,
            tasks,
            failed,
            announcement,
            manifest,
            node,
        } = parts;
        let listening = node::same_ports(settings.peers.listen, &node.addresses());
        let state = Mutex::new(State { announcement, manifest, listening, node: Some(node) });
        Self(Arc::new(Inner { settings, rules, clock, network, ordering, host, tasks, failed, state }))
    }

    /// The keys, without their secrets.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn list(&self) -> Result<KeysReport, KeyringError> {
        let state = self.0.state.lock().await;
        Ok(KeysReport::of(&self.0.read()?, Some(&state.manifest), (self.0.clock)()))
    }

    /// Replaces a key, and goes over to the new one at once.
    ///
    /// # Errors
    /// Why it was not replaced, or what is left to be done.
    pub async fn rotate(&self, which: Which, overlap: Overlap) -> Result<Replaced, KeyringError> {
        let inner = Arc::clone(&self.0);
        // A task of its own: what was begun is ended, even if whoever asked for it has gone.
        let rotating = self.0.tasks.spawn(async move { Box::pin(inner.rotate(which, overlap)).await });
        rotating.await.unwrap_or(Err(KeyringError::Ending))
    }

    /// Ends the node.
    pub async fn shutdown(&self) {
        if let Some(node) = self.0.state.lock().await.node.take() {
            node.shutdown().await;
        }
    }
}

impl Inner {
    fn read(&self) -> Result<Keys, KeyringError> {
        Keys::read(&self.settings.data)?.ok_or_else(|| KeyringError::Gone(self.settings.data.join(KEYS_FILE)))
    }

    async fn rotate(&self, which: Which, overlap: Overlap) -> Result<Replaced, KeyringError> {
        let mut state = self.state.lock().await;
        if state.node.is_none() {
            return Err(KeyringError::Ending);
        }
        // What an earlier command has left half done comes first: two roots at once would break the chain.
        let mut keys = self.read()?;
        Box::pin(self.apply(&mut state, &keys)).await?;
        let now = (self.clock)();
        let before = keys.public(which);
        keys.rotate(which, overlap, now, &mut rand::rng());
        keys.replace(&self.settings.data)?;
        Box::pin(self.apply(&mut state, &keys)).await?;
        let replaced = Replaced::new(which, overlap, before, &keys, Some(state.manifest.seq));
        tracing::info!(key = %which, seq = %state.manifest.seq, "a key was replaced");
        Ok(replaced)
    }

    /// Brings into force what the file of the keys says.
    async fn apply(&self, state: &mut State, keys: &Keys) -> Result<(), KeyringError> {
        let now = (self.clock)();
        let manifest = manifest::current(&self.settings.data, keys, &state.announcement, now)?;
        if manifest == state.manifest {
            return Ok(());
        }
        if manifest.ordering != state.manifest.ordering {
            self.ordering.prepare(keys.ordering.copy());
        }
        self.network.announce(manifest.clone());
        self.ordering.take_over();
        let moved = node::current_key(&manifest) != node::current_key(&state.manifest);
        state.manifest = manifest.clone();
        if !moved {
            if let Some(federation) = self.network.federation() {
                federation.announce(manifest);
            }
            return Ok(());
        }
        self.renew_node(state, keys).await.inspect_err(|error| {
            tracing::error!(%error, "the node with the new key cannot be started: the relay ends");
            self.failed.cancel();
        })
    }

    /// Ends the node, and starts one with the new key at the same ports.
    async fn renew_node(&self, state: &mut State, keys: &Keys) -> Result<(), KeyringError> {
        self.network.disconnect();
        if let Some(node) = state.node.take() {
            node.shutdown().await;
        }
        let listening = self.listen(state, keys).await?;
        let host = Arc::clone(&self.host) as Arc<dyn Host>;
        let node = listening.start(state.manifest.signed().clone(), host)?;
        self.network.connect(node.federation());
        state.node = Some(node);
        // The operator may have changed a rule while there was no federation to be told of it.
        if let Err(error) = self.rules.renew().await {
            tracing::error!(%error, "the rules cannot be read; those of a moment ago hold");
        }
        // What was put on a lane after the node looked at the lanes and before it could be woken.
        match self.host.lanes().await {
            Ok(lanes) => lanes.iter().for_each(|lane| self.network.wake(lane)),
            Err(error) => {
                tracing::warn!(%error, "the lanes cannot be looked at; they are looked at again soon")
            }
        }
        Ok(())
    }

    async fn listen(&self, state: &State, keys: &Keys) -> Result<Listening, KeyringError> {
        let policy = self.rules.effective().await?;
        let mut tries = 0;
        loop {
            let config = node::config(
                &self.settings,
                keys.node.copy(),
                state.listening.clone(),
                policy.clone(),
                &self.clock,
            );
            tries += 1;
            match Node::listen(config).await {
                // The system may take a moment to give a port back.
                Err(error) if tries < PORT_TRIES => {
                    tracing::debug!(%error, tries, "the ports are not free yet");
                    tokio::time::sleep(PORT_RETRY).await;
                }
                listening => return Ok(listening?),
            }
        }
    }
}
