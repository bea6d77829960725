//! `GET /status`: that a relay runs, and which.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use posthouse_spec::Millis;
use serde::{Deserialize, Serialize};

use super::controlled::Controlled;

/// The relay that runs on a data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its domain.
    pub domain: String,
    /// The program's version.
    pub version: String,
    /// The base URL of the socket that clients reach.
    pub http: String,
    /// The multiaddresses at which it listens for other relays.
    pub peers: Vec<String>,
    /// When it was started, milliseconds since 1970.
    pub started: u64,
    /// Its clock, milliseconds since 1970.
    pub now: u64,
}

pub(super) fn routes() -> Router<Controlled> {
    Router::new().route("/status", get(status))
}

async fn status(State(relay): State<Controlled>) -> Json<Status> {
    let Millis(now) = (relay.app.clock)();
    Json(Status {
        domain: relay.ready.domain.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        http: relay.ready.http.clone(),
        peers: relay.ready.peers.clone(),
        started: relay.started.0,
        now,
    })
}
