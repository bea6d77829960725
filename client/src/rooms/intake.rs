//! Taking items in: one vault transaction, what it makes known once it is durable, and the bounds on what waits.

use std::collections::HashMap;

use posthouse_spec::client::Delivery;
use posthouse_spec::{Millis, RoomId};

use crate::clock;
use crate::context::Context;
use crate::error::{ClientError, VaultError};
use crate::event::{Event, Notice};
use crate::vault::held::{self, Load};
use crate::vault::owner::Owner;
use crate::vault::{Tx, messages};

/// Messages that wait for one room, items: enough for a month of a lively chat.
const MAX_HELD_ITEMS: u64 = 10_000;
/// Messages that wait for one room, bytes: 64 MiB.
const MAX_HELD_BYTES: u64 = 64 * 1024 * 1024;
/// Items that wait for rooms of which nothing is known, items.
const MAX_STRAYS: u64 = 1024;

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is dealt with.
    Done,
    /// It has to wait.
    Later,
}

/// A vault transaction into which items are taken.
pub(crate) struct Intake<'a> {
    /// The transaction.
    pub(crate) tx: Tx<'a>,
    /// Who we are.
    pub(crate) owner: &'a Owner,
    /// When this is.
    pub(crate) now: Millis,
    /// There is work that needs questions to the relay.
    pub(crate) work: bool,
    events: Vec<Event>,
    loads: HashMap<RoomId, Load>,
}

impl<'a> Intake<'a> {
    /// Begins a transaction.
    pub(crate) async fn begin(context: &'a Context) -> Result<Self, VaultError> {
        Ok(Self {
            tx: context.vault.begin().await?,
            owner: &context.owner,
            now: clock::now(),
            work: false,
            events: Vec::new(),
            loads: HashMap::new(),
        })
    }

    /// Something to be told once this is durable.
    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Something that a person should know of, once this is durable.
    pub(crate) fn notice(&mut self, code: &str, detail: String, room: Option<RoomId>) {
        tracing::warn!(code, detail, "notice");
        self.tell(Event::Notice(Notice { code: code.to_owned(), detail, alias: None, room }));
    }

    /// Tells of a message that was stored.
    pub(crate) async fn tell_message(&mut self, local: u64) -> Result<(), VaultError> {
        if let Some(message) = messages::by_local(self.tx.db()?, local).await? {
            self.tell(Event::Message(Box::new(message)));
        }
        Ok(())
    }

    /// Keeps an item until later. Messages above the bound are refused; everything else is rare, and rooms cannot go on
    /// without it.
    pub(crate) async fn hold(&mut self, room: &RoomId, item: &Delivery) -> Result<bool, ClientError> {
        let load = match self.loads.get(room) {
            Some(load) => *load,
            None => held::load(self.tx.db()?, room).await?,
        };
        let full = load.items >= MAX_HELD_ITEMS || load.bytes >= MAX_HELD_BYTES;
        if full && let Delivery::Message(_) = item {
            return Ok(false);
        }
        held::push(self.tx.db()?, room, item).await?;
        let bytes = if let Delivery::Message(message) = item { message.body.len() as u64 } else { 0 };
        self.loads.insert(*room, Load { items: load.items + 1, bytes: load.bytes + bytes });
        Ok(true)
    }

    /// Keeps an item for a room of which nothing is known yet, if there is place for one more.
    pub(crate) async fn hold_stray(&mut self, room: &RoomId, item: &Delivery) -> Result<(), ClientError> {
        if held::strays(self.tx.db()?).await? < MAX_STRAYS {
            held::push(self.tx.db()?, room, item).await?;
        } else {
            let detail = format!(
                "something came for room {room}, to which nobody invited this device; it was not kept"
            );
            self.notice("unknown-room", detail, Some(*room));
        }
        Ok(())
    }

    /// Makes it durable; returns what is to be told, and whether there is work.
    pub(crate) async fn commit(self) -> Result<(Vec<Event>, bool), VaultError> {
        self.tx.commit().await?;
        Ok((self.events, self.work))
    }
}
