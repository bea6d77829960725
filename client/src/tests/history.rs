//! Lasting history: what was said is found, kept as long as it should be, and carried away and back.

use std::path::PathBuf;

use posthouse_spec::Millis;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use super::world::{Founded, Person, World};
use crate::history::retention;
use crate::model::{Conversation, Direction, Message, MessageState, Page};
use crate::vault::messages::{self, Incoming};
use crate::{Client, Search, Unlock, clock};

/// Two people in one room.
async fn friends(world: &World) -> (Person, Person, Founded) {
    let (alice, bob) = (world.person("alice").await, world.person("bob").await);
    let founded = world.found(&alice, &bob).await;
    bob.knows(&alice).await;
    bob.gets(std::slice::from_ref(&founded.welcome)).await;
    bob.finds_out(&founded.room).await;
    bob.client.accept(alice.alias()).await.expect("joined");
    (alice, bob, founded)
}

async fn tells(world: &World, from: &Person, to: &Person, texts: &[&str]) {
    for text in texts {
        from.client.send(to.alias(), text).await.expect("queued");
    }
    let items: Vec<_> = from.seals(64).await.iter().map(|item| world.message(item)).collect();
    to.gets(&items).await;
}

async fn found(person: &Person, search: Search) -> Vec<String> {
    let found = person.client.search(&search).await.expect("an answer");
    found.messages.into_iter().filter_map(|message| message.text).collect()
}

fn text(text: &str) -> Search {
    Search { text: text.to_owned(), ..Search::default() }
}

/// Runs SQL on the vault, as somebody could who has its key.
async fn sql(person: &Person, statement: &'static str) {
    let mut tx = person.context().vault.begin().await.expect("a transaction");
    sqlx::raw_sql(statement).execute(tx.db().expect("db")).await.expect("done");
    tx.commit().await.expect("durable");
}

async fn reopened(person: &Person) -> Client {
    person.client.clone().close().await.expect("closed");
    // The lock goes with the last clone; another vault object may not have it meanwhile.
    let (profile, key_file) = (person.profile.clone(), person.key_file.clone());
    std::fs::remove_file(profile.lock()).expect("let go of");
    Client::open(&profile, Unlock::KeyFile(key_file)).await.expect("opens again")
}

#[tokio::test]
async fn words_and_parts_of_words_are_found_newest_first() {
    let world = World::new();
    let (alice, bob, _) = friends(&world).await;
    let texts =
        ["The cellar key is under the pot", "CELLAR door", "over the ÄRGER", "ab", "100% \"sure\" it's _it_"];
    tells(&world, &alice, &bob, &texts).await;
    assert_eq!(found(&bob, text("cellar")).await, [texts[1], texts[0]]);
    assert_eq!(found(&bob, text("ELLA")).await, [texts[1], texts[0]]);
    assert_eq!(found(&bob, text("pot cellar")).await, [texts[0]]);
    assert_eq!(found(&bob, text("\"key is\"")).await, [texts[0]]);
    assert_eq!(found(&bob, text("\"is key\"")).await, [""; 0]);
    assert_eq!(found(&bob, text("ärger")).await, [texts[2]]);
    assert_eq!(found(&bob, text("AB")).await, [texts[3]]);
    assert_eq!(found(&bob, text("is pot")).await, [texts[0]]);
    assert_eq!(found(&bob, text("0%")).await, [texts[4]]);
    assert_eq!(found(&bob, text("_it_")).await, [texts[4]]);
    for odd in ["NEAR(a b)", "text:cellar", "a* OR b", "'; DROP TABLE messages", "\u{0}\u{0}\u{0}"] {
        assert_eq!(found(&bob, text(odd)).await, [""; 0], "{odd}");
    }
    assert_eq!(bob.client.search(&text(" ")).await.expect_err("nothing").code(), "bad-search");
    // Own messages too, from the moment at which they are stored.
    bob.client.send(alice.alias(), "my own cellar").await.expect("queued");
    assert_eq!(found(&bob, text("own cellar")).await, ["my own cellar"]);
}

#[tokio::test]
async fn a_search_is_paged_both_ways_and_stays_within_bounds() {
    let world = World::new();
    let (alice, bob, founded) = friends(&world).await;
    let texts: Vec<String> = (0..9).map(|n| format!("letter x{n}")).collect();
    tells(&world, &alice, &bob, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for query in ["letter", "x"] {
        let mut search = Search { limit: Some(4), ..text(query) };
        let (mut seen, mut pages) = (Vec::new(), 0);
        loop {
            let page = bob.client.search(&search).await.expect("a page");
            seen.extend(page.messages.into_iter().filter_map(|message| message.text));
            pages += 1;
            let Some(more) = page.more else { break };
            search.before = Some(more);
        }
        let newest_first: Vec<String> = texts.iter().rev().cloned().collect();
        assert_eq!((seen, pages), (newest_first, 3), "{query}");
        let all = bob.client.search(&text(query)).await.expect("all");
        let oldest = all.messages.last().expect("one").local;
        let next = Search { after: Some(oldest), limit: Some(2), ..text(query) };
        assert_eq!(found(&bob, next).await, ["letter x2", "letter x1"]);
    }
    let within = |of| Search { within: Some(of), ..text("letter") };
    assert_eq!(found(&bob, within(Conversation::Room(founded.room))).await.len(), 9);
    assert_eq!(found(&bob, within(Conversation::With(alice.alias().clone()))).await.len(), 9);
    let nobody = within(Conversation::With("nobody@h.localhost".parse().expect("an alias")));
    assert_eq!(bob.client.search(&nobody).await.expect_err("unknown").code(), "unknown-conversation");
    // The relay of this world takes messages at 9 ms past 1970.
    let since = |since, until| Search { since, until, ..text("letter") };
    assert_eq!(found(&bob, since(Some(Millis(9)), Some(Millis(10)))).await.len(), 9);
    assert_eq!(found(&bob, since(Some(Millis(10)), None)).await.len(), 0);
    assert_eq!(found(&bob, since(None, Some(Millis(9)))).await.len(), 0);
}

#[tokio::test]
async fn history_is_paged_both_ways() {
    let world = World::new();
    let (alice, bob, _) = friends(&world).await;
    tells(&world, &alice, &bob, &["1", "2", "3", "4", "5"]).await;
    let of = Conversation::With(alice.alias().clone());
    let page = async |after, before, limit| {
        let page = Page { after, before, limit: Some(limit) };
        let messages = bob.client.history(&of, page).await.expect("a page");
        messages.into_iter().map(|message| (message.local, message.text.expect("a text"))).collect::<Vec<_>>()
    };
    let last = page(None, None, 2).await;
    assert_eq!([&last[0].1, &last[1].1], ["4", "5"]);
    let earlier = page(None, Some(last[0].0), 2).await;
    assert_eq!([&earlier[0].1, &earlier[1].1], ["2", "3"]);
    assert_eq!(page(Some(earlier[1].0), None, 2).await, last);
    assert_eq!(page(Some(last[1].0), None, 2).await, []);
}

#[tokio::test]
async fn a_vault_from_before_the_index_is_indexed_when_it_is_opened() {
    let world = World::new();
    let (alice, bob, _) = friends(&world).await;
    tells(&world, &alice, &bob, &["an old letter"]).await;
    sql(
        &bob,
        "DROP TRIGGER messages_proven; DROP TRIGGER message_text_added; DROP TRIGGER message_text_removed;
         DROP TRIGGER message_text_changed; DROP TABLE message_text; DROP TABLE retention; DROP TABLE backup_key;
         DROP INDEX messages_room; DROP INDEX messages_peer; DROP INDEX messages_rank; DROP INDEX messages_room_sent;
         DROP INDEX messages_peer_sent; DROP INDEX messages_imported;
         ALTER TABLE messages DROP COLUMN rank; ALTER TABLE messages DROP COLUMN by_alias;
         ALTER TABLE owner DROP COLUMN restored;
         CREATE INDEX messages_room ON messages (room, local); CREATE INDEX messages_peer ON messages (peer, local);
         DELETE FROM _sqlx_migrations WHERE version = 4;",
    )
    .await;
    let again = reopened(&bob).await;
    let hits = again.search(&text("old letter")).await.expect("an answer");
    assert_eq!(hits.messages.len(), 1);
}

#[tokio::test]
async fn what_is_too_old_is_deleted_with_its_index() {
    let world = World::new();
    let (alice, bob, founded) = friends(&world).await;
    tells(&world, &alice, &bob, &["an old secret", "a new letter"]).await;
    bob.client.send(alice.alias(), "an old letter that waits").await.expect("queued");
    sql(&bob, "UPDATE messages SET sent = 5, received = 6 WHERE text LIKE '%old%'").await;
    let of = Conversation::With(alice.alias().clone());
    for days in [0, 36_501] {
        let fault = bob.client.set_retention(&of, Some(days)).await.expect_err("no such number");
        assert_eq!(fault.code(), "bad-retention");
    }
    assert_eq!(bob.client.retention(&of).await.expect("read"), None);
    assert_eq!(retention::delete_old(&bob.context().vault).await.expect("looked"), 0);
    assert_eq!(bob.client.set_retention(&Conversation::Room(founded.room), Some(30)).await.expect("set"), 1);
    // The room and the person are one conversation.
    assert_eq!(bob.client.retention(&of).await.expect("read"), Some(30));
    assert_eq!(bob.client.rooms().await.expect("rooms")[0].retention_days, Some(30));
    assert_eq!(found(&bob, text("secret")).await, [""; 0]);
    assert_eq!(found(&bob, text("letter")).await, ["an old letter that waits", "a new letter"]);
    sql(&bob, "INSERT INTO message_text (message_text, rank) VALUES ('integrity-check', 1)").await;
    // The next start looks again; what is switched off stays.
    sql(&bob, "UPDATE messages SET sent = 5, received = 6 WHERE text = 'a new letter'").await;
    let again = reopened(&bob).await;
    assert!(again.search(&text("new letter")).await.expect("an answer").messages.is_empty());
    again.set_retention(&of, None).await.expect("off");
    assert_eq!(again.retention(&of).await.expect("read"), None);
    let nobody = Conversation::With("nobody@h.localhost".parse().expect("an alias"));
    assert_eq!(
        again.set_retention(&nobody, Some(1)).await.expect_err("unknown").code(),
        "unknown-conversation"
    );
}

async fn exported(client: &Client) -> String {
    let mut out = Vec::new();
    client.export(&mut out).await.expect("exported");
    String::from_utf8(out).expect("text")
}

/// What an import must keep of an export.
fn said(export: &str) -> Vec<Value> {
    let strip = |line: &str| {
        let mut value: Value = serde_json::from_str(line).expect("JSON");
        for own in ["local", "imported", "unread"] {
            value.as_object_mut().expect("an object").remove(own);
        }
        value
    };
    export.lines().map(strip).collect()
}

fn file(person: &Person, name: &str, content: &[u8]) -> PathBuf {
    let path = person.profile.dir().join(name);
    std::fs::write(&path, content).expect("written");
    path
}

/// Texts as people and machines write them.
fn random_text(rng: &mut StdRng) -> String {
    let alphabet = ['a', 'Z', ' ', '\n', '"', '\\', '<', '\u{0}', '\u{7f}', 'ß', '\u{202e}', '🦀', '{'];
    let length = rng.random_range(1..40);
    (0..length).map(|_| alphabet[rng.random_range(0..alphabet.len())]).collect()
}

#[tokio::test]
async fn export_import_export_says_the_same() {
    let world = World::new();
    let (alice, bob, founded) = friends(&world).await;
    let seed = rand::random();
    println!("seed {seed}");
    let rng = &mut StdRng::seed_from_u64(seed);
    for _ in 0..8 {
        let texts: Vec<String> = (0..rng.random_range(1..6)).map(|_| random_text(rng)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        if rng.random() {
            tells(&world, &alice, &bob, &texts).await;
        } else {
            tells(&world, &bob, &alice, &texts).await;
        }
    }
    sql(&bob, "DELETE FROM outbox; UPDATE messages SET state = 'accepted' WHERE outgoing = 1").await;
    let lost = Incoming {
        room: &founded.room,
        peer: Some(&alice.context().owner.account.id()),
        account: None,
        id: None,
        own: false,
        sent: Millis(7),
        content: None,
        text: None,
        state: MessageState::Undecryptable,
        reason: Some("it could not be opened"),
        body_hash: None,
    };
    let mut tx = bob.context().vault.begin().await.expect("a transaction");
    messages::insert_incoming(tx.db().expect("db"), &lost, clock::now()).await.expect("stored");
    tx.commit().await.expect("durable");
    let first = exported(&bob.client).await;
    let path = file(&bob, "letters.jsonl", first.as_bytes());
    // Into the vault that has it all, nothing comes.
    let done = bob.client.import(&path, false).await.expect("imported");
    assert_eq!((done.added, done.known as usize), (0, first.lines().count()));
    assert_eq!(exported(&bob.client).await, first);
    sql(&bob, "DELETE FROM messages").await;
    for added in [first.lines().count(), 0] {
        let done = bob.client.import(&path, false).await.expect("imported");
        assert_eq!(done.added as usize, added);
        assert_eq!(said(&exported(&bob.client).await), said(&first));
    }
    let of = Conversation::With(alice.alias().clone());
    let history = bob.client.history(&of, Page::default()).await.expect("a history");
    assert!(history.iter().all(|message| message.imported && !message.unread));
    // Sorted by time, where the vault's own order is not known.
    assert!(history.windows(2).all(|pair| pair[0].sent <= pair[1].sent));
}

#[tokio::test]
async fn an_import_stands_before_what_came_here_and_gives_way_to_it() {
    let world = World::new();
    let (alice, bob, founded) = friends(&world).await;
    tells(&world, &alice, &bob, &["first", "second"]).await;
    // Without the account with whom it is, as before there was that field.
    let lines = exported(&bob.client).await.replace("\"peer_account\"", "\"unknown_field\"");
    let path = file(&bob, "letters.jsonl", lines.as_bytes());
    sql(&bob, "DELETE FROM messages").await;
    tells(&world, &alice, &bob, &["third"]).await;
    bob.client.import(&path, false).await.expect("imported");
    let of = Conversation::With(alice.alias().clone());
    let history = async || bob.client.history(&of, Page::default()).await.expect("a history");
    let texts = |history: &[Message]| history.iter().filter_map(|m| m.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&history().await), ["first", "second", "third"]);
    let locals: Vec<u64> = history().await.iter().map(|message| message.local).collect();
    let page = async |after, before| {
        let page = Page { after, before, limit: Some(2) };
        texts(&bob.client.history(&of, page).await.expect("a page"))
    };
    assert_eq!(page(None, Some(locals[2])).await, ["first", "second"]);
    assert_eq!(page(None, Some(locals[1])).await, ["first"]);
    assert_eq!(page(Some(locals[0]), None).await, ["second", "third"]);
    assert_eq!(page(Some(locals[0]), Some(locals[2])).await, ["second"]);
    assert_eq!(
        bob.client.rooms().await.expect("rooms")[0].last.as_ref().and_then(|m| m.text.as_deref()),
        Some("third")
    );
    let claimed = history().await[1].clone();
    assert!(claimed.imported);
    let sender = alice.context().owner.account.id();
    let proven = Incoming {
        room: &founded.room,
        peer: Some(&sender),
        account: Some(&sender),
        id: claimed.id.as_ref(),
        own: false,
        sent: Millis(9),
        content: None,
        text: Some("what she really wrote"),
        state: MessageState::Received,
        reason: None,
        body_hash: None,
    };
    let mut tx = bob.context().vault.begin().await.expect("a transaction");
    let local = messages::insert_incoming(tx.db().expect("db"), &proven, clock::now()).await.expect("stored");
    tx.commit().await.expect("durable");
    assert!(local.is_some());
    assert_eq!(texts(&history().await), ["first", "third", "what she really wrote"]);
    assert_eq!(found(&bob, text("second")).await, [""; 0]);
}

#[tokio::test]
async fn a_bad_file_is_named_line_by_line_and_leaves_nothing() {
    let world = World::new();
    let (alice, bob, _) = friends(&world).await;
    tells(&world, &alice, &bob, &["one", "two"]).await;
    let good = exported(&bob.client).await;
    sql(&bob, "DELETE FROM messages").await;
    let mut lines: Vec<&str> = good.lines().collect();
    let foreign = good.lines().next().expect("one").replace("\"direction\":\"in\"", "\"direction\":\"out\"");
    lines.insert(1, "not a message");
    lines.push(&foreign);
    let path = file(&bob, "bad.jsonl", lines.join("\n").as_bytes());
    let fault = bob.client.import(&path, false).await.expect_err("bad lines");
    let said = fault.to_string();
    assert!(said.contains("line 2: ") && said.contains("line 4: ") && !said.contains("line 3"), "{said}");
    assert_eq!(fault.code(), "bad-import");
    assert_eq!(exported(&bob.client).await, "");
    let done = bob.client.import(&path, true).await.expect("the rest");
    assert_eq!((done.added, done.skipped, done.bad.len()), (2, 2, 2));
    let absent = bob.client.import(&bob.profile.dir().join("absent"), false).await;
    assert_eq!(absent.expect_err("no file").code(), "file-failed");
    let rng = &mut StdRng::seed_from_u64(4);
    for _ in 0..50 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..rng.random_range(1..20) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        bytes.truncate(rng.random_range(0..bytes.len()));
        let path = file(&bob, "garbage", &bytes);
        // Whatever it is, it is an answer.
        let _ = bob.client.import(&path, false).await;
    }
}

#[tokio::test]
async fn the_page_shows_everything_and_runs_nothing() {
    let world = World::new();
    let (alice, bob, _) = friends(&world).await;
    tells(&world, &alice, &bob, &["<script>alert('x')</script>", "two\nlines & more"]).await;
    bob.client.send(alice.alias(), "an answer").await.expect("queued");
    bob.client.send(&"carol@h.localhost".parse().expect("an alias"), "to a stranger").await.expect("queued");
    sql(&bob, "UPDATE messages SET state = 'failed', reason = 'a <b>reason</b>' WHERE text = 'an answer'")
        .await;
    let mut out = Vec::new();
    assert_eq!(bob.client.export_html(&mut out).await.expect("written"), 4);
    let page = String::from_utf8(out).expect("text");
    for shown in [
        "<h2>alice@h.localhost</h2>",
        "<h2>carol@h.localhost</h2>",
        "<h3>1970-01-01</h3>",
        "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;",
        "two\nlines &amp; more",
        "<div class=\"m own\">",
        "not delivered; a &lt;b&gt;reason&lt;/b&gt;",
        "default-src 'none'",
    ] {
        assert!(page.contains(shown), "{shown} is not in {page}");
    }
    assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("http://"));
    let history = bob.client.history(&Conversation::With(alice.alias().clone()), Page::default()).await;
    assert_eq!(history.expect("a history").iter().filter(|m| m.direction == Direction::Out).count(), 1);
}
