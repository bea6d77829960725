//! Values as rows: a large value is cut into chunks, so that a small change rewrites a small part.
//!
//! Cuts are made where the content says so (a gear hash, as in FastCDC: Xia and others, USENIX ATC 2016), not at
//! fixed places: where a ratchet grows by a few bytes everything behind it moves, and the chunks behind it stay the
//! same all the same. A value has one head row; it holds the value itself where that is short, and else the list of
//! its chunks.

use std::collections::HashMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::room::codec::StorageError;

/// The shortest chunk but the last, bytes.
const MIN_CHUNK: usize = 512;
/// The longest chunk, and the longest value that stands in its head row, bytes.
const MAX_CHUNK: usize = 4096;
/// A cut where these bits of the hash are zero: every 1,024 bytes on average, behind the minimum.
const CUT_MASK: u64 = 0x3ff0_0000_0000_0000;

/// First byte of the key of a head row.
const HEAD_ROW: u8 = 0;
/// First byte of the key of a chunk's row.
const CHUNK_ROW: u8 = 1;
/// First byte of a head that holds its value.
const INLINE: u8 = 0;
/// First byte of a head that lists its chunks.
const LIST: u8 = 1;

/// One row that changed: to be written, or to be deleted where there is no value.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyWrite {
    /// The row's key.
    pub key: Vec<u8>,
    /// Its new value; `None` deletes the row.
    pub value: Option<Vec<u8>>,
}

impl fmt::Debug for KeyWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "KeyWrite({} secret bytes)", value.len()),
            None => f.write_str("KeyWrite(delete)"),
        }
    }
}

/// A value as its rows hold it.
#[derive(Default)]
pub(super) struct Kept {
    head: Option<Head>,
    chunks: HashMap<u32, Zeroizing<Vec<u8>>>,
}

enum Head {
    Inline(Zeroizing<Vec<u8>>),
    List { next: u32, ids: Vec<u32> },
    Damaged,
}

/// Sorts rows to the values that they belong to, by the values' keys.
pub(super) fn gather(rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> HashMap<Vec<u8>, Kept> {
    let mut values: HashMap<Vec<u8>, Kept> = HashMap::new();
    for (row, bytes) in rows {
        match row.split_first() {
            Some((&HEAD_ROW, key)) => values.entry(key.to_vec()).or_default().head = Some(read_head(bytes)),
            Some((&CHUNK_ROW, rest)) => {
                if let Some((id, key)) = rest.split_first_chunk() {
                    let chunks = &mut values.entry(key.to_vec()).or_default().chunks;
                    chunks.insert(u32::from_be_bytes(*id), Zeroizing::new(bytes));
                }
            }
            // A row of a newer version, or none of ours: whoever needs it will miss it by name.
            _ => {}
        }
    }
    values
}

fn read_head(bytes: Vec<u8>) -> Head {
    let bytes = Zeroizing::new(bytes);
    match bytes.split_first() {
        Some((&INLINE, value)) => Head::Inline(Zeroizing::new(value.to_vec())),
        Some((&LIST, list)) if list.len() % 4 == 0 && !list.is_empty() => {
            let mut numbers =
                list.chunks_exact(4).map(|bytes| bytes.iter().fold(0, |id, byte| id << 8 | u32::from(*byte)));
            Head::List { next: numbers.next().unwrap_or_default(), ids: numbers.collect() }
        }
        _ => Head::Damaged,
    }
}

impl Kept {
    /// The whole value; `None` where there is none.
    pub(super) fn value(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        match &self.head {
            None if self.chunks.is_empty() => Ok(None),
            Some(Head::Inline(value)) => Ok(Some(value.clone())),
            Some(Head::List { ids, .. }) => {
                let chunks: Option<Vec<_>> = ids.iter().map(|id| self.chunks.get(id)).collect();
                let chunks = chunks.ok_or(StorageError::Incomplete)?;
                let mut value =
                    Zeroizing::new(Vec::with_capacity(chunks.iter().map(|chunk| chunk.len()).sum()));
                for chunk in chunks {
                    value.extend_from_slice(chunk);
                }
                Ok(Some(value))
            }
            None | Some(Head::Damaged) => Err(StorageError::Incomplete),
        }
    }

    /// Takes a new value, or none, and returns the rows that change by it.
    pub(super) fn replace(&mut self, key: &[u8], value: Option<Zeroizing<Vec<u8>>>) -> Vec<KeyWrite> {
        let old = std::mem::take(self);
        let mut writes = Vec::new();
        match value {
            None => {
                if old.head.is_some() {
                    writes.push(KeyWrite { key: head_row(key), value: None });
                }
            }
            Some(value) if value.len() <= MAX_CHUNK => {
                if !matches!(&old.head, Some(Head::Inline(before)) if *before == value) {
                    writes.push(KeyWrite {
                        key: head_row(key),
                        value: Some([&[INLINE], value.as_slice()].concat()),
                    });
                }
                self.head = Some(Head::Inline(value));
            }
            Some(value) => self.cut(key, &value, &old, &mut writes),
        }
        for id in old.chunks.keys().filter(|id| !self.chunks.contains_key(id)) {
            writes.push(KeyWrite { key: chunk_row(*id, key), value: None });
        }
        writes
    }

    fn cut(&mut self, key: &[u8], value: &[u8], old: &Kept, writes: &mut Vec<KeyWrite>) {
        let mut free: HashMap<&[u8], u32> =
            old.chunks.iter().map(|(id, chunk)| (chunk.as_slice(), *id)).collect();
        let (mut next, old_ids) = match &old.head {
            Some(Head::List { next, ids }) => (*next, ids.as_slice()),
            _ => (0, [].as_slice()),
        };
        let mut ids = Vec::new();
        for chunk in chunks(value) {
            let id = free.remove(chunk).unwrap_or_else(|| {
                let id = next;
                next = next.wrapping_add(1);
                writes.push(KeyWrite { key: chunk_row(id, key), value: Some(chunk.to_vec()) });
                id
            });
            self.chunks.insert(id, Zeroizing::new(chunk.to_vec()));
            ids.push(id);
        }
        if ids != old_ids {
            let list = std::iter::once(&next).chain(&ids).flat_map(|id| id.to_be_bytes());
            let head = std::iter::once(LIST).chain(list).collect();
            writes.push(KeyWrite { key: head_row(key), value: Some(head) });
        }
        self.head = Some(Head::List { next, ids });
    }
}

fn head_row(key: &[u8]) -> Vec<u8> {
    [&[HEAD_ROW], key].concat()
}

fn chunk_row(id: u32, key: &[u8]) -> Vec<u8> {
    [&[CHUNK_ROW], id.to_be_bytes().as_slice(), key].concat()
}

/// Cuts a value at places that its content chooses.
fn chunks(mut value: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if value.is_empty() {
            return None;
        }
        let (chunk, rest) = value.split_at(cut_at(value));
        value = rest;
        Some(chunk)
    })
}

fn cut_at(value: &[u8]) -> usize {
    let end = value.len().min(MAX_CHUNK);
    let mut hash = 0u64;
    for (place, byte) in value.iter().enumerate().take(end) {
        hash = (hash << 1).wrapping_add(gear(*byte));
        if place + 1 >= MIN_CHUNK && hash & CUT_MASK == 0 {
            return place + 1;
        }
    }
    end
}

/// A fixed random number for each byte: the finaliser of SplitMix64 (Steele and others, 2014).
fn gear(byte: u8) -> u64 {
    let mut x = (u64::from(byte) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn bytes(seed: u64, len: usize) -> Vec<u8> {
        let mut x = seed;
        let next = |_| {
            x = x.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (x >> 56) as u8
        };
        (0..len).map(next).collect()
    }

    fn store(vault: &mut BTreeMap<Vec<u8>, Vec<u8>>, writes: Vec<KeyWrite>) -> usize {
        let mut written = 0;
        for write in writes {
            match write.value {
                Some(value) => {
                    written += value.len();
                    vault.insert(write.key, value);
                }
                None => drop(vault.remove(&write.key)),
            }
        }
        written
    }

    #[test]
    fn a_small_change_rewrites_little_even_where_everything_moves() {
        let (mut kept, mut vault) = (Kept::default(), BTreeMap::new());
        let mut value = bytes(1, 100_000);
        store(&mut vault, kept.replace(b"key", Some(Zeroizing::new(value.clone()))));
        for place in [10, 40_000, 99_000] {
            value.insert(place, 0x55);
            let written = store(&mut vault, kept.replace(b"key", Some(Zeroizing::new(value.clone()))));
            assert!(written < 10_000, "{written} bytes for one");
        }
        assert!(kept.replace(b"key", Some(Zeroizing::new(value))).is_empty(), "the same again is no write");
    }

    proptest! {
        #[test]
        fn values_come_back_from_their_rows(
            sizes in proptest::collection::vec((any::<u64>(), prop_oneof![0..100usize, 3_000..60_000usize]), 1..6),
        ) {
            let (mut kept, mut vault) = (Kept::default(), BTreeMap::new());
            for (seed, len) in sizes {
                let value = bytes(seed, len);
                store(&mut vault, kept.replace(b"key", Some(Zeroizing::new(value.clone()))));
                let loaded = gather(vault.clone().into_iter());
                let read = loaded[b"key".as_slice()].value().expect("complete").expect("present");
                prop_assert_eq!(&*read, &value);
                prop_assert!(vault.values().all(|row| row.len() <= MAX_CHUNK + 1));
            }
            store(&mut vault, kept.replace(b"key", None));
            prop_assert!(vault.is_empty(), "nothing is left behind");
        }
    }
}
