//! The end of a time out: whoever has waited long enough is let back, and what waited for it goes out.

use std::time::Duration;

use posthouse_spec::Domain;

use super::connector::Connector;

/// How often it is looked who is to be let back.
const ROUND: Duration = Duration::from_secs(1);

/// Lets back whoever has waited long enough, and calls those for which anything waits here.
pub(super) async fn keep_order(connector: Connector) {
    let mut rounds = tokio::time::interval(ROUND);
    loop {
        rounds.tick().await;
        for domain in connector.peers.conducts.round(connector.own.now()) {
            connector.resume(domain);
        }
    }
}

impl Connector {
    /// Nothing stands between this relay and another one any more: what waits for it goes out.
    pub(super) fn resume(&self, domain: Domain) {
        let peer = self.peers.peer(&domain);
        if peer.has_backlog() {
            peer.forgive();
            let this = self.clone();
            self.tasks.spawn_cancellable(async move {
                if let Err(error) = this.session(&domain).await {
                    tracing::info!(%error, "a relay that is let back was not reached");
                }
            });
        }
    }
}
