//! The keys of a relay that does not run: the same as for one that does, under the lock that keeps it from starting
//! meanwhile.

use posthouse_spec::Millis;

use super::KeyringError;
use crate::config::Settings;
use crate::keys::{KEYS_FILE, Keys, KeysReport, Overlap, Replaced, Which};
use crate::manifest;
use crate::store::Store;

/// The keys, without their secrets.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn list(settings: &Settings, now: Millis) -> Result<KeysReport, KeyringError> {
    let keys = read(settings)?;
    let manifest = manifest::newest(&settings.data, &settings.domain)?;
    Ok(KeysReport::of(&keys, manifest.as_deref(), now))
}

/// Replaces a key; the relay uses the new one when it starts.
///
/// # Errors
/// Why it was not replaced; a relay uses the folder, for one.
pub fn rotate(
    settings: &Settings,
    which: Which,
    overlap: Overlap,
    now: Millis,
) -> Result<Replaced, KeyringError> {
    read(settings)?;
    let _held = Store::hold(&settings.data)?;
    let mut keys = read(settings)?;
    // What an earlier command has left half done comes first: two roots at once would break the chain.
    manifest::settle(&settings.data, &settings.domain, &keys, now)?;
    let before = keys.public(which);
    keys.rotate(which, overlap, now, &mut rand::rng());
    keys.replace(&settings.data)?;
    let manifest = manifest::settle(&settings.data, &settings.domain, &keys, now)?;
    let seq = manifest.map(|manifest| manifest.seq);
    Ok(Replaced { running: false, ..Replaced::new(which, overlap, before, &keys, seq) })
}

fn read(settings: &Settings) -> Result<Keys, KeyringError> {
    Keys::read(&settings.data)?.ok_or_else(|| KeyringError::Gone(settings.data.join(KEYS_FILE)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::manifest::Announcement;

    const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn keys_are_replaced_one_after_the_other_while_the_relay_is_down() {
        let folder = tempfile::tempdir().unwrap();
        let config =
            Config { domain: "a.example".into(), data: folder.path().join("data"), ..Config::default() };
        let settings = config.settings().unwrap();
        assert!(matches!(list(&settings, NOW), Err(KeyringError::Gone(_))));
        let keys = Keys::open(&settings.data, NOW, &mut rand::rng()).unwrap();
        let says = Announcement {
            domain: settings.domain.clone(),
            addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
            mailbags: None,
            circuits: Vec::new(),
            client_url: "http://127.0.0.1:2".into(),
        };
        manifest::current(&settings.data, &keys, &says, NOW).unwrap();
        for (n, which) in [Which::Root, Which::Root, Which::Node, Which::Ordering].into_iter().enumerate() {
            let replaced = rotate(&settings, which, Overlap::Week, NOW).unwrap();
            assert_eq!((replaced.manifest, replaced.running), (Some(n as u64 + 2), false));
            assert_ne!(replaced.before, replaced.after);
        }
        let report = list(&settings, NOW).unwrap();
        assert_eq!(report.manifest, Some(5));
        let roles: Vec<&str> = report.keys.iter().map(|key| key.role.as_str()).collect();
        assert_eq!(roles, ["root", "next root", "ordering", "node", "old node"]);
        let held = Store::hold(&settings.data).unwrap();
        let refused = rotate(&settings, Which::Node, Overlap::None, NOW).unwrap_err();
        assert!(matches!(refused, KeyringError::Store(crate::store::StoreError::Locked(_))), "{refused}");
        drop(held);
    }
}
