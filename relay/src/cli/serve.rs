//! `posthouse-relay serve`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::reload::Reloading;
use super::terminal::{now, say};
use crate::config::{self, Settings};
use crate::server::Server;
use crate::store::{Store, Wakes};

/// Serves until a signal ends it, or the API for clients stops by itself.
pub(super) async fn serve(
    settings: Settings,
    mut reloading: Reloading,
    ready_file: Option<&Path>,
    new_store: bool,
) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("waiting for SIGHUP")?;
    // They are read again at each look-up, so that a relay serves without them meanwhile.
    let mut problems = Vec::new();
    config::check::overrides(&settings, &mut problems);
    for problem in problems {
        tracing::warn!("{problem}");
    }
    if new_store && Store::must_exist(&settings.data).is_err() {
        let store = Store::open(&settings.data, &settings.domain, "main", Wakes::none()).await?;
        store.close().await;
        tracing::warn!("began with an empty store, as the operator said");
    }
    let server = Server::bind(settings, Arc::new(now)).await?;
    if let Some(path) = ready_file {
        server.ready().write(path).with_context(|| format!("writing the ready file {}", path.display()))?;
    }
    // A relay whose standard output is closed serves all the same.
    if let Err(error) = say(&server.ready().to_string()) {
        tracing::warn!(%error, "the ready line could not be written");
    }
    let code = loop {
        tokio::select! {
            _ = terminate.recv() => break ExitCode::SUCCESS,
            _ = interrupt.recv() => break ExitCode::SUCCESS,
            () = server.join() => break ExitCode::FAILURE,
            _ = hangup.recv() => reloading.again(&server).await,
        }
    };
    server.shutdown().await;
    Ok(code)
}
