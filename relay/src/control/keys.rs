//! `GET /keys` and `POST /keys/rotate`: the relay's own keys.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use super::controlled::Controlled;
use super::reply::{Reply, Trouble};
use crate::keys::{KeysReport, Overlap, Replaced, Which};

/// Which key is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The key.
    pub which: Which,
    /// Whether an old node key is to be off the list from now on; of no other key does an old one stay listed.
    pub now: bool,
}

impl Rotation {
    /// How long the old key stays good.
    #[must_use]
    pub fn overlap(self) -> Overlap {
        if self.now { Overlap::None } else { Overlap::Week }
    }
}

pub(super) fn routes() -> Router<Controlled> {
    Router::new().route("/keys", get(list)).route("/keys/rotate", post(rotate))
}

async fn list(State(relay): State<Controlled>) -> Reply<KeysReport> {
    relay.keyring.list().await.map(Json).map_err(Trouble::failed)
}

async fn rotate(State(relay): State<Controlled>, Json(rotation): Json<Rotation>) -> Reply<Replaced> {
    relay.keyring.rotate(rotation.which, rotation.overlap()).await.map(Json).map_err(Trouble::failed)
}
