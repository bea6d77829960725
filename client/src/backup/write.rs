//! Writing a backup: as a whole or not at all.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use posthouse_crypto::FileKey;
use posthouse_spec::cbor::{List, Malformed, Octets, Text};
use posthouse_spec::{Millis, SealKey};
use sqlx::sqlite::SqliteConnection;

use super::frame::{self, Digest, End, Frame, Head, Row, Tail};
use super::header::Header;
use super::sealed::SealedWriter;
use super::{Contents, Report};
use crate::error::{ClientError, VaultError};
use crate::history::error::HistoryError;
use crate::vault::file;
use crate::vault::owner::Owner;
use crate::vault::tables::{KEPT, Table};

/// Rows that are read at a time.
const PAGE: u32 = 128;

/// Who can open it.
pub(crate) struct Keys<'a> {
    /// The owner of the recovery code.
    pub(crate) backup: &'a SealKey,
    /// The vault.
    pub(crate) vault: &'a [u8; 32],
}

/// Writes a backup of the vault to `path`, which is there as a whole afterwards, or as it was before.
pub(crate) async fn write(
    db: &mut SqliteConnection,
    owner: &Owner,
    keys: Keys<'_>,
    path: &Path,
    now: Millis,
) -> Result<Report, ClientError> {
    let draft = Draft::make(path)?;
    let failed = |source| HistoryError::File { doing: "write", path: draft.path.clone(), source };
    let (key, header) = begin(owner, &keys, now)?;
    let mut out = BufWriter::new(&draft.file);
    let bound = header.write(&mut out).map_err(failed)?;
    let mut out = SealedWriter::begin(out, key.stream(&bound)).map_err(failed)?;
    let mut tables = Vec::new();
    for table in KEPT {
        tables.push(dump(db, table, &mut out, &draft.path).await?);
    }
    let end = Frame::End(End { tables: tables.len() as u64 });
    frame::write(&mut out, &end).and_then(|()| out.end()?.flush()).map_err(failed)?;
    draft.keep(path)?;
    Ok(Report { alias: header.alias, account: header.account, created: now, age_ms: 0, tables })
}

/// A new key, and the header that wraps it.
fn begin(owner: &Owner, keys: &Keys<'_>, now: Millis) -> Result<(FileKey, Header), VaultError> {
    let (key, salt) = (FileKey::generate(&mut rand::rng()), rand::random::<[u8; 32]>());
    let sealed = key.seal_for_recovery(keys.backup, &salt).map_err(underivable)?;
    let wrapped = key.wrap_for_vault(keys.vault, &salt).map_err(underivable)?;
    let header = Header {
        salt: octets(&salt)?,
        account: owner.account.id(),
        alias: owner.alias.clone(),
        created: now.0,
        recovery: owner.account.recovery(),
        sealed: octets(&sealed)?,
        wrapped: octets(&wrapped)?,
    };
    Ok((key, header))
}

async fn dump<W: Write + Send>(
    db: &mut SqliteConnection,
    table: &Table,
    out: &mut SealedWriter<W>,
    path: &Path,
) -> Result<Contents, ClientError> {
    let columns = table.columns(db).await?;
    let head = head(table, &columns)?;
    let mut digest = Digest::begin(&head);
    put(out, path, &Frame::Head(head))?;
    let (mut after, mut rows) = (None, 0);
    loop {
        let page = table.rows(db, &columns, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.place);
        for placed in page {
            let row = Row { cells: List::new(placed.cells).map_err(|fault| unfit(&fault))? };
            digest.take(&row);
            rows += 1;
            put(out, path, &Frame::Row(row))?;
        }
    }
    put(out, path, &Frame::Tail(Tail { rows, digest: octets(&digest.bytes())? }))?;
    Ok(Contents { table: table.name.to_owned(), rows, digest: hex::encode(digest.bytes()) })
}

fn put(out: &mut impl Write, path: &Path, frame: &Frame) -> Result<(), HistoryError> {
    frame::write(out, frame).map_err(|source| HistoryError::File {
        doing: "write",
        path: path.to_owned(),
        source,
    })
}

/// The digest of a table as it is now, over these columns, and how many rows it has.
pub(super) async fn digest(
    db: &mut SqliteConnection,
    table: &Table,
    columns: &[String],
) -> Result<(u64, [u8; 32]), ClientError> {
    let mut digest = Digest::begin(&head(table, columns)?);
    let (mut after, mut rows) = (None, 0);
    loop {
        let page = table.rows(db, columns, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.place);
        for placed in page {
            digest.take(&Row { cells: List::new(placed.cells).map_err(|fault| unfit(&fault))? });
            rows += 1;
        }
    }
    Ok((rows, digest.bytes()))
}

fn head(table: &Table, columns: &[String]) -> Result<Head, VaultError> {
    let columns = columns.iter().map(|column| Text::new(column.as_str())).collect::<Result<_, _>>();
    let columns = columns.and_then(List::new).map_err(|fault| unfit(&fault))?;
    Ok(Head { table: Text::clipped(table.name), columns })
}

fn octets<const MAX: usize>(bytes: &[u8]) -> Result<Octets<MAX>, VaultError> {
    Octets::new(bytes.to_vec()).map_err(|fault| unfit(&fault))
}

fn unfit(fault: &Malformed) -> VaultError {
    VaultError::Content(format!("what does not fit a backup: {fault}"))
}

fn underivable(error: posthouse_crypto::SealError) -> VaultError {
    VaultError::Derive(error.to_string())
}

/// The file while it is written, beside the one that it will be. Dropped, it goes.
struct Draft {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl Draft {
    fn make(target: &Path) -> Result<Self, HistoryError> {
        let Some(name) = target.file_name() else { return Err(HistoryError::NotOurs(target.to_owned())) };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".draft");
        let path = target.with_file_name(hidden);
        // One that a crash left behind.
        let _ = fs::remove_file(&path);
        let failed = |source| HistoryError::File { doing: "make", path: path.clone(), source };
        let file = file::open_private(&path, true).map_err(failed)?;
        Ok(Self { file, path, kept: false })
    }

    fn keep(mut self, target: &Path) -> Result<(), HistoryError> {
        let failed = |source| HistoryError::File { doing: "write", path: target.to_owned(), source };
        self.file.sync_all().map_err(failed)?;
        fs::rename(&self.path, target).map_err(failed)?;
        self.kept = true;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // It is sealed and not complete: of no use to anybody.
            let _ = fs::remove_file(&self.path);
        }
    }
}
