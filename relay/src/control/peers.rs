//! `/peers`: other relays, and the operator's rules on them.

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use posthouse_federation::Rule;
use posthouse_spec::Domain;
use serde::{Deserialize, Serialize};

use super::controlled::Controlled;
use super::reply::{Reply, Trouble};
use crate::peers::facts::{Changed, Detail, Pardoned, Summary};
use crate::peers::gather::Desk;

/// A rule that the operator makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRule {
    /// `allow` or `deny`.
    pub rule: String,
}

pub(super) fn routes() -> Router<Controlled> {
    Router::new()
        .route("/peers", get(list))
        .route("/peers/{domain}", get(show))
        .route("/peers/{domain}/rule", put(rule).delete(forget))
        .route("/peers/{domain}/pin", post(repin))
        .route("/peers/{domain}/pardon", post(pardon))
}

impl Controlled {
    /// Where the operator's questions about other relays are answered.
    pub(super) fn desk(&self) -> Desk<'_> {
        Desk {
            store: &self.app.store,
            rules: &self.rules,
            live: Some(self.app.network.federation().map(|f| f.peers()).unwrap_or_default()),
            now: (self.app.clock)(),
        }
    }
}

/// The domain of a path, which is not this relay's own.
pub(super) fn other(relay: &Controlled, domain: &str) -> Result<Domain, Trouble> {
    let domain: Domain =
        domain.parse().map_err(|error| Trouble::refused(format!("`{domain}` is no domain: {error}")))?;
    if domain == *relay.app.store.domain() {
        return Err(Trouble::refused(format!("{domain} is this relay itself; name another one")));
    }
    Ok(domain)
}

async fn list(State(relay): State<Controlled>) -> Reply<Vec<Summary>> {
    relay.desk().list().await.map(Json).map_err(Trouble::failed)
}

async fn show(State(relay): State<Controlled>, Path(domain): Path<String>) -> Reply<Detail> {
    let domain = other(&relay, &domain)?;
    let found = relay.desk().show(&domain).await.map_err(Trouble::failed)?;
    found.map(Json).ok_or_else(|| Trouble::unknown(unknown(&domain)))
}

/// What is said of a domain that this relay never had to do with.
#[must_use]
pub fn unknown(domain: &Domain) -> String {
    format!(
        "nothing is known of {domain}: nobody here has had to do with it; `posthouse-relay peers doctor {domain}` looks for it"
    )
}

async fn rule(
    State(relay): State<Controlled>,
    Path(domain): Path<String>,
    Json(new): Json<NewRule>,
) -> Reply<Changed> {
    let domain = other(&relay, &domain)?;
    let rule = Rule::of(&new.rule)
        .ok_or_else(|| Trouble::refused(format!("`{}` is neither allow nor deny", new.rule)))?;
    relay.rules.set((relay.app.clock)(), &domain, rule).await.map_err(Trouble::failed)?;
    relay.desk().changed(&domain).await.map(Json).map_err(Trouble::failed)
}

async fn forget(State(relay): State<Controlled>, Path(domain): Path<String>) -> Reply<Changed> {
    let domain = other(&relay, &domain)?;
    relay.rules.forget(&domain).await.map_err(Trouble::failed)?;
    relay.desk().changed(&domain).await.map(Json).map_err(Trouble::failed)
}

async fn repin(State(relay): State<Controlled>, Path(domain): Path<String>) -> Reply<Detail> {
    let domain = other(&relay, &domain)?;
    let federation =
        relay.app.network.federation().ok_or_else(|| Trouble::refused("the relay is still starting"))?;
    federation.repin(&domain).await.map_err(Trouble::refused)?;
    let found = relay.desk().show(&domain).await.map_err(Trouble::failed)?;
    found.map(Json).ok_or_else(|| Trouble::unknown(unknown(&domain)))
}

async fn pardon(State(relay): State<Controlled>, Path(domain): Path<String>) -> Reply<Pardoned> {
    let domain = other(&relay, &domain)?;
    let federation =
        relay.app.network.federation().ok_or_else(|| Trouble::refused("the relay is still starting"))?;
    Ok(Json(Pardoned { domain: domain.to_string(), anything: federation.pardon(&domain) }))
}
