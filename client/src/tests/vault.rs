//! The vault: what opens it, what does not, and what is never lost by that.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use posthouse_crypto::room::member::NewKeyPackage;
use posthouse_spec::room::Suite;
use posthouse_spec::{KeyPackageHash, Millis};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::world::World;
use crate::error::{ClientError, VaultError};
use crate::model::{Conversation, MessageState, Page};
use crate::profile::{Profile, Unlock};
use crate::vault::{Vault, key_packages, messages, outbox};
use crate::{Category, Client};

fn passphrase(text: &str) -> Unlock {
    Unlock::Passphrase(Zeroizing::new(text.to_owned()))
}

struct House {
    folder: TempDir,
    profile: Profile,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let profile = Profile::locate(Some(folder.path()), "me").expect("a profile");
        Self { folder, profile }
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    async fn make(&self, unlock: &Unlock) {
        let vault = Vault::create(&self.profile, unlock).await.expect("a new vault");
        vault.close().await.expect("closed");
    }

    async fn fault(&self, unlock: &Unlock) -> VaultError {
        match Vault::open(&self.profile, unlock).await {
            Ok(_) => unreachable!("it must not open"),
            Err(error) => error,
        }
    }
}

fn damage(path: &Path, at: usize) {
    let mut content = fs::read(path).expect("the file");
    content[at] ^= 0x55;
    fs::write(path, content).expect("damaged");
}

#[tokio::test]
async fn a_wrong_passphrase_is_said_and_changes_nothing() {
    let house = House::new();
    house.make(&passphrase("right")).await;
    let before = fs::read(house.profile.database()).expect("the database");
    let fault = house.fault(&passphrase("wrong")).await;
    assert!(matches!(fault, VaultError::WrongPassphrase), "{fault}");
    assert_eq!(fs::read(house.profile.database()).expect("the database"), before);
    Vault::open(&house.profile, &passphrase("right")).await.expect("still opens");
}

#[tokio::test]
async fn a_damaged_header_is_no_wrong_passphrase() {
    let house = House::new();
    house.make(&passphrase("right")).await;
    let header = house.profile.header();
    for at in [20, 40] {
        damage(&header, at);
        let fault = house.fault(&passphrase("right")).await;
        assert!(matches!(fault, VaultError::HeaderDamaged { .. }), "{fault}");
        damage(&header, at);
    }
    fs::write(&header, b"").expect("emptied");
    assert_eq!(house.fault(&passphrase("right")).await.code(), "vault-header-damaged");
    // The header is gone: the messages are not made anew over it.
    fs::remove_file(&header).expect("removed");
    let made = Vault::create(&house.profile, &passphrase("right")).await;
    assert_eq!(made.err().map(|error| error.code()), Some("vault-header-damaged"));
    assert!(house.profile.database().exists());
}

#[tokio::test]
async fn a_damaged_database_is_said_and_kept() {
    let house = House::new();
    let unlock = Unlock::KeyFile(house.key_file());
    house.make(&unlock).await;
    damage(&house.profile.database(), 100);
    let fault = house.fault(&unlock).await;
    assert_eq!(fault.code(), "vault-damaged", "{fault}");
    assert!(house.profile.database().exists());
}

#[tokio::test]
async fn a_vault_of_a_newer_version_is_left_alone() {
    let house = House::new();
    let unlock = Unlock::KeyFile(house.key_file());
    let vault = Vault::create(&house.profile, &unlock).await.expect("a new vault");
    let mut tx = vault.begin().await.expect("a transaction");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (1000, 'later', 1, x'00', 0)",
    )
    .execute(tx.db().expect("db"))
    .await
    .expect("a later migration");
    tx.commit().await.expect("durable");
    vault.close().await.expect("closed");
    drop(vault);
    let fault = house.fault(&unlock).await;
    assert_eq!(fault.code(), "vault-newer", "{fault}");
    let header = house.profile.header();
    let mut newer = b"posthouse vault 2\n anything".to_vec();
    newer.extend_from_slice(&posthouse_crypto::sha256(&newer));
    fs::write(&header, newer).expect("a newer header");
    assert_eq!(house.fault(&unlock).await.code(), "vault-newer");
}

#[tokio::test]
async fn a_key_file_is_private_and_the_right_one() {
    let house = House::new();
    let unlock = Unlock::KeyFile(house.key_file());
    house.make(&unlock).await;
    let mode = |path: &Path| fs::metadata(path).expect("the file").permissions().mode() & 0o777;
    for path in [house.key_file(), house.profile.header(), house.profile.database(), house.profile.lock()] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(house.profile.dir()), 0o700);
    fs::set_permissions(house.key_file(), fs::Permissions::from_mode(0o644)).expect("exposed");
    assert_eq!(house.fault(&unlock).await.code(), "key-file-exposed");
    let other = house.folder.path().join("other");
    fs::write(&other, "00".repeat(32)).expect("another key");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).expect("private");
    assert_eq!(house.fault(&Unlock::KeyFile(other)).await.code(), "wrong-key-file");
    let absent = house.folder.path().join("absent");
    assert_eq!(house.fault(&Unlock::KeyFile(absent)).await.code(), "key-file-unreadable");
    assert_eq!(house.fault(&passphrase("none")).await.code(), "other-unlock");
}

#[tokio::test]
async fn one_process_owns_a_vault() {
    let house = House::new();
    let unlock = Unlock::KeyFile(house.key_file());
    let vault = Vault::create(&house.profile, &unlock).await.expect("a new vault");
    assert_eq!(house.fault(&unlock).await.code(), "vault-busy");
    vault.close().await.expect("closed");
    drop(vault);
    Vault::open(&house.profile, &unlock).await.expect("free again");
}

#[tokio::test]
async fn no_vault_is_said_as_such() {
    let house = House::new();
    let opened = Client::open(&house.profile, passphrase("any")).await;
    let Err(error) = opened else { unreachable!("there is none") };
    assert_eq!((error.code(), error.category()), ("no-vault", Category::Vault));
    assert!(!house.profile.dir().exists());
}

#[tokio::test]
async fn a_last_resort_counts_only_while_it_is_recent() {
    let house = House::new();
    let unlock = Unlock::KeyFile(house.key_file());
    let vault = Vault::create(&house.profile, &unlock).await.expect("a new vault");
    let mut tx = vault.begin().await.expect("a transaction");
    let package = NewKeyPackage { bytes: vec![1], hash: KeyPackageHash::new([1; 32]) };
    let suite = Suite::PostQuantum;
    key_packages::insert(tx.db().expect("db"), suite, true, &package, Millis(5)).await.expect("kept");
    for (since, counts) in [(5, true), (6, false)] {
        let found = key_packages::has_last_resort(tx.db().expect("db"), suite, Millis(since)).await;
        assert_eq!(found.expect("an answer"), counts, "since {since}");
    }
}

#[tokio::test]
async fn a_lost_database_is_told_from_a_vault_that_never_was() {
    let house = House::new();
    let unlock = Unlock::KeyFile(house.key_file());
    house.make(&unlock).await;
    fs::remove_file(house.profile.database()).expect("removed");
    let fault = house.fault(&unlock).await;
    assert_eq!(fault.code(), "vault-database-missing", "{fault}");
}

#[tokio::test]
async fn nothing_of_a_message_stands_in_the_files() {
    const SECRET: &str = "the cellar key is under the third flowerpot";
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    alice.client.send(bob.alias(), SECRET).await.expect("queued");
    for entry in fs::read_dir(alice.profile.dir()).expect("the folder") {
        let path = entry.expect("a file").path();
        let content = fs::read(&path).expect("readable");
        for needle in [SECRET.as_bytes(), b"alice@", b"CREATE TABLE"] {
            let found = content.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{} holds {}", path.display(), String::from_utf8_lossy(needle));
        }
    }
}

#[tokio::test]
async fn an_intent_outlives_the_process() {
    let world = World::new();
    let alice = world.person("alice").await;
    let bob = "bob@b.localhost".parse().expect("an alias");
    let sent = alice.client.send(&bob, "hello").await.expect("queued");
    alice.client.clone().close().await.expect("closed");
    let (profile, key_file) = (alice.profile.clone(), alice.key_file.clone());
    let folder = alice.abandon();
    let again = Client::open(&profile, Unlock::KeyFile(key_file)).await.expect("opens again");
    let history = again.history(&Conversation::With(bob), Page::default()).await.expect("a history");
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].local, history[0].state), (sent.local, MessageState::Queued));
    drop(folder);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing() {
    let world = World::new();
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let founded = world.found(&alice, &bob).await;
    alice.client.send(bob.alias(), "once").await.expect("queued");
    let context = alice.context();
    {
        let mut tx = context.vault.begin().await.expect("a transaction");
        let (room, keys) = tx.room(&founded.room).expect("the room");
        room.seal(keys, b"never sent").expect("sealed");
        let db = tx.db().expect("db");
        messages::set_state(db, 1, MessageState::Failed, Some("never")).await.expect("written");
        outbox::forget_intent(db, 1).await.expect("written");
    }
    let message = alice.client.message(1).await.expect("the message");
    assert_eq!(message.state, MessageState::Queued);
    let sealed = alice.seals(8).await;
    assert_eq!(sealed.len(), 1, "the intent is still there, and the ratchet is that of the vault");
}

#[tokio::test]
async fn a_refused_registration_is_taken_up_with_the_same_keys() {
    let house = House::new();
    let unlock = Unlock::KeyFile(house.key_file());
    let alias = "alice@a.localhost".parse().expect("an alias");
    // Port 1 of this machine: nobody listens there.
    let url = Some("http://127.0.0.1:1");
    let mut codes = Vec::new();
    for _ in 0..2 {
        let outcome = Client::register(&house.profile, unlock.clone(), &alias, url, None).await;
        let Err(error) = outcome else { unreachable!("nobody listens there") };
        assert_eq!((error.code(), error.category()), ("relay-not-running", Category::Network), "{error}");
        let vault = Vault::open(&house.profile, &unlock).await.expect("the vault is there");
        let owner = crate::vault::owner::load(vault.read().await.expect("a turn").db().expect("db"))
            .await
            .expect("readable")
            .expect("an owner");
        codes.push((owner.recovery.expect("the words").to_string(), owner.account.id()));
        vault.close().await.expect("closed");
    }
    assert_eq!(codes[0], codes[1]);
    let other = "eve@a.localhost".parse().expect("an alias");
    let outcome = Client::register(&house.profile, unlock.clone(), &other, url, None).await;
    assert!(matches!(outcome, Err(ClientError::OtherRegistration { .. })));
    let opened = Client::open(&house.profile, unlock).await;
    assert!(matches!(opened, Err(ClientError::NotRegistered(_))));
}
