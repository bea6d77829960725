//! The vault: everything that a device keeps, encrypted, in one database that one process owns.
//!
//! [`Vault::begin`] gives a [`Tx`]: one transaction over the tables, the MLS keys and the open rooms. Either all of it
//! becomes durable in [`Tx::commit`], or none of it ever happened: a transaction that is dropped, by an error or
//! because its future was, leaves a mark, and the next one throws the memory's state away and reads it from the
//! database again. So ratchets in memory never run ahead of those on disk.

pub(crate) mod changes;
pub(crate) mod claims;
pub(crate) mod columns;
pub(crate) mod commits;
pub(crate) mod contacts;
pub(crate) mod contexts;
mod database;
pub(crate) mod epochs;
mod file;
pub(crate) mod foundings;
mod header;
pub(crate) mod held;
mod key;
pub(crate) mod key_packages;
pub(crate) mod leavings;
pub(crate) mod lines;
pub(crate) mod members;
pub(crate) mod messages;
mod mls;
pub(crate) mod outbox;
pub(crate) mod owner;
pub(crate) mod publications;
pub(crate) mod relays;
pub(crate) mod requests;
pub(crate) mod room_infos;
pub(crate) mod rooms;
pub(crate) mod unattributed;
pub(crate) mod wanted_chains;

use std::collections::HashMap;
use std::fs::{File, TryLockError};

use posthouse_crypto::room::member::{Keys, Room};
use posthouse_spec::RoomId;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{Mutex, MutexGuard};

use crate::error::{ClientError, VaultError};
use crate::profile::{Profile, Unlock};

/// An open vault. While it lives, no other process opens it.
pub(crate) struct Vault {
    open: Mutex<Open>,
    /// Holds the lock of the folder.
    _lock: File,
}

struct Open {
    /// Absent once the vault is closed.
    connection: Option<SqliteConnection>,
    keys: Keys,
    rooms: HashMap<RoomId, Room>,
    /// Whether memory may differ from the database.
    dirty: bool,
}

impl Vault {
    /// Makes a vault, or opens the one that is there: a registration that was cut short goes on with it.
    pub(crate) async fn create(profile: &Profile, unlock: &Unlock) -> Result<Self, VaultError> {
        file::make_dir(profile.dir())?;
        let lock = take_lock(profile)?;
        let key = if profile.header().exists() {
            fetch_key(profile, unlock).await?
        } else {
            // A database without its header is somebody's messages: never to be written over.
            if profile.database().exists() {
                let why = "the header is missing".to_owned();
                return Err(VaultError::HeaderDamaged { path: profile.header(), why });
            }
            let (path, unlock) = (profile.header(), unlock.clone());
            blocking(move || {
                let (key, wrap) = key::make(&unlock)?;
                header::write(&path, &wrap)?;
                Ok(key)
            })
            .await?
        };
        let connection = database::open(&profile.database(), &key, true).await?;
        Self::with(connection, lock).await
    }

    /// Opens a vault.
    pub(crate) async fn open(profile: &Profile, unlock: &Unlock) -> Result<Self, VaultError> {
        if !profile.header().exists() && !profile.database().exists() {
            return Err(VaultError::Missing(profile.dir().to_owned()));
        }
        let lock = take_lock(profile)?;
        let key = fetch_key(profile, unlock).await?;
        if !profile.database().exists() {
            return Err(VaultError::DatabaseMissing(profile.database()));
        }
        let connection = database::open(&profile.database(), &key, false).await?;
        Self::with(connection, lock).await
    }

    async fn with(connection: SqliteConnection, lock: File) -> Result<Self, VaultError> {
        let mut open = Open {
            connection: Some(connection),
            keys: Keys::load(std::iter::empty()),
            rooms: HashMap::new(),
            dirty: true,
        };
        open.clean().await?;
        Ok(Self { open: Mutex::new(open), _lock: lock })
    }

    /// Waits for its turn, to read.
    pub(crate) async fn read(&self) -> Result<Reader<'_>, VaultError> {
        let mut open = self.open.lock().await;
        open.clean().await?;
        Ok(Reader { open })
    }

    /// Waits for its turn, and begins a transaction.
    pub(crate) async fn begin(&self) -> Result<Tx<'_>, VaultError> {
        let mut open = self.open.lock().await;
        open.clean().await?;
        open.dirty = true;
        sqlx::query("BEGIN IMMEDIATE").execute(open.connection()?).await?;
        Ok(Tx { open })
    }

    /// Closes the database; whoever uses the vault afterwards gets an error.
    pub(crate) async fn close(&self) -> Result<(), VaultError> {
        match self.open.lock().await.connection.take() {
            Some(connection) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }
}

impl Open {
    fn connection(&mut self) -> Result<&mut SqliteConnection, VaultError> {
        self.connection.as_mut().ok_or_else(|| VaultError::Sql("it was closed".to_owned()))
    }

    /// Ends what an abandoned transaction left, and reads the memory's state anew.
    async fn clean(&mut self) -> Result<(), VaultError> {
        if !self.dirty {
            return Ok(());
        }
        let connection = self.connection()?;
        // Fails where no transaction is open, which is as well.
        let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
        let rows = mls::all(connection).await?;
        self.keys = Keys::load(rows.into_iter());
        self.rooms.clear();
        self.dirty = false;
        Ok(())
    }
}

/// A turn to read.
pub(crate) struct Reader<'a> {
    open: MutexGuard<'a, Open>,
}

impl Reader<'_> {
    /// The tables.
    pub(crate) fn db(&mut self) -> Result<&mut SqliteConnection, VaultError> {
        self.open.connection()
    }
}

/// A transaction over tables, keys and rooms. Never wait for anything but the vault while holding one.
pub(crate) struct Tx<'a> {
    open: MutexGuard<'a, Open>,
}

impl Tx<'_> {
    /// The tables.
    pub(crate) fn db(&mut self) -> Result<&mut SqliteConnection, VaultError> {
        self.open.connection()
    }

    /// The MLS keys.
    pub(crate) fn keys(&mut self) -> &mut Keys {
        &mut self.open.keys
    }

    /// A room, with the keys that it works on.
    pub(crate) fn room(&mut self, id: &RoomId) -> Result<(&mut Room, &mut Keys), ClientError> {
        let Open { keys, rooms, .. } = &mut *self.open;
        let room = match rooms.entry(*id) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let room = Room::load(keys, id).map_err(|error| ClientError::Room {
                    doing: format!("open room {id}"),
                    why: error.to_string(),
                })?;
                entry.insert(room)
            }
        };
        Ok((room, keys))
    }

    /// Takes in a room that was just founded or joined.
    pub(crate) fn put_room(&mut self, room: Room) {
        self.open.rooms.insert(room.id(), room);
    }

    /// Deletes a room with its keys.
    pub(crate) fn delete_room(&mut self, id: &RoomId) -> Result<(), ClientError> {
        self.room(id)?;
        let Open { keys, rooms, .. } = &mut *self.open;
        match rooms.remove(id).map(|room| room.delete(keys)) {
            Some(Err(error)) => {
                Err(ClientError::Room { doing: format!("delete room {id}"), why: error.to_string() })
            }
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Makes everything durable.
    pub(crate) async fn commit(mut self) -> Result<(), VaultError> {
        let open = &mut *self.open;
        let writes = open.keys.take_writes();
        let connection = open.connection()?;
        mls::apply(connection, writes).await?;
        sqlx::query("COMMIT").execute(connection).await?;
        open.dirty = false;
        Ok(())
    }
}

fn take_lock(profile: &Profile) -> Result<File, VaultError> {
    let path = profile.lock();
    let lock = file::open_private(&path, false).map_err(file::failed("open", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(VaultError::Busy(profile.dir().to_owned())),
        Err(TryLockError::Error(error)) => Err(file::failed("lock", &path)(error)),
    }
}

async fn fetch_key(profile: &Profile, unlock: &Unlock) -> Result<key::VaultKey, VaultError> {
    let (path, unlock) = (profile.header(), unlock.clone());
    blocking(move || key::get(&unlock, &header::read(&path)?)).await
}

/// Argon2id takes a second of a core, and a keyring may wait for a person: neither belongs on the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(VaultError::Derive(error.to_string())))
}
