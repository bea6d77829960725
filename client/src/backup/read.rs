//! Reading a backup: who may, and what of it is put into which tables.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use posthouse_crypto::slip::{Slip, find_slip};
use posthouse_crypto::{BadRecoveryCode, FileKey, RecoveryCode, SealError};
use posthouse_spec::{AccountId, Alias, Millis, PublicKey};
use sqlx::sqlite::SqliteConnection;

use super::frame::{self, Digest, Frame, Head};
use super::header::{Fault, Header};
use super::sealed::SealedReader;
use super::write::digest;
use super::{Contents, Report};
use crate::error::ClientError;
use crate::history::error::HistoryError;
use crate::vault::tables::{KEPT, Table};
use crate::vault::{messages, owner, rooms};

/// Messages that are read at a time to see that they can be.
const PAGE: u32 = 256;

/// A backup of which nothing secret was read yet.
pub(crate) struct Found {
    path: PathBuf,
    header: Header,
    bound: [u8; 32],
    rest: BufReader<File>,
}

/// A backup that is open.
pub(crate) struct Opened {
    path: PathBuf,
    header: Header,
    from: SealedReader<BufReader<File>>,
}

/// Reads the words of a recovery code, which must be that of the account with this recovery key.
pub(crate) fn words(text: &str, recovery: &PublicKey, of: &Alias) -> Result<RecoveryCode, HistoryError> {
    let wrong = |why: String| HistoryError::Words(format!("{why}. Nothing was changed"));
    let slip = |said: String| match find_slip(text, recovery) {
        Some(Slip::Word { position }) => wrong(format!("{said}; it is word {position} that is not right")),
        Some(Slip::Swapped { first, second }) => {
            wrong(format!("{said}; words {first} and {second} are in each other's place"))
        }
        None => wrong(said),
    };
    let code = match RecoveryCode::parse(text) {
        Ok(code) => code,
        Err(fault @ BadRecoveryCode::Checksum) => return Err(slip(fault.to_string())),
        Err(fault) => return Err(wrong(fault.to_string())),
    };
    if code.signing_key().public() != *recovery {
        return Err(slip(format!("these 24 words are the recovery code of another account, not of {of}")));
    }
    Ok(code)
}

impl Found {
    /// Opens the file and reads its public facts.
    pub(crate) fn at(path: &Path) -> Result<Self, HistoryError> {
        let failed = |source| HistoryError::File { doing: "read", path: path.to_owned(), source };
        let mut rest = BufReader::new(File::open(path).map_err(failed)?);
        let (header, bound) = Header::read(&mut rest).map_err(|fault| match fault {
            Fault::Io(source) => failed(source),
            Fault::NoBackup => HistoryError::NoBackup(path.to_owned()),
            Fault::Newer => newer(path, "its format is a later one"),
            Fault::Damaged(why) => HistoryError::Damaged { path: path.to_owned(), why },
        })?;
        Ok(Self { path: path.to_owned(), header, bound, rest })
    }

    /// Whose it is.
    pub(crate) fn account(&self) -> AccountId {
        self.header.account
    }

    /// Opens it with the 24 words.
    pub(crate) fn open_with_words(self, text: &str) -> Result<Opened, HistoryError> {
        let code = words(text, &self.header.recovery, &self.header.alias)?;
        let key = FileKey::open_with_recovery(&code.backup_key(), &self.header.salt, &self.header.sealed);
        let damaged = |_: SealError| HistoryError::Damaged {
            path: self.path.clone(),
            why: "the key in its header does not open with the right words".to_owned(),
        };
        let key = key.map_err(damaged)?;
        self.open(&key)
    }

    /// Opens it with the key of the vault that wrote it.
    pub(crate) fn open_with_vault(self, vault: &[u8; 32]) -> Result<Opened, HistoryError> {
        let key = FileKey::unwrap_with_vault(vault, &self.header.salt, &self.header.wrapped)
            .map_err(|_| HistoryError::OtherVault(self.path.clone()))?;
        self.open(&key)
    }

    fn open(self, key: &FileKey) -> Result<Opened, HistoryError> {
        let Self { path, header, bound, rest } = self;
        match SealedReader::begin(rest, key.stream(&bound)) {
            Ok(Some(from)) => Ok(Opened { path, header, from }),
            Ok(None) => Err(HistoryError::Damaged { path, why: "its header was altered".to_owned() }),
            Err(error) => Err(unreadable(&path, error)),
        }
    }
}

impl Opened {
    /// Opens every segment, to its end, and keeps nothing.
    pub(crate) fn pass_over(mut self) -> Result<(), HistoryError> {
        match io::copy(&mut self.from, &mut io::sink()) {
            Ok(_) => Ok(()),
            Err(error) => Err(unreadable(&self.path, error)),
        }
    }

    /// Puts everything into the tables, which are empty, and checks that it is there.
    pub(crate) async fn load(
        mut self,
        db: &mut SqliteConnection,
        now: Millis,
    ) -> Result<Report, ClientError> {
        let mut tables: Vec<Contents> = Vec::new();
        loop {
            match self.next()? {
                Frame::Head(head) => tables.push(self.load_table(db, &head).await?),
                Frame::End(end) if end.tables == tables.len() as u64 => break,
                _ => return Err(self.damaged("its frames are out of order").into()),
            }
        }
        let mut rest = [0];
        if self.from.read(&mut rest).map_err(|error| unreadable(&self.path, error))? != 0 {
            return Err(self.damaged("something stands behind its end").into());
        }
        self.check(db).await?;
        let Header { alias, account, created, .. } = self.header;
        Ok(Report { alias, account, created: Millis(created), age_ms: now.0.saturating_sub(created), tables })
    }

    async fn load_table(&mut self, db: &mut SqliteConnection, head: &Head) -> Result<Contents, ClientError> {
        let name = head.table.as_str();
        let Some(table) = KEPT.iter().find(|table| table.name == name) else {
            return Err(newer(&self.path, &format!("it holds {name}")).into());
        };
        let columns = self.known_columns(db, table, head).await?;
        let mut seen = Digest::begin(head);
        let mut rows = 0;
        let tail = loop {
            match self.next()? {
                Frame::Row(row) if row.cells.len() == columns.len() => {
                    seen.take(&row);
                    rows += 1;
                    table.insert(db, &columns, row.cells.into_vec()).await?;
                }
                Frame::Tail(tail) => break tail,
                _ => return Err(self.damaged("its frames are out of order").into()),
            }
        };
        if (tail.rows, &*tail.digest) != (rows, seen.bytes().as_slice()) {
            return Err(self.damaged(&format!("what it holds of {name} is not what was written")).into());
        }
        if digest(db, table, &columns).await? != (rows, seen.bytes()) {
            return Err(self.damaged(&format!("{name} did not come back as it was")).into());
        }
        Ok(Contents { table: name.to_owned(), rows, digest: hex::encode(seen.bytes()) })
    }

    async fn known_columns(
        &self,
        db: &mut SqliteConnection,
        table: &Table,
        head: &Head,
    ) -> Result<Vec<String>, ClientError> {
        let known = table.columns(db).await?;
        let columns: Vec<String> = head.columns.iter().map(|column| column.as_str().to_owned()).collect();
        match columns.iter().find(|column| !known.contains(column)) {
            Some(column) => Err(newer(&self.path, &format!("it holds {} {column}", table.name)).into()),
            None => Ok(columns),
        }
    }

    /// Whether what is in the tables can be read as a vault, and is the account's.
    async fn check(&self, db: &mut SqliteConnection) -> Result<(), ClientError> {
        let owner = owner::load(&mut *db).await?;
        let account = owner.map(|owner| (owner.account.id(), owner.account.recovery()));
        if account != Some((self.header.account, self.header.recovery)) {
            return Err(self.damaged("the account in it is not the one that its header names").into());
        }
        rooms::list(&mut *db).await?;
        let mut after = 0;
        while let Some(last) = messages::behind(&mut *db, after, PAGE).await?.last() {
            after = last.local;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Frame, HistoryError> {
        frame::read(&mut self.from).map_err(|error| unreadable(&self.path, error))
    }

    fn damaged(&self, why: &str) -> HistoryError {
        HistoryError::Damaged { path: self.path.clone(), why: why.to_owned() }
    }
}

fn newer(path: &Path, why: &str) -> HistoryError {
    HistoryError::Newer { path: path.to_owned(), why: why.to_owned() }
}

/// What the way to the file, or the file itself, is to blame for.
fn unreadable(path: &Path, error: io::Error) -> HistoryError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::InvalidData => HistoryError::Damaged { path, why: error.to_string() },
        io::ErrorKind::UnexpectedEof => HistoryError::Damaged { path, why: "it ends too early".to_owned() },
        _ => HistoryError::File { doing: "read", path, source: error },
    }
}
