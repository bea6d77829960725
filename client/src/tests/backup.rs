//! Backups: what was written comes back, and whatever was done to it is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::world::{Person, World};
use crate::event::Until;
use crate::model::{Conversation, MessageState, Page, RoomState};
use crate::profile::{Profile, Unlock};
use crate::vault::tables::{KEPT, LEFT};
use crate::{Category, Client, ClientError, Search};

/// A person with a backup of theirs, and an empty place to bring it back to.
struct Kept {
    alice: Person,
    bob: Person,
    words: String,
    file: PathBuf,
    other: TempDir,
}

impl Kept {
    /// Bob has letters of Alice, one of his own on its way, and a backup of several segments.
    async fn new() -> Self {
        Self::with(&["a first letter", &"x".repeat(40_000), &"y".repeat(40_000), &"z".repeat(40_000)]).await
    }

    async fn with(texts: &[&str]) -> Self {
        let world = World::new();
        let (alice, bob) = (world.person("alice").await, world.person("bob").await);
        let founded = world.found(&alice, &bob).await;
        bob.knows(&alice).await;
        bob.gets(std::slice::from_ref(&founded.welcome)).await;
        bob.finds_out(&founded.room).await;
        bob.client.accept(alice.alias()).await.expect("joined");
        for text in texts {
            alice.client.send(bob.alias(), text).await.expect("queued");
        }
        let items: Vec<_> = alice.seals(64).await.iter().map(|item| world.message(item)).collect();
        bob.gets(&items).await;
        bob.client.send(alice.alias(), "on its way").await.expect("queued");
        bob.client.set_retention(&Conversation::Room(founded.room), Some(36_500)).await.expect("set");
        let words = bob.context().owner.recovery.as_ref().expect("the words").to_string();
        let other = tempfile::tempdir().expect("a folder");
        let file = other.path().join("bob.backup");
        Self { alice, bob, words, file, other }
    }

    async fn written() -> Self {
        let kept = Self::new().await;
        kept.bob.client.create_backup(&kept.file).await.expect("written");
        kept
    }

    fn place(&self) -> (Profile, Unlock) {
        let profile = Profile::locate(Some(self.other.path()), "new").expect("a profile");
        (profile, Unlock::KeyFile(self.other.path().join("key")))
    }

    async fn restore(&self, words: &str) -> Result<Client, ClientError> {
        let (profile, unlock) = self.place();
        Client::restore_backup(&profile, unlock.clone(), &self.file, words).await?;
        Client::open(&profile, unlock).await
    }

    async fn fault(&self) -> String {
        let by_vault = self.bob.client.verify_backup(&self.file).await.expect_err("it was spoilt");
        let by_words = self.restore(&self.words).await.err().expect("it was spoilt");
        assert_eq!(by_vault.to_string(), by_words.to_string());
        assert!(!self.place().0.dir().exists(), "nothing was made");
        by_vault.to_string()
    }
}

#[tokio::test]
async fn a_backup_brings_history_back_and_a_device_that_only_reads() {
    let kept = Kept::written().await;
    let report = kept.bob.client.verify_backup(&kept.file).await.expect("it restores");
    assert_eq!((report.rows("messages"), report.rows("rooms"), report.rows("owner")), (5, 1, 1));
    assert_eq!(report, {
        let words = Client::verify_backup_with_words(&kept.file, &kept.words).await.expect("with words");
        crate::Report { age_ms: report.age_ms, ..words }
    });
    let restored = kept.restore(&kept.words.to_uppercase()).await.expect("restored");
    let of = Conversation::With(kept.alice.alias().clone());
    let page = Page::default();
    let mut before = kept.bob.client.history(&of, page).await.expect("a history");
    let after = restored.history(&of, page).await.expect("a history");
    // What was on its way is said not to be any more.
    let last = before.last_mut().expect("one");
    assert_eq!(last.state, MessageState::Queued);
    last.state = MessageState::Failed;
    last.reason = after.last().and_then(|message| message.reason.clone());
    assert!(last.reason.as_ref().is_some_and(|reason| reason.contains("send it again")));
    assert_eq!(after, before);
    let search = Search { text: "first letter".to_owned(), ..Search::default() };
    assert_eq!(restored.search(&search).await.expect("an answer").messages.len(), 1);
    let rooms = restored.rooms().await.expect("rooms");
    assert_eq!((rooms[0].state, rooms[0].retention_days), (RoomState::Broken, Some(36_500)));
    assert_eq!(restored.export(&mut Vec::new()).await.expect("exported"), 5);
    let (old, new) = (kept.bob.client.whoami().await.expect("who"), restored.whoami().await.expect("who"));
    assert_eq!((old.account, old.restored), (new.account, None));
    assert!(new.restored.is_some() && new.device != old.device);
    let fault = restored.send(kept.alice.alias(), "hello").await.expect_err("not enrolled");
    assert_eq!((fault.code(), fault.category()), ("not-enrolled", Category::Refused));
    let (events, _seen) = mpsc::channel(8);
    let until = Until::Idle { timeout: std::time::Duration::from_secs(1) };
    assert_eq!(restored.sync(until, events).await.expect_err("not enrolled").code(), "not-enrolled");
    // It can be backed up again, and the old file is replaced.
    let again = restored.create_backup(&kept.file).await.expect("written again");
    assert_eq!(again.rows("messages"), 5);
    restored.close().await.expect("closed");
    let fault = kept.bob.client.verify_backup(&kept.file).await.expect_err("another vault's");
    assert_eq!(fault.code(), "backup-of-other-vault");
}

#[tokio::test]
async fn a_vault_is_never_restored_over() {
    let kept = Kept::written().await;
    let restored = kept.restore(&kept.words).await.expect("restored");
    assert_eq!(kept.restore(&kept.words).await.err().expect("busy").code(), "vault-busy");
    restored.close().await.expect("closed");
    let (profile, unlock) = (kept.bob.profile.clone(), Unlock::KeyFile(kept.bob.key_file.clone()));
    kept.bob.client.clone().close().await.expect("closed");
    fs::remove_file(profile.lock()).expect("let go of");
    let fault = Client::restore_backup(&profile, unlock, &kept.file, &kept.words).await;
    assert_eq!(fault.expect_err("it has a vault").code(), "vault-exists");
}

#[tokio::test]
async fn wrong_words_are_told_by_their_place() {
    let kept = Kept::written().await;
    let words: Vec<&str> = kept.words.split(' ').collect();
    let typed = |at: usize, word: &str| {
        let mut typed: Vec<&str> = words.clone();
        typed[at] = word;
        typed.join(" ")
    };
    let other = if words[6] == "zoo" { "abandon" } else { "zoo" };
    for (text, told) in [
        (words[1..].join(" "), "has 24 words, but this has 23"),
        (typed(3, "posthouse"), "word 4 of the recovery code is not on the word list"),
        (typed(6, other), "it is word 7 that is not right"),
        (
            kept.alice.context().owner.recovery.as_ref().expect("words").to_string(),
            "another account, not of bob@h.localhost",
        ),
        (String::new(), "this has 0"),
    ] {
        let fault = kept.restore(&text).await.err().expect("wrong words");
        assert_eq!(fault.code(), "wrong-words");
        assert!(fault.to_string().contains(told), "{fault}");
        // Single words may well be those of the message.
        let told = words.windows(2).any(|pair| fault.to_string().contains(&pair.join(" ")));
        assert!(!told, "no words are told: {fault}");
    }
    assert!(!kept.place().0.dir().exists(), "nothing was made");
}

#[tokio::test]
async fn what_was_altered_or_cut_off_is_refused_by_its_segment() {
    let kept = Kept::written().await;
    let whole = fs::read(&kept.file).expect("the file");
    let step = 65_552;
    let start = whole.len() - whole.len() % step;
    assert!(whole.len() > 2 * step, "{} bytes", whole.len());
    // Where the segments begin: behind the first line, the header's length, the header, its checksum and the commitment.
    let line = b"posthouse backup 1\n".len();
    let length = u32::from_be_bytes(whole[line..line + 4].try_into().expect("4 bytes")) as usize;
    let first = line + 4 + length + 64;
    for (at, told) in [
        (first + 5, "segment 1 was altered"),
        (first + step + 5, "segment 2 was altered"),
        (line + 4 + 10, "header"),
        (first - 35, "its header was altered"),
        (first - 3, "its header was altered"),
    ] {
        let mut spoilt = whole.clone();
        spoilt[at] ^= 0x10;
        fs::write(&kept.file, spoilt).expect("spoilt");
        let fault = kept.bob.client.verify_backup(&kept.file).await.expect_err("it was spoilt");
        assert!(fault.to_string().contains(told), "{at}: {fault}");
    }
    fs::write(&kept.file, &whole[..first + step]).expect("cut off");
    assert!(kept.fault().await.contains("it was cut off behind segment 1"));
    fs::write(&kept.file, &whole[..first + step + 77]).expect("cut off");
    assert!(kept.fault().await.contains("segment 2 was altered or cut off"));
    fs::write(&kept.file, [whole.as_slice(), b"more"].concat()).expect("longer");
    assert!(kept.fault().await.contains("segment"));
    for end in (0..first + 40).step_by(7).chain([start]) {
        fs::write(&kept.file, &whole[..end]).expect("cut off");
        let fault = kept.bob.client.verify_backup(&kept.file).await.expect_err("it was spoilt");
        assert!(matches!(fault.code(), "no-backup" | "backup-damaged"), "{end}: {fault}");
    }
    for length in [0, 1, 18, 19, 23, 500, 70_000] {
        let mut garbage: Vec<u8> = (0..length).map(|_| rand::random()).collect();
        for begun in [0, line] {
            let begun = begun.min(garbage.len());
            garbage[..begun].copy_from_slice(&whole[..begun]);
            fs::write(&kept.file, &garbage).expect("garbage");
            kept.bob.client.verify_backup(&kept.file).await.expect_err("it is garbage");
        }
    }
    let newer = [b"posthouse backup 2\n", &whole[line..]].concat();
    fs::write(&kept.file, newer).expect("newer");
    let fault = kept.bob.client.verify_backup(&kept.file).await.expect_err("newer");
    assert_eq!(fault.code(), "backup-newer");
}

#[tokio::test]
async fn a_backup_is_private_and_replaces_only_its_like() {
    let kept = Kept::new().await;
    for _ in 0..2 {
        kept.bob.client.create_backup(&kept.file).await.expect("written");
        let mode = fs::metadata(&kept.file).expect("the file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
    let names: Vec<_> = fs::read_dir(kept.other.path()).expect("the folder").collect();
    assert_eq!(names.len(), 1, "no draft is left: {names:?}");
    let content = fs::read(&kept.file).expect("the file");
    for secret in [b"a first letter".as_slice(), b"xxxxxxxxxx", b"alice@h"] {
        assert!(!content.windows(secret.len()).any(|window| window == secret));
    }
    let thesis = kept.other.path().join("thesis");
    fs::write(&thesis, "not a backup").expect("written");
    for (person, path) in [(&kept.bob, &thesis), (&kept.alice, &kept.file)] {
        let fault = person.client.create_backup(path).await.expect_err("not ours");
        assert_eq!(fault.code(), "file-exists");
    }
    assert_eq!(fs::read(&kept.file).expect("the file"), content);
    let nowhere = kept.other.path().join("absent").join("file");
    assert_eq!(kept.bob.client.create_backup(&nowhere).await.expect_err("no folder").code(), "file-failed");
}

#[tokio::test]
async fn a_vault_without_a_backup_key_learns_it_from_the_words() {
    let kept = Kept::new().await;
    let mut tx = kept.bob.context().vault.begin().await.expect("a transaction");
    sqlx::query("DELETE FROM backup_key").execute(tx.db().expect("db")).await.expect("forgotten");
    tx.commit().await.expect("durable");
    let fault = kept.bob.client.create_backup(&kept.file).await.expect_err("no key");
    assert_eq!(fault.code(), "no-backup-key");
    let others = kept.alice.context().owner.recovery.as_ref().expect("words").to_string();
    assert_eq!(kept.bob.client.learn_words(&others).await.expect_err("not hers").code(), "wrong-words");
    kept.bob.client.learn_words(&kept.words).await.expect("learnt");
    kept.bob.client.create_backup(&kept.file).await.expect("written");
    kept.restore(&kept.words).await.expect("restored");
}

#[tokio::test]
async fn of_every_table_it_is_decided_whether_a_backup_holds_it() {
    let world = World::new();
    let alice = world.person("alice").await;
    let mut reader = alice.context().vault.read().await.expect("a turn");
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'message_text%'
             AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_sqlx\\_%' ESCAPE '\\'",
    )
    .fetch_all(reader.db().expect("db"))
    .await
    .expect("the tables");
    for table in &tables {
        let kept = KEPT.iter().any(|kept| kept.name == table);
        assert!(kept != LEFT.contains(&table.as_str()), "{table} must be in KEPT or LEFT of vault/tables.rs");
    }
    for named in KEPT.iter().map(|kept| kept.name).chain(LEFT.iter().copied()) {
        assert!(tables.iter().any(|table| table == named), "{named} is gone");
    }
}

#[tokio::test]
async fn blessed() {
    // What the tests of the program restore, written anew only on request.
    if std::env::var_os("POSTHOUSE_BLESS").is_none() {
        return;
    }
    let kept = Kept::with(&["a first letter", "xx one", "xx two", "zz"]).await;
    kept.bob.client.create_backup(&kept.file).await.expect("written");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../client-cli/tests");
    fs::copy(&kept.file, folder.join("bob.backup")).expect("copied");
    fs::write(folder.join("bob.words"), kept.words.as_bytes()).expect("written");
}
