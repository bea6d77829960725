//! The relay's own chain of manifests: a file for each, in the data folder.
//!
//! At each start the relay says what it would say of itself now. Where the newest manifest says the same, its bytes are
//! used again; otherwise the next one is signed, and names the one before it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use posthouse_crypto::{ManifestFault, Verified, follow, key_hash, lineage, manifest_hash};
use posthouse_spec::cbor::{List, Malformed, Text};
use posthouse_spec::manifest::{Manifest, Node};
use posthouse_spec::{Domain, ManifestSeq, Millis, Signed};

use crate::keys::{Keys, MANIFESTS, write_new};

/// How long a node key is good, milliseconds: ten years. The operator replaces it by a new manifest before.
const NODE_VALIDITY_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;
/// How far back a node key is good, milliseconds: a day, for clocks that are behind.
const NODE_BACKDATE_MS: u64 = 24 * 60 * 60 * 1000;

/// What the relay says of itself now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The relay's domain.
    pub domain: Domain,
    /// Where its node listens, multiaddresses.
    pub addresses: Vec<String>,
    /// The base URL for clients.
    pub client_url: String,
}

/// Why there is no manifest to start with.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The chain's files cannot be read or written.
    #[error("{doing} {path}: {error}; check that the data folder is yours and has space")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not a manifest, or not of this relay.
    #[error("{path} does not hold ({fault}); restore the data folder from a backup")]
    Fault {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: ManifestFault,
    },
    /// A file is no signed manifest at all.
    #[error("{path} is damaged ({fault}); restore the data folder from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Malformed,
    },
    /// The data folder was made for another domain.
    #[error(
        "the data folder {data} belongs to the relay {found}, and the configuration says {wanted}; a relay cannot be renamed: set domain = \"{found}\", or name another data folder"
    )]
    OtherDomain {
        /// The folder.
        data: PathBuf,
        /// The domain of its manifests.
        found: Domain,
        /// The domain in the configuration.
        wanted: Domain,
    },
    /// An address or the URL does not fit a manifest.
    #[error("the manifest cannot hold this relay's addresses ({0}); announce fewer or shorter ones")]
    TooLong(Malformed),
}

/// The newest manifest of a data folder, if it has any.
///
/// # Errors
/// The chain cannot be read or does not hold.
pub fn newest(data: &Path, domain: &Domain) -> Result<Option<Verified<Manifest>>, ManifestError> {
    let folder = data.join(MANIFESTS);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ManifestError::Io { doing: "reading", path: folder, error }),
    };
    let mut positions: Vec<u64> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".cose")?.parse().ok())
        .collect();
    positions.sort_unstable();
    let Some(last) = positions.pop() else { return Ok(None) };
    let path = file(data, ManifestSeq(last));
    let bytes = std::fs::read(&path).map_err(|error| ManifestError::Io {
        doing: "reading",
        path: path.clone(),
        error,
    })?;
    let signed: Signed<Manifest> = Signed::from_bytes(Bytes::from(bytes))
        .map_err(|fault| ManifestError::Damaged { path: path.clone(), fault })?;
    follow(domain, None, &signed).map(Some).map_err(|fault| match fault {
        ManifestFault::Domain { found, expected } => {
            ManifestError::OtherDomain { data: data.into(), found, wanted: expected }
        }
        fault => ManifestError::Fault { path, fault },
    })
}

/// The manifest that says `announcement`: the newest one of the folder, or the next in its chain.
///
/// # Errors
/// The chain cannot be read, does not hold, or cannot be written.
pub fn current(
    data: &Path,
    keys: &Keys,
    announcement: &Announcement,
    now: Millis,
) -> Result<Verified<Manifest>, ManifestError> {
    let last = newest(data, &announcement.domain)?;
    if let Some(last) = &last
        && says(last, keys, announcement, now)
    {
        return Ok(last.clone());
    }
    let next = compose(last.as_ref(), keys, announcement, now).map_err(ManifestError::TooLong)?;
    let seq = next.seq;
    let signed = keys.root.sign(&next);
    let path = file(data, seq);
    let checked = follow(&announcement.domain, last.as_ref().map(Verified::signed), &signed)
        .map_err(|fault| ManifestError::Fault { path: path.clone(), fault })?;
    let write = |error| ManifestError::Io { doing: "writing", path: path.clone(), error };
    std::fs::create_dir_all(data.join(MANIFESTS)).map_err(write)?;
    write_new(&path, signed.as_bytes()).map_err(write)?;
    Ok(checked)
}

fn file(data: &Path, seq: ManifestSeq) -> PathBuf {
    data.join(MANIFESTS).join(format!("{:08}.cose", seq.0))
}

/// Whether the manifest says just this, and goes on being good for a while.
fn says(manifest: &Manifest, keys: &Keys, announcement: &Announcement, now: Millis) -> bool {
    let addresses: BTreeSet<&str> = manifest.addresses.iter().map(Text::as_str).collect();
    let wanted: BTreeSet<&str> = announcement.addresses.iter().map(String::as_str).collect();
    manifest.root == keys.root.public()
        && manifest.next_root == key_hash(&keys.next_root.public())
        && manifest.ordering == keys.ordering.public()
        && manifest.nodes.len() == 1
        && manifest.lists_node(&keys.node.public(), now)
        && manifest.lists_node(&keys.node.public(), now.after(NODE_VALIDITY_MS / 2))
        && addresses == wanted
        && manifest.client_url.as_str() == announcement.client_url
}

fn compose(
    last: Option<&Verified<Manifest>>,
    keys: &Keys,
    announcement: &Announcement,
    now: Millis,
) -> Result<Manifest, Malformed> {
    let node = Node {
        key: keys.node.public(),
        not_before: Millis(now.0.saturating_sub(NODE_BACKDATE_MS)),
        not_after: now.after(NODE_VALIDITY_MS),
    };
    let addresses: Result<Vec<_>, _> = announcement.addresses.iter().map(Text::new).collect();
    Ok(Manifest {
        domain: announcement.domain.clone(),
        seq: last.map_or(ManifestSeq(1), |last| last.seq.next()),
        previous: last.map(|last| manifest_hash(last.signed())),
        root: keys.root.public(),
        next_root: key_hash(&keys.next_root.public()),
        ordering: keys.ordering.public(),
        nodes: List::new(vec![node])?,
        addresses: List::new(addresses?)?,
        client_url: Text::new(announcement.client_url.as_str())?,
        created: now,
        lineage: last.map(lineage),
        mailbags: None,
        circuits: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(port: u16) -> Announcement {
        Announcement {
            domain: "a.example".parse().unwrap(),
            addresses: vec![format!("/ip4/127.0.0.1/tcp/{port}")],
            client_url: "http://127.0.0.1:6480".into(),
        }
    }

    #[test]
    fn the_same_words_are_the_same_bytes_and_others_are_the_next_in_the_chain() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::generate(&mut rand::rng());
        let now = Millis(1_800_000_000_000);
        let first = current(folder.path(), &keys, &announcement(1), now).unwrap();
        assert_eq!((first.seq, first.lineage), (ManifestSeq(1), None));
        let again = current(folder.path(), &keys, &announcement(1), now.after(1000)).unwrap();
        assert_eq!(again.signed().as_bytes(), first.signed().as_bytes());
        let second = current(folder.path(), &keys, &announcement(2), now.after(2000)).unwrap();
        assert_eq!(second.seq, ManifestSeq(2));
        assert_eq!(second.previous, Some(manifest_hash(first.signed())));
        assert_eq!(second.lineage, Some(lineage(&first)));
        assert!(follow(&"a.example".parse().unwrap(), Some(first.signed()), second.signed()).is_ok());
    }

    #[test]
    fn a_folder_of_another_domain_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::generate(&mut rand::rng());
        current(folder.path(), &keys, &announcement(1), Millis(1_800_000_000_000)).unwrap();
        let other = Announcement { domain: "b.example".parse().unwrap(), ..announcement(1) };
        let error = current(folder.path(), &keys, &other, Millis(1_800_000_000_000)).unwrap_err();
        assert!(matches!(error, ManifestError::OtherDomain { .. }), "{error}");
    }
}
