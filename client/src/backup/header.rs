//! What stands in front of a backup's segments.

use std::io::{self, Read, Write};

use posthouse_crypto::sha256;
use posthouse_spec::cbor::{Cbor as _, Octets};
use posthouse_spec::{AccountId, Alias, PublicKey, record};

/// What every version's first line begins with.
const MAGIC: &[u8] = b"posthouse backup ";
/// The first line of this version.
const FIRST_LINE: &[u8] = b"posthouse backup 1\n";
/// Largest record, bytes.
const MAX_HEADER: usize = 4096;

record! {
    /// The header.
    pub(super) struct Header {
        /// Random; what is derived from keys is derived with it.
        1 => salt: Octets<32>,
        /// Whose backup it is.
        2 => account: AccountId,
        /// Whose it is, by name.
        3 => alias: Alias,
        /// When it was written, milliseconds since 1970.
        4 => created: u64,
        /// The recovery key of whose words the backup key comes.
        5 => recovery: PublicKey,
        /// The file's key, sealed to the backup key.
        6 => sealed: Octets<128>,
        /// The file's key, wrapped under the vault's.
        7 => wrapped: Octets<64>,
    }
}

/// Why a header cannot be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file cannot be read.
    Io(io::Error),
    /// It is no backup.
    NoBackup,
    /// A newer version wrote it.
    Newer,
    /// It is damaged.
    Damaged(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("the file ends within its header".to_owned()),
            _ => Self::Io(error),
        }
    }
}

impl Header {
    /// Writes it; returns the hash to which the segments are bound.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<[u8; 32]> {
        let bytes = self.bytes();
        out.write_all(&bytes)?;
        Ok(sha256(&bytes))
    }

    fn bytes(&self) -> Vec<u8> {
        let record = self.to_cbor();
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        let mut bytes = [FIRST_LINE, &length.to_be_bytes(), &record].concat();
        let checksum = sha256(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// Reads it, and the hash to which the segments are bound.
    pub(super) fn read(from: &mut impl Read) -> Result<(Self, [u8; 32]), Fault> {
        let mut first = Vec::new();
        from.take(FIRST_LINE.len() as u64).read_to_end(&mut first)?;
        if first != FIRST_LINE {
            return Err(if first.starts_with(MAGIC) { Fault::Newer } else { Fault::NoBackup });
        }
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_HEADER {
            return Err(Fault::Damaged("its header is too long".to_owned()));
        }
        let mut record = vec![0; length];
        from.read_exact(&mut record)?;
        let header = Self::from_cbor(&record)
            .map_err(|fault| Fault::Damaged(format!("its header cannot be read: {fault}")))?;
        let mut checksum = [0; 32];
        from.read_exact(&mut checksum)?;
        let bytes = header.bytes();
        if !bytes.ends_with(&checksum) {
            return Err(Fault::Damaged("its header was altered".to_owned()));
        }
        Ok((header, sha256(&bytes)))
    }
}
