//! What the HTTP handlers share: small handles, of which each handler takes the ones that it needs.

use std::sync::Arc;

use axum::extract::FromRef;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::accounts::Accounts;
use crate::hub::Rooms;
use crate::network::Network;
use crate::sessions::Context;
use crate::store::Store;

pub use posthouse_federation::Clock;

/// The handles; clones share what is behind them.
#[derive(Clone)]
pub struct App {
    /// People and their devices.
    pub accounts: Accounts,
    /// Rooms.
    pub rooms: Rooms,
    /// Live sockets.
    pub sockets: Context,
    /// What is stored.
    pub store: Store,
    /// Other relays.
    pub network: Network,
    /// What the operator reads.
    pub operation: Operation,
    /// The relay's clock.
    pub clock: Clock,
}

/// What the operator reads.
#[derive(Clone)]
pub struct Operation {
    /// Renders what was counted.
    pub recorder: Option<PrometheusHandle>,
    /// Lets other machines read it.
    pub token: Option<Arc<str>>,
}

macro_rules! handles {
    ($($field:ident: $handle:ty),+ $(,)?) => {$(
        impl FromRef<App> for $handle {
            fn from_ref(app: &App) -> Self {
                app.$field.clone()
            }
        }
    )+};
}

handles! {
    accounts: Accounts,
    rooms: Rooms,
    sockets: Context,
    store: Store,
    network: Network,
    operation: Operation,
    clock: Clock,
}
