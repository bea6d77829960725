//! What a person does with what was said: reading, searching, keeping, carrying away.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use posthouse_spec::{AccountId, RoomId};
use sqlx::sqlite::SqliteConnection;

use super::Client;
use crate::clock;
use crate::error::{ClientError, VaultError};
use crate::history::error::HistoryError;
use crate::history::import::{Imported, Lines, TOLD_LINES};
use crate::history::search::{DEFAULT_HITS, Found, MAX_HITS, MAX_LOOKED_AT, Search, Terms};
use crate::history::{html, retention as keeping};
use crate::model::{Conversation, Message, Page};
use crate::vault::pages::{Filter, Order, Scope};
use crate::vault::retention::Kept;
use crate::vault::{contacts, imports, messages, pages, retention, room_infos, rooms};

/// Messages that are read at a time.
const PAGE: u32 = 256;
/// Direct rooms of an import of which it is remembered with whom they are.
const MAX_ROOMS: usize = 100_000;

impl Client {
    /// Messages of a conversation, oldest first.
    ///
    /// # Errors
    /// There is no such conversation, or what the vault says.
    pub async fn history(&self, of: &Conversation, page: Page) -> Result<Vec<Message>, ClientError> {
        let mut reader = self.0.vault.read().await?;
        let db = reader.db()?;
        let (scope, known) = scope_of(db, of).await?;
        let messages = pages::page(db, &scope, page).await?;
        // Of a page that is empty, the others may have messages.
        let known = known || !messages.is_empty() || !pages::page(db, &scope, ONE).await?.is_empty();
        if known { Ok(messages) } else { Err(unknown(of)) }
    }

    /// Looks for a text in the messages of the vault.
    ///
    /// # Errors
    /// Nothing is named to look for, there is no such conversation, or what the vault says.
    pub async fn search(&self, search: &Search) -> Result<Found, ClientError> {
        let terms = Terms::parse(&search.text)?;
        let mut reader = self.0.vault.read().await?;
        let db = reader.db()?;
        let scope = match &search.within {
            None => Scope::All,
            Some(of) => {
                let (scope, known) = scope_of(db, of).await?;
                if !known && pages::page(db, &scope, ONE).await?.is_empty() {
                    return Err(unknown(of));
                }
                scope
            }
        };
        let forwards = search.after.is_some() && search.before.is_none();
        let order = if forwards { Order::OldestFirst } else { Order::NewestFirst };
        let limit = search.limit.unwrap_or(DEFAULT_HITS).clamp(1, MAX_HITS);
        let mut filter = Filter {
            after: search.after,
            before: search.before,
            since: search.since,
            until: search.until,
            indexed: terms.indexed.as_deref(),
        };
        let (mut found, mut looked_at) = (Found::default(), 0);
        loop {
            let page = if terms.are_indexed() { limit + 1 } else { u64::from(PAGE) };
            let candidates = pages::read(db, &scope, filter, order, page).await?;
            let (count, mut last) = (candidates.len() as u64, None);
            for message in candidates {
                if found.messages.len() as u64 == limit {
                    found.more = found.messages.last().map(|message| message.local);
                    return Ok(newest_first(found, order));
                }
                last = Some(message.local);
                if terms.match_rest(message.text.as_deref()) {
                    found.messages.push(message);
                }
            }
            looked_at += count;
            if count < page {
                return Ok(newest_first(found, order));
            }
            match order {
                Order::NewestFirst => filter.before = last,
                Order::OldestFirst => filter.after = last,
            }
            if looked_at >= MAX_LOOKED_AT {
                found.more = last;
                return Ok(newest_first(found, order));
            }
        }
    }

    /// After how many days the messages of a conversation are deleted from this vault; `None` is never.
    ///
    /// # Errors
    /// There is no such conversation, or what the vault says.
    pub async fn retention(&self, of: &Conversation) -> Result<Option<u64>, ClientError> {
        let mut reader = self.0.vault.read().await?;
        let db = reader.db()?;
        let kept = kept(db, of).await?;
        Ok(retention::of(db, &kept).await?)
    }

    /// Sets after how many days they are deleted, and deletes what is older now; returns how many messages that were. The
    /// others in the conversation keep theirs.
    ///
    /// # Errors
    /// The number makes no sense, there is no such conversation, or what the vault says.
    pub async fn set_retention(&self, of: &Conversation, days: Option<u64>) -> Result<u64, ClientError> {
        if let Some(days) = days.filter(|days| !(1..=keeping::MAX_DAYS).contains(days)) {
            return Err(HistoryError::BadRetention { days, limit: keeping::MAX_DAYS }.into());
        }
        let mut tx = self.0.vault.begin().await?;
        let kept = match kept(tx.db()?, of).await {
            Ok(kept) => kept,
            Err(error) => {
                tx.commit().await?;
                return Err(error);
            }
        };
        retention::set(tx.db()?, &kept, days).await?;
        tx.commit().await?;
        keeping::delete_old(&self.0.vault).await
    }

    /// Writes all messages as JSON lines, in the order in which they came into the vault; returns how many.
    ///
    /// # Errors
    /// Writing fails, or what the vault says.
    pub async fn export(&self, out: &mut (dyn std::io::Write + Send)) -> Result<u64, ClientError> {
        let (mut after, mut count) = (0, 0);
        loop {
            let page = messages::behind(self.0.vault.read().await?.db()?, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.local;
            for message in &page {
                serde_json::to_writer(&mut *out, message)
                    .map_err(|error| HistoryError::Export(error.into()))?;
                out.write_all(b"\n").map_err(HistoryError::Export)?;
                count += 1;
            }
        }
        out.flush().map_err(HistoryError::Export)?;
        Ok(count)
    }

    /// Writes all messages as one page for people, conversation by conversation; returns how many.
    ///
    /// # Errors
    /// Writing fails, or what the vault says.
    pub async fn export_html(&self, out: &mut (dyn std::io::Write + Send)) -> Result<u64, ClientError> {
        let mut html =
            html::Page::begin(out, &self.0.owner.alias, clock::now()).map_err(HistoryError::Export)?;
        let conversations = pages::conversations(self.0.vault.read().await?.db()?).await?;
        for scope in conversations {
            html.conversation(&self.title(&scope).await?).map_err(HistoryError::Export)?;
            let mut filter = Filter::default();
            loop {
                let mut reader = self.0.vault.read().await?;
                let page =
                    pages::read(reader.db()?, &scope, filter, Order::OldestFirst, u64::from(PAGE)).await?;
                drop(reader);
                let Some(last) = page.last() else { break };
                filter.after = Some(last.local);
                for message in &page {
                    html.message(message).map_err(HistoryError::Export)?;
                }
            }
        }
        Ok(html.end().map_err(HistoryError::Export)?)
    }

    /// How a conversation is called.
    async fn title(&self, scope: &Scope) -> Result<String, ClientError> {
        Ok(match scope {
            Scope::Peer(account) => {
                let (alias, _) = contacts::glance(self.0.vault.read().await?.db()?, account).await?;
                alias.map_or_else(|| account.to_string(), |alias| alias.to_string())
            }
            Scope::Alias(alias) | Scope::With { alias, .. } => alias.to_string(),
            Scope::Room(room) | Scope::Nobody(Some(room)) => {
                let info = room_infos::find(self.0.vault.read().await?.db()?, room).await?;
                let name = info.map(|info| info.name).filter(|name| !name.is_empty());
                name.unwrap_or_else(|| format!("Room {room}"))
            }
            Scope::Nobody(None) | Scope::All => "Without a room".to_owned(),
        })
    }

    /// Takes the JSON lines of an export of this account in: all of them or, where one is bad, none, unless bad ones are to
    /// be left out. What is here already is passed over, so the same file twice changes nothing.
    ///
    /// # Errors
    /// The file cannot be read, lines of it are bad, or what the vault says.
    pub async fn import(&self, path: &Path, skip_bad: bool) -> Result<Imported, ClientError> {
        let owner = self.0.owner.account.id();
        let mut peers = imports::peers(self.0.vault.read().await?.db()?).await?;
        let mut done = Imported::default();
        // First over all of it: whoever wrote in a direct room tells with whom it is.
        let mut lines = Lines::new(open(path)?, &owner);
        while let Some(line) = lines.next().map_err(unreadable(path))? {
            match line {
                Ok(message) => {
                    if let (Some(room), Some(_), Some(account)) =
                        (message.room, &message.peer, message.account)
                        && account != owner
                        && peers.len() < MAX_ROOMS
                    {
                        peers.entry(room).or_insert(account);
                    }
                }
                Err(bad) => {
                    done.skipped += 1;
                    if done.bad.len() < TOLD_LINES {
                        done.bad.push(bad);
                    }
                }
            }
        }
        if done.skipped > 0 && !skip_bad {
            let (path, lines) = (path.to_owned(), done.bad);
            return Err(HistoryError::BadImport { path, lines, count: done.skipped }.into());
        }
        let mut lines = Lines::new(open(path)?, &owner);
        let mut tx = self.0.vault.begin().await?;
        while let Some(line) = lines.next().map_err(unreadable(path))? {
            // What is bad was counted before.
            let Ok(message) = line else { continue };
            let peer = peer_of(tx.db()?, &message, &peers).await?;
            if imports::is_there(tx.db()?, &message, peer.as_ref()).await? {
                done.known += 1;
            } else {
                imports::insert(tx.db()?, &message, peer.as_ref()).await?;
                done.added += 1;
            }
        }
        tx.commit().await?;
        Ok(done)
    }
}

/// One message, to see whether there is any.
const ONE: Page = Page { after: None, before: None, limit: Some(1) };

fn newest_first(mut found: Found, order: Order) -> Found {
    if order == Order::OldestFirst {
        found.messages.reverse();
    }
    found
}

fn unknown(of: &Conversation) -> ClientError {
    ClientError::UnknownConversation(match of {
        Conversation::Room(room) => room.to_string(),
        Conversation::With(alias) => format!("with {alias}"),
    })
}

fn open(path: &Path) -> Result<BufReader<File>, HistoryError> {
    File::open(path).map(BufReader::new).map_err(unreadable(path))
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> HistoryError {
    move |source| HistoryError::File { doing: "read", path: path.to_owned(), source }
}

/// The messages of a conversation, and whether it is known apart from them.
async fn scope_of(db: &mut SqliteConnection, of: &Conversation) -> Result<(Scope, bool), VaultError> {
    Ok(match of {
        Conversation::Room(room) => (Scope::Room(*room), rooms::by_id(db, room).await?.is_some()),
        Conversation::With(alias) => {
            let peer = contacts::by_alias(db, alias).await?.map(|contact| contact.account.id());
            (pages::with(db, alias, peer).await?, peer.is_some())
        }
    })
}

/// By what a conversation is kept: all direct rooms with somebody are one.
async fn kept(db: &mut SqliteConnection, of: &Conversation) -> Result<Kept, ClientError> {
    let found = match of {
        Conversation::Room(room) => {
            rooms::by_id(db, room).await?.map(|row| row.peer.map_or(Kept::Room(*room), Kept::Peer))
        }
        Conversation::With(alias) => {
            contacts::by_alias(db, alias).await?.map(|contact| Kept::Peer(contact.account.id()))
        }
    };
    found.ok_or_else(|| unknown(of))
}

/// With whom an imported message is, by account.
async fn peer_of(
    db: &mut SqliteConnection,
    message: &Message,
    peers: &std::collections::HashMap<RoomId, AccountId>,
) -> Result<Option<AccountId>, VaultError> {
    if message.peer_account.is_some() {
        return Ok(message.peer_account);
    }
    let Some(alias) = &message.peer else { return Ok(None) };
    if let Some(peer) = message.room.and_then(|room| peers.get(&room)) {
        return Ok(Some(*peer));
    }
    Ok(contacts::by_alias(db, alias).await?.map(|contact| contact.account.id()))
}
