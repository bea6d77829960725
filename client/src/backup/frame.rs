//! What is inside a backup: frames, each a length in 4 bytes (big-endian) and a CBOR value.

use std::io::{self, Read, Write};

use posthouse_crypto::sha256;
use posthouse_spec::cbor::{Cbor, List, Octets, Text};
use posthouse_spec::{choice, record};

use crate::vault::tables::Cell;

/// Largest frame, bytes: a row with an account's longest chain.
const MAX_FRAME: u64 = 24 * 1024 * 1024;
/// Most columns of a table.
const MAX_COLUMNS: usize = 64;

record! {
    /// A table begins.
    pub(super) struct Head {
        /// Its name.
        1 => table: Text<64>,
        /// The columns of its rows.
        2 => columns: List<Text<64>, MAX_COLUMNS>,
    }
}

record! {
    /// A row.
    pub(super) struct Row {
        /// Its values, in the order of the columns.
        1 => cells: List<Cell, MAX_COLUMNS>,
    }
}

record! {
    /// A table ends.
    pub(super) struct Tail {
        /// How many rows it has.
        1 => rows: u64,
        /// The digest of them.
        2 => digest: Octets<32>,
    }
}

record! {
    /// The backup ends.
    pub(super) struct End {
        /// How many tables it has.
        1 => tables: u64,
    }
}

choice! {
    /// One frame.
    pub(super) enum Frame {
        /// A table begins.
        1 => Head(Head),
        /// A row.
        2 => Row(Row),
        /// A table ends.
        3 => Tail(Tail),
        /// The backup ends.
        4 => End(End),
    }
}

/// The digest of a table while its rows go by: of its columns, and of each row with all before it.
pub(super) struct Digest([u8; 32]);

impl Digest {
    /// Begins with the table's head.
    pub(super) fn begin(head: &Head) -> Self {
        Self(sha256(&head.to_cbor()))
    }

    /// Takes the next row.
    pub(super) fn take(&mut self, row: &Row) {
        let mut bytes = self.0.to_vec();
        bytes.extend_from_slice(&row.to_cbor());
        self.0 = sha256(&bytes);
    }

    /// The digest.
    pub(super) fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

/// Writes a frame.
pub(super) fn write(out: &mut impl Write, frame: &Frame) -> io::Result<()> {
    let bytes = frame.to_cbor();
    let length = u32::try_from(bytes.len()).ok().filter(|length| u64::from(*length) <= MAX_FRAME);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a row is too long"))?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&bytes)
}

/// Reads a frame.
pub(super) fn read(from: &mut impl Read) -> io::Result<Frame> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u64::from(u32::from_be_bytes(length));
    if length > MAX_FRAME {
        return Err(wrong("a frame is too long".to_owned()));
    }
    let mut bytes = Vec::new();
    if from.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Frame::from_cbor(&bytes).map_err(|fault| wrong(format!("a frame cannot be read: {fault}")))
}
