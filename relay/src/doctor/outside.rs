//! What can be found out where no relay runs: all that needs no node.

use posthouse_crypto::Verified;
use posthouse_crypto::manifest::follow;
use posthouse_federation::discovery::Discovery;
use posthouse_federation::probe_from_outside;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Millis};

use super::report::{Check, Report};
use super::steps;
use crate::config::Settings;
use crate::peers::rules::Standing;
use crate::peers::stopped;
use crate::store::StoreError;

/// Looks for what is wrong with the way to `other`, while the relay of these settings does not run.
pub async fn outside(settings: &Settings, other: &Domain, now: Millis) -> Report {
    let not_running = format!("no relay runs on {}", settings.data.display());
    let start =
        "start it: `posthouse-relay serve`; then ask again, for what only a running relay can find out";
    let mut checks = vec![Check::wrong("relay", not_running, start)];
    let stored = stored(settings, other).await;
    let pinned = match stored {
        Ok(Stored { standing, pinned }) => {
            checks.push(steps::policy(other, &standing));
            pinned
        }
        Err(why) => {
            checks.push(Check::skipped("policy", why));
            None
        }
    };
    let discovery = Discovery::new(settings.peers.overrides.clone(), settings.peers.private_addresses);
    let probe = probe_from_outside(other, &discovery, pinned, &move || now).await;
    checks.push(steps::dns(other, &probe.look_up));
    checks.push(steps::manifest(other, &probe.look_up));
    checks.push(steps::trust(other, &probe));
    checks.push(steps::clock(other, &probe));
    if probe.manifest.is_some() {
        checks.push(steps::transport(other, "tcp", &probe));
    }
    let names = ["quic", "circuit", "hello", "canary", "backlog"];
    checks.extend(names.map(|name| Check::skipped(name, "only a running relay can find that out")));
    Report::new(other.to_string(), checks)
}

/// What the store knows.
struct Stored {
    standing: Standing,
    pinned: Option<Verified<Manifest>>,
}

async fn stored(settings: &Settings, other: &Domain) -> Result<Stored, String> {
    let (store, rules) = stopped::open(settings).await.map_err(|error| error.to_string())?;
    let words = |error: StoreError| error.to_string();
    let (standing, pinned) = (rules.standing(other).await, store.pinned(other).await);
    store.close().await;
    let pinned = pinned.map_err(words)?;
    Ok(Stored {
        standing: standing.map_err(words)?,
        pinned: pinned.and_then(|pinned| follow(other, None, &pinned).ok()),
    })
}
