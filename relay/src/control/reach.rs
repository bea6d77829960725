//! `GET /reach`: how this relay can be reached, as far as others have tried.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use posthouse_federation::Reachability;
use serde::{Deserialize, Serialize};

use super::controlled::Controlled;

/// An address of this relay that another relay has tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// The address.
    pub address: String,
    /// Whether the manifest announces it; else others only see this relay under it.
    pub announced: bool,
    /// Whether the other relay got through.
    pub reachable: bool,
    /// When, milliseconds since 1970.
    pub at: u64,
}

/// A relay through which this one is to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Through {
    /// That relay.
    pub relay: String,
    /// Since when it holds the way open, milliseconds since 1970, if it does.
    pub since: Option<u64>,
    /// Why it does not.
    pub trouble: Option<String>,
}

/// How this relay can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Directly, by what others have tried: `public`, `private` or `unknown`.
    pub standing: String,
    /// What was tried.
    pub tested: Vec<Tested>,
    /// By circuit.
    pub through: Vec<Through>,
}

impl From<Reachability> for Reach {
    fn from(known: Reachability) -> Self {
        let tested = known.tested.into_iter().map(|test| Tested {
            address: test.address,
            announced: test.announced,
            reachable: test.reachable,
            at: test.at.0,
        });
        let through = known.reservations.into_iter().map(|reservation| Through {
            relay: reservation.through.to_string(),
            since: reservation.since.map(|at| at.0),
            trouble: reservation.trouble,
        });
        Self {
            standing: known.standing.name().to_owned(),
            tested: tested.collect(),
            through: through.collect(),
        }
    }
}

pub(super) fn routes() -> Router<Controlled> {
    Router::new().route("/reach", get(reach))
}

async fn reach(State(relay): State<Controlled>) -> Json<Reach> {
    let known = relay.app.network.federation().map(|f| f.reachability()).unwrap_or_default();
    Json(known.into())
}
