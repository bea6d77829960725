//! `POST /peers/DOMAIN/doctor`: what is wrong with the way to another relay.

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};

use super::controlled::Controlled;
use super::peers::other;
use super::reply::{Reply, Trouble};
use crate::doctor::{Report, inside};

pub(super) fn routes() -> Router<Controlled> {
    Router::new().route("/peers/{domain}/doctor", post(doctor))
}

async fn doctor(State(relay): State<Controlled>, Path(domain): Path<String>) -> Reply<Report> {
    let domain = other(&relay, &domain)?;
    let starting = || Trouble::refused("the relay is still starting: try again in a moment");
    let federation = relay.app.network.federation().ok_or_else(starting)?;
    let desk = relay.desk();
    let looking = Box::pin(inside(&desk, &federation, &relay.canaries, &domain));
    match relay.stop.run_until_cancelled(looking).await {
        Some(report) => report.map(Json).map_err(Trouble::failed),
        None => Err(Trouble::refused("the relay is shutting down")),
    }
}
