//! Mailboxes of local devices.

use std::collections::VecDeque;

use posthouse_relay::mailbox::{DeviceState, NumberWindow, Resume, resume};
use posthouse_relay::quota::Backlog;
use posthouse_spec::client::delivery::Failure;
use posthouse_spec::client::socket::Hello;
use posthouse_spec::{Incarnation, MailboxSeq};

use super::{Around, Outcome, Store};
use crate::cast::{DeviceNo, RelayNo, RoomNo};
use crate::plan::Mutation;
use crate::wire::{Change, MessageNo};

/// What waits in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivery {
    Message { room: RoomNo, origin: RelayNo, epoch: u64, message: MessageNo },
    Decided { room: RoomNo, epoch: u64, change: Change },
    Welcome { room: RoomNo, epoch: u64 },
    EpochEnd { room: RoomNo, origin: RelayNo, epoch: u64 },
    Notice { room: RoomNo, number: u64, relay: RelayNo, failure: Failure },
}

impl Delivery {
    pub(crate) fn room(&self) -> RoomNo {
        match self {
            Self::Message { room, .. }
            | Self::Decided { room, .. }
            | Self::Welcome { room, .. }
            | Self::EpochEnd { room, .. }
            | Self::Notice { room, .. } => *room,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) window: NumberWindow,
    pub(crate) acked: u64,
    pub(crate) next: u64,
    /// What may have been given out before the last start, and whether its device has said hello since.
    pub(crate) given: u64,
    pub(crate) greeted: bool,
    pub(crate) rows: VecDeque<(u64, Delivery)>,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self {
            incarnation: None,
            window: NumberWindow::default(),
            acked: 0,
            next: 1,
            given: 0,
            greeted: false,
            rows: VecDeque::new(),
        }
    }
}

impl Mailbox {
    fn given(&self) -> MailboxSeq {
        DeviceState::may_have_given(MailboxSeq(self.given), self.greeted, MailboxSeq(self.next))
    }

    /// As a start finds it: how much was given out is forgotten.
    pub(crate) fn restart(&mut self) {
        (self.given, self.greeted) = (self.given().0, false);
    }
}

impl Store {
    pub(super) fn deliver(&mut self, device: DeviceNo, delivery: Delivery, around: &mut Around) {
        let Some(mailbox) = self.mailboxes.get_mut(&device) else { return };
        mailbox.rows.push_back((mailbox.next, delivery));
        mailbox.next += 1;
        around.devices.push(device);
    }

    /// Whether one more message of a room fits.
    pub(super) fn has_space(&self, device: DeviceNo, room: RoomNo) -> bool {
        let Some(mailbox) = self.mailboxes.get(&device) else { return false };
        let mut backlog = Backlog::default();
        for _ in mailbox.rows.iter().filter(|(_, delivery)| delivery.room() == room) {
            backlog.add(4);
        }
        self.quota.admits(backlog, 4)
    }

    pub(super) fn hello(&mut self, device: DeviceNo, hello: &Hello, around: &Around) -> Outcome {
        let Some(mailbox) = self.mailboxes.get_mut(&device) else { return Outcome::Done };
        let state = DeviceState {
            incarnation: mailbox.incarnation,
            accepted: mailbox.window.accepted(),
            acked: MailboxSeq(mailbox.acked),
            given: mailbox.given(),
        };
        match resume(&state, hello) {
            Resume::Continue => {}
            Resume::RolledBack(why) => return Outcome::RolledBack(why),
            Resume::Ahead { .. } if around.is(Mutation::KeepThePositions) => {
                mailbox.next = mailbox.next.max(hello.acked.0 + 1);
            }
            Resume::Ahead { shift } => {
                mailbox.next += shift;
                let new = mailbox.rows.iter_mut().filter(|(seq, _)| *seq > state.given.0);
                new.for_each(|(seq, _)| *seq += shift);
                mailbox.given = state.given.0 + shift;
            }
        }
        (mailbox.incarnation, mailbox.greeted) = (Some(hello.incarnation), true);
        let accepted = mailbox.window.accepted().0;
        self.device_ack(device, hello.acked.0);
        Outcome::Ready { accepted }
    }

    pub(super) fn device_ack(&mut self, device: DeviceNo, through: u64) -> Outcome {
        if let Some(mailbox) = self.mailboxes.get_mut(&device) {
            let through = through.min(mailbox.next - 1);
            mailbox.acked = mailbox.acked.max(through);
            while mailbox.rows.front().is_some_and(|(seq, _)| *seq <= through) {
                mailbox.rows.pop_front();
            }
        }
        Outcome::Done
    }
}
