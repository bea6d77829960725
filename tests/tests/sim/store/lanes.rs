//! Outgoing lanes: numbering, acknowledgements, expiry.

use std::collections::VecDeque;

use bytes::Bytes;
use posthouse_federation::host::{LaneState, OutboundItem};
use posthouse_relay::lane::{Acknowledged, Ledger};
use posthouse_spec::client::delivery::Failure;
use posthouse_spec::envelope::{Item, LaneClass};
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::{Cbor, Incarnation, LaneSeq};

use super::{Around, Delivery, Fact, Outcome, Store};
use crate::cast::{DeviceNo, RelayNo, RoomNo};
use crate::plan::Mutation;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneKey {
    pub(crate) peer: RelayNo,
    pub(crate) class: LaneClass,
}

/// Who has submitted an item, if a device has, and when the relay took it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) room: RoomNo,
    pub(crate) submitter: Option<(DeviceNo, u64)>,
    pub(crate) received: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) bytes: Bytes,
    pub(crate) sent: Sent,
}

#[derive(Debug, Clone)]
pub(crate) struct OutLane {
    pub(crate) ledger: Ledger,
    pub(crate) rows: VecDeque<Row>,
}

fn life(around: &Around, key: LaneKey, count: u64) -> Incarnation {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&around.fresh.to_be_bytes());
    bytes[8..].copy_from_slice(&(key.peer as u64 * 16 + key.class.code() + (count << 32)).to_be_bytes());
    Incarnation::new(bytes)
}

impl OutLane {
    pub(super) fn new(around: &Around, key: LaneKey) -> Self {
        Self { ledger: Ledger::begin(life(around, key, 0)), rows: VecDeque::new() }
    }

    pub(super) fn push(&mut self, item: &Item, sent: Sent) {
        self.rows.push_back(Row { seq: self.ledger.number().0, bytes: item.to_cbor().into(), sent });
    }

    pub(crate) fn life(&self) -> Incarnation {
        self.ledger.incarnation
    }

    pub(crate) fn state(&self) -> LaneState {
        let Ledger { incarnation, next, handed, .. } = self.ledger;
        let oldest = self.rows.front().map_or(next, |row| LaneSeq(row.seq));
        LaneState { incarnation, oldest, next, handed }
    }

    /// As a start finds it: how much was handed out is forgotten.
    pub(crate) fn restart(&mut self) {
        self.ledger = self.ledger.restarted();
    }

    fn shift(&mut self, down: u64) {
        self.rows.iter_mut().for_each(|row| row.seq -= down);
    }

    /// The items from `from` on, which are handed out with this; nothing for another life of the lane.
    pub(crate) fn items(&mut self, life: Incarnation, from: LaneSeq, max: usize) -> Vec<OutboundItem> {
        if life != self.life() {
            return Vec::new();
        }
        let rows = self.rows.iter().filter(|row| row.seq >= from.0).take(max);
        let items: Vec<_> =
            rows.map(|row| OutboundItem { seq: LaneSeq(row.seq), bytes: row.bytes.clone() }).collect();
        if let Some(last) = items.last() {
            self.ledger.hand_out(last.seq.next());
        }
        items
    }
}

impl Store {
    pub(super) fn acked(
        &mut self,
        key: &LaneKey,
        life: Incarnation,
        next: u64,
        refused: &[RefusedItem],
        around: &mut Around,
    ) -> Outcome {
        let Some(lane) = self.lanes.get_mut(key) else { return Outcome::Done };
        let life = if around.is(Mutation::AckOfAnotherLife) { lane.life() } else { life };
        let Acknowledged::Advanced { from: acked, to: next } = lane.ledger.acknowledge(life, LaneSeq(next))
        else {
            return Outcome::Done;
        };
        let kept = lane.rows.iter().position(|row| row.seq >= next.0).unwrap_or(lane.rows.len());
        let gone: Vec<Row> = lane.rows.drain(..kept).collect();
        for item in refused.iter().filter(|item| acked <= item.seq && item.seq < next) {
            around.facts.push(Fact::Refused { item: format!("{}: {}", item.reason, item.detail) });
            if let Some(row) = gone.iter().find(|row| row.seq == item.seq.0) {
                let failure =
                    if item.reason == ItemRefusal::Quota { Failure::Quota } else { Failure::Refused };
                self.notice(row.sent, key.peer, failure, around);
            }
        }
        Outcome::Done
    }

    pub(super) fn notice(&mut self, sent: Sent, relay: RelayNo, failure: Failure, around: &mut Around) {
        if let Some((device, number)) = sent.submitter {
            let notice = Delivery::Notice { room: sent.room, number, relay, failure };
            self.deliver(device, notice, around);
        }
    }

    /// A lane that cannot go on in that life begins another one with everything that waits.
    pub(super) fn begin_life(&mut self, key: LaneKey, old: Incarnation, around: &mut Around) -> Outcome {
        if let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.life() == old) {
            let down = lane.ledger.begin_life(life(around, key, 2));
            lane.shift(down);
            around.facts.push(Fact::NewLife);
            around.lanes.push(key);
        }
        Outcome::Done
    }

    /// Expires the old part of each lane. What is left begins a new life.
    pub(super) fn sweep(&mut self, retention_ms: u64, around: &mut Around) -> Outcome {
        let before = around.now.saturating_sub(retention_ms);
        for key in self.lanes.keys().copied().collect::<Vec<_>>() {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let kept =
                lane.rows.iter().position(|row| row.sent.received >= before).unwrap_or(lane.rows.len());
            let gone: Vec<Row> = lane.rows.drain(..kept).collect();
            let Some(last) = gone.last().map(|row| row.seq) else { continue };
            let (old, new) = (lane.life(), life(around, key, 1));
            let new = if around.is(Mutation::RenumberInOneLife) { old } else { new };
            let down = lane.ledger.expire(LaneSeq(last), new).unwrap_or_default();
            lane.shift(down);
            around.facts.push(Fact::NewLife);
            around.lanes.push(key);
            for row in gone {
                self.notice(row.sent, key.peer, Failure::Expired, around);
            }
        }
        Outcome::Done
    }
}
