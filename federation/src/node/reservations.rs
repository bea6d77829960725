//! Being reached through others: a reservation with each relay that the operator names, and hello on the direct
//! connections that hole punching makes of circuits.

use std::sync::Arc;
use std::time::Duration;

use posthouse_spec::Domain;
use tokio::sync::mpsc;

use super::connector::Connector;
use super::dial::behind;
use super::listeners::Reserved;
use super::network::Punched;
use super::peers::{Session, until};
use crate::retry::Backoff;

/// Punched connections on which hello is still to be said; the circuit goes on where one finds no place.
pub(crate) const MAX_PUNCHED: usize = 64;

/// How long the side that was called waits for the other's hello before it says its own.
const HELLO_PATIENCE: Duration = Duration::from_secs(3);

/// Keeps a reservation with a relay for as long as the node runs.
pub(crate) async fn keep(connector: Connector, through: Domain) {
    let reach = Arc::clone(&connector.reach);
    let mut backoff = Backoff::default();
    loop {
        let why = match reserve(&connector, &through).await {
            Ok(reserved) => {
                backoff.handle_contact();
                tracing::info!(%through, "this relay can be reached through another one");
                reach.reserved(&through, Some(connector.own.now()), None);
                reserved.lost.await.unwrap_or_else(|_| "this relay is shutting down".into())
            }
            Err(why) => why,
        };
        tracing::warn!(%through, why, "no reservation; it is asked for again");
        reach.reserved(&through, None, Some(why));
        let again = backoff.handle_failure(connector.own.now(), rand::random());
        let wait = Duration::from_millis(again.0.saturating_sub(connector.own.now().0));
        pause(&connector, &through, wait).await;
    }
}

/// Waits, but no longer than until that relay has a new session: a sign of life is worth a try at once.
async fn pause(connector: &Connector, through: &Domain, wait: Duration) {
    let mut watch = connector.peers.peer(through).watch();
    let before = watch.borrow_and_update().as_ref().map(|session| session.connection);
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        _ = until(&mut watch, |now| now.as_ref().is_some_and(|now| Some(now.connection) != before)) => {}
    }
}

async fn reserve(connector: &Connector, through: &Domain) -> Result<Reserved, String> {
    let session = connector.session_directly(through).await.map_err(|error| error.to_string())?;
    let at = connector.peers.address(session.connection).ok_or("the connection was closed")?;
    connector.network.reserve(behind(&at, session.peer)).await
}

impl Connector {
    /// Whether the other side says hello on a direct connection in time.
    async fn hears(&self, domain: &Domain) -> bool {
        let mut watch = self.peers.peer(domain).watch();
        let direct = |now: &Option<Arc<Session>>| {
            now.as_ref().is_some_and(|now| !self.peers.is_circuit(now.connection))
        };
        tokio::time::timeout(HELLO_PATIENCE, until(&mut watch, direct)).await.is_ok()
    }
}

/// Says hello on punched connections, for which nobody waits otherwise.
pub(crate) async fn greet_punched(connector: Connector, mut punched: mpsc::Receiver<Punched>) {
    while let Some(Punched { peer, connection }) = punched.recv().await {
        let Some(domain) = connector.peers.domain_of(peer) else { continue };
        let this = connector.clone();
        connector.tasks.spawn_cancellable(async move {
            // The side that called by circuit says hello on the direct connection too, and the other hears it. With QUIC
            // each side makes a connection of its own, of which one may fail: so the other speaks if it hears nothing.
            if this.peers.is_inbound(connection) && this.hears(&domain).await {
                return;
            }
            let known = this.peers.peer(&domain);
            // Whoever looks for a session meanwhile waits, and finds this one.
            let _turn = known.dialling.lock().await;
            match this.introductions.say(&domain, peer, connection).await {
                Ok(()) => {
                    tracing::info!(%domain, "a direct connection has taken the circuit's place");
                    metrics::counter!("posthouse_holes_total", "result" => "punched").increment(1);
                }
                Err(error) => {
                    tracing::info!(%error, "no hello on the punched connection; the circuit is used on")
                }
            }
        });
    }
}
