//! Rows that a batch has made and not yet written: they go out in multi-row statements before the commit.

use std::collections::{HashMap, HashSet};

use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, LaneSeq, MailboxSeq, Millis, Number};

use super::items::NewItem;
use super::types::{Incoming, LaneId};
use crate::mailbox::MailboxKey;

/// What waits to be written, and who is to be woken after the commit.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) items: Vec<(i64, NewItem)>,
    /// Device row, position, item.
    pub(crate) mailbox: Vec<(i64, MailboxSeq, i64)>,
    /// Lane row, row number, item, bytes.
    pub(crate) outbox: Vec<(i64, LaneSeq, i64, u64)>,
    /// Device row, number, body hash.
    pub(crate) submits: Vec<(i64, Number, [u8; 32])>,
    /// Devices whose state has changed.
    pub(crate) devices: HashSet<MailboxKey>,
    /// Lanes whose state has changed.
    pub(crate) lanes: HashSet<LaneId>,
    /// Cursors that have moved, and when.
    pub(crate) cursors: HashMap<Incoming, Millis>,
    /// Lanes that came in a life of which nothing was known: their lives are bounded.
    pub(crate) new_lives: HashSet<(Domain, LaneClass)>,
    /// Device rows whose mailboxes may go up to a position.
    pub(crate) mailbox_acks: HashMap<i64, MailboxSeq>,
    /// Lanes whose outbox rows may go below a row number.
    pub(crate) lane_acks: HashMap<LaneId, LaneSeq>,
    /// Items that have lost a row, and go if it was their last.
    pub(crate) loose: Vec<i64>,
}

/// Who has something new, for after the commit.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    pub(crate) mailboxes: HashSet<MailboxKey>,
    pub(crate) lanes: HashSet<LaneId>,
}

impl Pending {
    /// The size of an item that waits to be written.
    pub(crate) fn size_of(&self, item: i64) -> u64 {
        let found = self.items.iter().rev().find(|(id, _)| *id == item);
        found.map_or(0, |(_, new)| new.body.len() as u64)
    }
}
