//! The relay's own chain of manifests: a file for each, in the data folder.
//!
//! At each start, and whenever a key was replaced, the relay says what it would say of itself now. Where the newest
//! manifest says the same, its bytes are used again; otherwise the next one is signed, and names the one before it.
//!
//! A new key is durable in the file of the keys before the manifest that names it is written: a crash in between is made
//! good by the next start, which finds a manifest that does not say what the keys say.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use posthouse_crypto::{ManifestFault, Verified, follow, key_hash, lineage, manifest_hash};
use posthouse_spec::cbor::{List, Malformed, Text};
use posthouse_spec::limits::MAX_CIRCUITS;
use posthouse_spec::manifest::{MailbagOffer, Manifest, Node};
use posthouse_spec::{Domain, ManifestSeq, Millis, Signed};

use crate::keys::{Keys, MANIFESTS, NODE_BACKDATE_MS, RetiringNode, write_new};

/// How long a node key is good, milliseconds: ten years. The operator replaces it by a new manifest before.
const NODE_VALIDITY_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// What the relay says of itself now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The relay's domain.
    pub domain: Domain,
    /// Where its node listens, multiaddresses.
    pub addresses: Vec<String>,
    /// The relays through which it is reached.
    pub circuits: Vec<Domain>,
    /// Who holds envelopes for it while it is down.
    pub mailbags: Option<MailbagOffer>,
    /// The base URL for clients.
    pub client_url: String,
}

impl Announcement {
    /// What a manifest says, apart from keys.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            domain: manifest.domain.clone(),
            addresses: manifest.addresses.iter().map(ToString::to_string).collect(),
            circuits: manifest.circuits.iter().flat_map(|through| through.iter()).cloned().collect(),
            mailbags: manifest.mailbags.clone(),
            client_url: manifest.client_url.to_string(),
        }
    }
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
    let signed = keys.root.key.sign(&next);
    let path = file(data, seq);
    let checked = follow(&announcement.domain, last.as_ref().map(Verified::signed), &signed)
        .map_err(|fault| ManifestError::Fault { path: path.clone(), fault })?;
    let write = |error| ManifestError::Io { doing: "writing", path: path.clone(), error };
    std::fs::create_dir_all(data.join(MANIFESTS)).map_err(write)?;
    write_new(&path, signed.as_bytes()).map_err(write)?;
    Ok(checked)
}

/// Has the newest manifest of a data folder say what its keys say, for a relay that is not running; it has none before
/// its first start.
///
/// # Errors
/// As [`current`].
pub fn settle(
    data: &Path,
    domain: &Domain,
    keys: &Keys,
    now: Millis,
) -> Result<Option<Verified<Manifest>>, ManifestError> {
    let Some(last) = newest(data, domain)? else { return Ok(None) };
    current(data, keys, &Announcement::of(&last), now).map(Some)
}

/// Where the manifest at a position lies in a data folder.
pub(crate) fn file(data: &Path, seq: ManifestSeq) -> PathBuf {
    data.join(MANIFESTS).join(format!("{:08}.cose", seq.0))
}

/// Whether the manifest says just this, and goes on being good for a while.
fn says(manifest: &Manifest, keys: &Keys, announcement: &Announcement, now: Millis) -> bool {
    let addresses: BTreeSet<&str> = manifest.addresses.iter().map(Text::as_str).collect();
    let wanted: BTreeSet<&str> = announcement.addresses.iter().map(String::as_str).collect();
    let retiring: Vec<Node> =
        manifest.nodes.iter().filter(|node| node.key != keys.node.public()).cloned().collect();
    manifest.root == keys.root.public()
        && manifest.next_root == key_hash(&keys.next_root.public())
        && manifest.ordering == keys.ordering.public()
        && retiring == retiring_nodes(keys, now)
        && manifest.lists_node(&keys.node.public(), now)
        && manifest.lists_node(&keys.node.public(), now.after(NODE_VALIDITY_MS / 2))
        && addresses == wanted
        && manifest.circuits.as_ref().map_or(&[][..], |through| &through[..]) == announcement.circuits
        && manifest.mailbags == announcement.mailbags
        && manifest.client_url.as_str() == announcement.client_url
}

/// The node keys before the current one whose time is not over.
fn retiring_nodes(keys: &Keys, now: Millis) -> Vec<Node> {
    let listed = |node: &&RetiringNode| now <= node.not_after;
    let node =
        |node: &RetiringNode| Node { key: node.key, not_before: node.not_before, not_after: node.not_after };
    keys.retiring.iter().filter(listed).map(node).collect()
}

fn compose(
    last: Option<&Verified<Manifest>>,
    keys: &Keys,
    announcement: &Announcement,
    now: Millis,
) -> Result<Manifest, Malformed> {
    // What the key has signed since it was made stays good in every later manifest.
    let since = keys.node.since.map_or(Millis(0), |since| since.min(now));
    let node = Node {
        key: keys.node.public(),
        not_before: Millis(since.0.saturating_sub(NODE_BACKDATE_MS)),
        not_after: now.after(NODE_VALIDITY_MS),
    };
    let nodes = std::iter::once(node).chain(retiring_nodes(keys, now)).collect();
    let addresses: Result<Vec<_>, _> = announcement.addresses.iter().map(Text::new).collect();
    Ok(Manifest {
        domain: announcement.domain.clone(),
        seq: last.map_or(ManifestSeq(1), |last| last.seq.next()),
        previous: last.map(|last| manifest_hash(last.signed())),
        root: keys.root.public(),
        next_root: key_hash(&keys.next_root.public()),
        ordering: keys.ordering.public(),
        nodes: List::new(nodes)?,
        addresses: List::new(addresses?)?,
        client_url: Text::new(announcement.client_url.as_str())?,
        created: now,
        lineage: last.map(lineage),
        mailbags: announcement.mailbags.clone(),
        circuits: through(&announcement.circuits)?,
    })
}

/// No list rather than an empty one, so that relays without circuits say what they always said.
fn through(relays: &[Domain]) -> Result<Option<List<Domain, MAX_CIRCUITS>>, Malformed> {
    if relays.is_empty() { Ok(None) } else { List::new(relays.to_vec()).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Overlap;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn announcement(port: u16) -> Announcement {
        Announcement {
            domain: "a.example".parse().unwrap(),
            addresses: vec![format!("/ip4/127.0.0.1/tcp/{port}")],
            circuits: Vec::new(),
            mailbags: None,
            client_url: "http://127.0.0.1:6480".into(),
        }
    }

    #[test]
    fn the_same_words_are_the_same_bytes_and_others_are_the_next_in_the_chain() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::generate(NOW, &mut rand::rng());
        let now = NOW;
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
    fn what_a_node_key_has_signed_stays_good_in_later_manifests() {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = Keys::generate(NOW, &mut rand::rng());
        let later = NOW.after(30 * NODE_BACKDATE_MS);
        current(folder.path(), &keys, &announcement(1), NOW).unwrap();
        let moved = current(folder.path(), &keys, &announcement(2), later).unwrap();
        assert!(moved.lists_node(&keys.node.public(), NOW));
        // A key of a relay older than the note, and one that was made while the clock was ahead.
        for since in [None, Some(later.after(NODE_BACKDATE_MS))] {
            keys.node.since = since;
            let moved = current(folder.path(), &keys, &announcement(since.is_some().into()), later).unwrap();
            assert!(moved.lists_node(&keys.node.public(), later));
        }
    }

    #[test]
    fn a_folder_of_another_domain_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::generate(NOW, &mut rand::rng());
        current(folder.path(), &keys, &announcement(1), NOW).unwrap();
        let other = Announcement { domain: "b.example".parse().unwrap(), ..announcement(1) };
        let error = current(folder.path(), &keys, &other, NOW).unwrap_err();
        assert!(matches!(error, ManifestError::OtherDomain { .. }), "{error}");
    }

    /// Everything that a relay may do with its keys, with its chain of manifests after each.
    #[test]
    fn every_replaced_key_is_the_next_link_of_the_chain() {
        let folder = tempfile::tempdir().unwrap();
        let (rng, domain) = (&mut rand::rng(), "a.example".parse().unwrap());
        let mut keys = Keys::generate(NOW, rng);
        let mut last = current(folder.path(), &keys, &announcement(1), NOW).unwrap();
        let first = lineage(&last);
        for step in 1..9_u64 {
            let now = NOW.after(step * 1000);
            match step % 4 {
                0 => keys.rotate_node(now, Overlap::None, rng),
                1 => keys.rotate_node(now, Overlap::Week, rng),
                2 => keys.rotate_ordering(now, rng),
                _ => keys.rotate_root(now, rng),
            }
            // Written before a crash or after it: the next start says the same.
            let next = settle(folder.path(), &domain, &keys, now).unwrap().unwrap();
            let again = current(folder.path(), &keys, &announcement(1), now.after(1)).unwrap();
            assert_eq!(next.signed().as_bytes(), again.signed().as_bytes());
            assert_eq!((next.seq, lineage(&next)), (last.seq.next(), first));
            assert!(next.lists_node(&keys.node.public(), now));
            assert!(follow(&domain, Some(last.signed()), next.signed()).is_ok());
            last = next;
        }
    }

    #[test]
    fn a_node_key_that_was_replaced_is_listed_until_its_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let rng = &mut rand::rng();
        let mut keys = Keys::generate(NOW, rng);
        let old = keys.node.public();
        current(folder.path(), &keys, &announcement(1), NOW).unwrap();
        keys.rotate_node(NOW, Overlap::Week, rng);
        let both = current(folder.path(), &keys, &announcement(1), NOW).unwrap();
        let over = keys.retiring[0].not_after.after(1);
        assert!(both.lists_node(&old, NOW) && !both.lists_node(&old, over));
        let one = current(folder.path(), &keys, &announcement(1), over).unwrap();
        assert_eq!((one.seq, one.nodes.len()), (both.seq.next(), 1));
    }

    #[test]
    fn a_folder_that_never_served_has_nothing_to_settle() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::generate(NOW, &mut rand::rng());
        assert!(settle(folder.path(), &"a.example".parse().unwrap(), &keys, NOW).unwrap().is_none());
    }
}
