//! The store of a relay that does not run, for commands that would ask the relay if it did.

use std::path::PathBuf;

use super::rules::Rules;
use crate::config::Settings;
use crate::keys::{Keys, KeysError};
use crate::manifest::{self, ManifestError};
use crate::store::{Store, StoreError, Wakes};

/// The name under which a command opens the store.
const NODE: &str = "operator";

/// Why the store of a relay that does not run was not opened.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// No relay has ever been there.
    #[error(
        "{} is no relay's data folder; name its folder with --data, or its configuration with --config",
        .0.display()
    )]
    NoRelay(PathBuf),
    /// Somebody has the store.
    #[error("the relay on {} is just starting or stopping: try again in a moment", .0.display())]
    Busy(PathBuf),
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The manifests cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens the store, and the rules in it; no relay can start on the folder until it is closed. A store that is lost is not
/// replaced by an empty one: the next start would take that for the real one.
///
/// # Errors
/// There is none, or it cannot be opened.
pub async fn open(settings: &Settings) -> Result<(Store, Rules), Unopened> {
    if Keys::read(&settings.data)?.is_none() {
        return Err(Unopened::NoRelay(settings.data.clone()));
    }
    if manifest::newest(&settings.data, &settings.domain)?.is_some() {
        Store::must_exist(&settings.data)?;
    }
    let opened = Store::open(&settings.data, &settings.domain, NODE, Wakes::none()).await;
    let store = opened.map_err(|error| match error {
        StoreError::Locked(_) => Unopened::Busy(settings.data.clone()),
        other => other.into(),
    })?;
    let rules = Rules::new(store.clone(), None, settings.peers.policy.clone());
    Ok((store, rules))
}

#[cfg(test)]
mod tests {
    use posthouse_spec::Millis;

    use super::*;
    use crate::config::Config;
    use crate::manifest::Announcement;

    #[tokio::test]
    async fn a_lost_store_is_not_replaced_by_a_command() {
        const NOW: Millis = Millis(1_800_000_000_000);
        let folder = tempfile::tempdir().unwrap();
        let config =
            Config { domain: "a.example".into(), data: folder.path().join("data"), ..Config::default() };
        let settings = config.settings().unwrap();
        assert!(matches!(open(&settings).await, Err(Unopened::NoRelay(_))));
        let keys = Keys::open(&settings.data, NOW, &mut rand::rng()).unwrap();
        let (store, _) = open(&settings).await.unwrap();
        assert!(matches!(open(&settings).await, Err(Unopened::Busy(_))));
        store.close().await;
        let says = Announcement {
            domain: settings.domain.clone(),
            addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
            mailbags: None,
            circuits: Vec::new(),
            client_url: "http://127.0.0.1:2".into(),
        };
        manifest::current(&settings.data, &keys, &says, NOW).unwrap();
        let database = settings.data.join("relay.db");
        std::fs::remove_file(&database).unwrap();
        assert!(matches!(open(&settings).await, Err(Unopened::Store(StoreError::Gone(_)))));
        assert!(!database.exists());
    }
}
