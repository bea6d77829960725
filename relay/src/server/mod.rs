//! The running relay: put together by [`Server::bind`], watched by [`Server::join`], ended by [`Server::shutdown`].
//!
//! The order of the start is the order of what needs what: keys; the store, which keeps a second relay out of the folder;
//! the ports; the manifest, which names them; and then everybody is let in. Every task hangs on one token and one
//! tracker, and the shutdown waits for all of them before it closes the store.

mod door;
mod error;
mod listen;
mod tasks;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use futures::future::Either;
use posthouse_federation::{Clock, Host, Listening, Node};
use posthouse_spec::Millis;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::canaries::Canaries;
use crate::chain::Chain;
use crate::config::{Settings, load_tls};
use crate::control::Controlled;
use crate::control::server::ControlSocket;
use crate::hub::Rooms;
use crate::keyring::{self, Keyring};
use crate::keys::{Keys, KeysError, OrderingKey};
use crate::mailbags::Mailbags;
use crate::manifest::{self, Announcement};
use crate::network::Network;
use crate::outbox::RelayHost;
use crate::peers::rules::Rules;
use crate::quota::Quotas;
use crate::ready::Ready;
use crate::sessions::{Context, Sessions};
use crate::state::{App, Operation};
use crate::store::{Store, Wakes};
use crate::{http, metrics};

use door::Door;
pub use error::StartError;

/// The name of this process's node in the store.
const NODE: &str = "main";
/// How long requests that run may take to end at a shutdown.
const GRACE: Duration = Duration::from_secs(5);
/// How long all tasks may take to end at a shutdown.
const ENDING: Duration = Duration::from_secs(15);

/// A relay that serves.
pub struct Server {
    ready: Ready,
    rules: Rules,
    stop: CancellationToken,
    failed: CancellationToken,
    tasks: TaskTracker,
    web: Handle<SocketAddr>,
    keyring: Keyring,
    store: Store,
}

impl Server {
    /// Starts a relay. When it returns, everything listens.
    ///
    /// # Errors
    /// What keeps it from starting, and what to do about it.
    pub async fn bind(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        listen::install_tls_provider();
        let recorder = metrics::start();
        let tls = settings.http.tls.as_ref().map(|files| load_tls(files, clock())).transpose()?;
        // Refused before anything is opened, with the domain that the folder belongs to.
        Keys::read(&settings.data)?;
        if manifest::newest(&settings.data, &settings.domain)?.is_some() {
            Store::must_exist(&settings.data)?;
        }
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let network = Network::new(settings.domain.clone()).with_chain(Chain::of(&settings.data));
        let sessions = Sessions::new(settings.http.max_connections, stop.clone(), tasks.clone());
        let quotas = Quotas { outbox: settings.outbox, ..Quotas::default() };
        let wakes = wakes(&sessions, &network);
        let store = Store::open_with(&settings.data, &settings.domain, NODE, wakes, quotas).await?;
        let opened = store.clone();
        // Read under the store's lock: a command may have replaced one a moment ago.
        let keys = match keys(&settings, clock()) {
            Ok(keys) => keys,
            Err(error) => {
                opened.close().await;
                return Err(error.into());
            }
        };
        let rules = Rules::new(store.clone(), Some(network.clone()), settings.peers.policy.clone());
        let canaries = Canaries::new(store.clone(), Arc::clone(&clock));
        let parts =
            Parts { rules, canaries, settings, keys, clock, recorder, stop, tasks, network, sessions, store };
        let started = parts.start(tls).await;
        if started.is_err() {
            opened.close().await;
        }
        started
    }

    /// Where it serves.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The operator's rules on other relays, and the policy under them.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns when the relay cannot go on by itself: the API has stopped, or another node has its store.
    pub async fn join(&self) {
        tokio::select! {
            () = self.failed.cancelled() => {}
            () = self.store.lost() => {
                tracing::error!("another node has taken over this relay's store: this node stops");
            }
        }
    }

    /// Ends the relay: nobody is let in any more, sockets hear goodbye, what was taken is written, every task ends.
    pub async fn shutdown(self) {
        tracing::info!("shutting down");
        self.stop.cancel();
        self.web.graceful_shutdown(Some(GRACE));
        self.tasks.close();
        if tokio::time::timeout(ENDING, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "tasks did not end in time");
        }
        self.keyring.shutdown().await;
        self.store.close().await;
        tracing::info!("stopped");
    }
}

/// The keys, in the newest form of their file.
fn keys(settings: &Settings, now: Millis) -> Result<Keys, KeysError> {
    let keys = Keys::open(&settings.data, now, &mut rand::rng())?;
    keys.modernise(&settings.data)?;
    Ok(keys)
}

/// A commit that brought something new wakes the one who waits for it.
fn wakes(sessions: &Sessions, network: &Network) -> Wakes {
    let (sessions, network) = (sessions.clone(), network.clone());
    Wakes {
        mailbox: Arc::new(move |who| sessions.wake(&who)),
        lane: Arc::new(move |lane| network.wake(&lane.into())),
    }
}

/// What a relay is put together from, once it has its ports.
struct Parts {
    rules: Rules,
    canaries: Canaries,
    settings: Settings,
    keys: Keys,
    clock: Clock,
    recorder: Option<metrics_exporter_prometheus::PrometheusHandle>,
    stop: CancellationToken,
    tasks: TaskTracker,
    network: Network,
    sessions: Sessions,
    store: Store,
}

impl Parts {
    async fn start(self, tls: Option<Arc<rustls::ServerConfig>>) -> Result<Server, StartError> {
        let (listener, url, listening) = self.listen().await?;
        let peers = listening.addresses();
        let last = manifest::newest(&self.settings.data, &self.settings.domain)?;
        let offered = last.as_ref().and_then(|last| last.mailbags.as_ref());
        let mailbags = Mailbags::open(&self.settings, offered, &self.store, &self.clock)?;
        let announcement = Announcement {
            mailbags: mailbags.offer(),
            domain: self.settings.domain.clone(),
            addresses: listen::announced(&self.settings, &peers),
            circuits: self.settings.circuits.through.clone(),
            client_url: self
                .settings
                .public_url
                .clone()
                .unwrap_or_else(|| listen::client_url(&self.settings, &url)),
        };
        let own = manifest::current(&self.settings.data, &self.keys, &announcement, (self.clock)())?;
        self.network.announce(own.clone());
        let ordering = OrderingKey::new(self.keys.ordering.copy());
        let rooms = Rooms::new(
            self.store.clone(),
            self.settings.domain.clone(),
            ordering.clone(),
            Arc::new(self.network.clone()),
        );
        let accounts = Accounts::new(
            self.store.clone(),
            self.network.clone(),
            ordering.clone(),
            self.settings.registration,
            self.settings.rates,
            Arc::clone(&self.clock),
        );
        let host = RelayHost::new(
            self.store.clone(),
            rooms.clone(),
            Arc::new(accounts.clone()),
            mailbags.holder(),
            Arc::clone(&self.clock),
        );
        let host = Arc::new(host.with_canaries(self.canaries.clone()));
        let node = listening.start(own.signed().clone(), Arc::clone(&host) as Arc<dyn Host>)?;
        rooms.connect(Arc::new(self.network.clone()));
        self.network.connect(node.federation());
        let bags_host = Arc::clone(&host) as Arc<dyn Host>;
        mailbags.spawn(&self.network, bags_host, &self.tasks, &self.stop);
        let app = self.app(accounts, rooms);
        let peers = listen::with_peer_id(&peers, &self.keys.node.public());
        let ready = Ready { domain: self.settings.domain.to_string(), http: url, peers };
        let failed = CancellationToken::new();
        let keyring = Keyring::new(keyring::Parts {
            settings: self.settings.clone(),
            rules: self.rules.clone(),
            clock: Arc::clone(&self.clock),
            network: self.network.clone(),
            ordering,
            host,
            tasks: self.tasks.clone(),
            failed: failed.clone(),
            announcement,
            manifest: own,
            node,
        });
        self.serve(app, listener, tls, keyring, failed, ready)
    }

    async fn listen(&self) -> Result<(TcpListener, String, Listening), StartError> {
        let settings = &self.settings;
        let listener = listen::tcp("clients", "http.listen", settings.http.listen)?;
        let scheme = if settings.http.tls.is_some() { "https" } else { "http" };
        let address = listener
            .local_addr()
            .map_err(|error| listen::refused("clients", "http.listen", settings.http.listen, error))?;
        let policy = self.rules.effective().await?;
        let listen = keyring::multiaddresses(settings.peers.listen);
        let config = keyring::node_config(settings, self.keys.node.copy(), listen, policy, &self.clock);
        let listening = Node::listen(config).await?;
        Ok((listener, format!("{scheme}://{address}"), listening))
    }

    fn app(&self, accounts: Accounts, rooms: Rooms) -> App {
        App {
            accounts,
            rooms,
            sockets: Context {
                domain: self.settings.domain.clone(),
                store: self.store.clone(),
                clock: Arc::clone(&self.clock),
                sessions: self.sessions.clone(),
            },
            store: self.store.clone(),
            network: self.network.clone(),
            operation: Operation {
                recorder: self.recorder.clone(),
                token: self.settings.http.metrics_token.as_deref().map(Arc::from),
            },
            clock: Arc::clone(&self.clock),
        }
    }

    fn serve(
        self,
        app: App,
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        keyring: Keyring,
        failed: CancellationToken,
        ready: Ready,
    ) -> Result<Server, StartError> {
        let web = Handle::new();
        tasks::spawn(&self.tasks, &self.stop, &app, self.settings.retention_ms);
        let control = ControlSocket::bind(&self.settings.data)?;
        self.tasks.spawn(control.serve(Controlled {
            app: app.clone(),
            rules: self.rules.clone(),
            canaries: self.canaries.clone(),
            keyring: keyring.clone(),
            ready: Arc::new(ready.clone()),
            started: (self.clock)(),
            stop: self.stop.clone(),
        }));
        let router: Router = http::router(app);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let listen = |error| listen::refused("clients", "http.listen", self.settings.http.listen, error);
        let door = Door::for_sockets(self.settings.http.max_connections);
        let server = axum_server::from_tcp(listener).map_err(listen)?;
        let server = listen::patient(server.handle(web.clone()));
        let serving = match tls {
            Some(config) => {
                let tls = RustlsAcceptor::new(RustlsConfig::from_config(config)).acceptor(door);
                Either::Left(server.acceptor(tls).serve(service))
            }
            None => Either::Right(server.acceptor(door).serve(service)),
        };
        let ended = failed.clone().drop_guard();
        self.tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the API for clients stopped");
            }
            drop(ended);
        });
        Ok(Server {
            ready,
            rules: self.rules,
            stop: self.stop,
            failed,
            tasks: self.tasks,
            web,
            keyring,
            store: self.store,
        })
    }
}
