//! Rooms: founding, taking part, and each step from one epoch to the next, with everything that such a step brings.

use std::collections::BTreeSet;

use bytes::Bytes;
use posthouse_spec::cbor::Text;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::room::{Decided, RoomContext, Suite};
use posthouse_spec::{Cbor, CommitHash, DeviceId, Domain, Epoch, Millis, RoomId};

use super::columns::sql;
use super::cursors::{LanePlace, Pass};
use super::error::StoreError;
use super::handle::Store;
use super::items::{ItemKind, NewItem, Relays};
use super::tickets::Invitation;
use super::tx::Tx;
use crate::mailbox::MailboxKey;
use crate::rooms::{Roster, RosterEntry, no_ticket};

/// A room's state behind a founding, an adoption or a commit.
#[derive(Debug, Clone)]
pub(crate) struct RoomState {
    pub(crate) room: RoomId,
    pub(crate) epoch: Epoch,
    pub(crate) suite: Suite,
    pub(crate) context: RoomContext,
    pub(crate) roster: Roster,
    /// The public tree, where it is to be kept now.
    pub(crate) snapshot: Option<Vec<u8>>,
}

impl RoomState {
    fn hub(&self) -> &Domain {
        &self.context.ordering.leader.domain
    }
}

/// A commit that ends an epoch, and what goes out with it.
#[derive(Debug, Clone)]
pub(crate) struct Advance {
    /// Behind the commit.
    pub(crate) state: RoomState,
    pub(crate) decided: Decided,
    pub(crate) commit: CommitHash,
    pub(crate) invitation: Option<Invitation>,
    /// What only the hub sends: the decision to these relays …
    pub(crate) decided_to: Vec<Domain>,
    /// … and encoded Welcome items to these.
    pub(crate) welcome_to: Vec<(Domain, Bytes)>,
    /// Whether a local device without a ticket stops it all. Only a hub may ask for that, before it decides.
    pub(crate) strict: bool,
    /// The item's place on a control lane, if it came by one.
    pub(crate) place: Option<LanePlace>,
}

impl Advance {
    fn ends(&self) -> Epoch {
        Epoch(self.state.epoch.0.saturating_sub(1))
    }
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StepOutcome {
    /// It stands. These local devices were invited without a ticket, and got no Welcome.
    Done { without: Vec<DeviceId> },
    /// The room stands elsewhere: somebody else moved it.
    Moved,
    /// These local devices have no ticket, and nothing was changed.
    NoTicket { without: Vec<DeviceId> },
    /// The lane's cursor has passed the item already.
    Repeat,
}

/// What became of a founding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundOutcome {
    /// The room is new.
    Founded,
    /// The same founding was asked for before.
    Same,
    /// The room exists otherwise.
    Conflict,
}

impl Store {
    /// Keeps a room that a local device founds.
    pub(crate) async fn found_room(
        &self,
        state: RoomState,
        founded: [u8; 32],
        group_info: Vec<u8>,
    ) -> Result<FoundOutcome, StoreError> {
        self.write(move |tx| Box::pin(async move { tx.found_room(&state, founded, &group_info).await })).await
    }

    /// Begins to take part in a room to which local devices are invited.
    pub(crate) async fn adopt_room(
        &self,
        now: Millis,
        state: RoomState,
        invitation: Invitation,
        commit: CommitHash,
        place: Option<LanePlace>,
    ) -> Result<StepOutcome, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let outcome = tx.adopt_room(now, &state, &invitation, commit, place.as_ref()).await?;
                tx.keep_no_ticket(now, place.as_ref(), outcome).await
            })
        })
        .await
    }

    /// Moves a room to its next epoch.
    pub(crate) async fn advance_room(
        &self,
        now: Millis,
        advance: Advance,
    ) -> Result<StepOutcome, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let outcome = tx.advance_room(now, &advance).await?;
                tx.keep_no_ticket(now, advance.place.as_ref(), outcome).await
            })
        })
        .await
    }

    /// Hands out a Welcome whose commit was applied before.
    pub(crate) async fn invite(
        &self,
        now: Millis,
        invitation: Invitation,
        place: Option<LanePlace>,
    ) -> Result<StepOutcome, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if tx.pass(now, place.as_ref()).await? == Pass::Repeat {
                    return Ok(StepOutcome::Repeat);
                }
                let outcome = StepOutcome::Done { without: tx.invite(now, &invitation).await? };
                tx.keep_no_ticket(now, place.as_ref(), outcome).await
            })
        })
        .await
    }
}

impl Tx {
    async fn found_room(
        &mut self,
        state: &RoomState,
        founded: [u8; 32],
        group_info: &[u8],
    ) -> Result<FoundOutcome, StoreError> {
        if let Some(known) = self.room_row(state.room).await? {
            let same = known.founded == Some(founded);
            return Ok(if same { FoundOutcome::Same } else { FoundOutcome::Conflict });
        }
        self.write_room(state, Some(founded), true).await?;
        self.join_members(state.room, state.epoch, state.roster.entries()).await?;
        self.write_snapshot(state).await?;
        self.write_group_info(state, group_info).await?;
        Ok(FoundOutcome::Founded)
    }

    async fn adopt_room(
        &mut self,
        now: Millis,
        state: &RoomState,
        invitation: &Invitation,
        commit: CommitHash,
        place: Option<&LanePlace>,
    ) -> Result<StepOutcome, StoreError> {
        let known = self.room_row(state.room).await?;
        if known.as_ref().is_some_and(|known| known.active) {
            return Ok(StepOutcome::Moved);
        }
        if self.pass(now, place).await? == Pass::Repeat {
            return Ok(StepOutcome::Repeat);
        }
        if known.is_some_and(|known| known.epoch >= state.epoch) {
            // This relay has come to that epoch by asking the hub, and everybody here has left since. The room does not
            // go back; but whoever was invited may read what came meanwhile.
            let without = self.invite(now, invitation).await?;
            return Ok(StepOutcome::Done { without });
        }
        let without = self.without_ticket(invitation).await?;
        let here = invitation.bundle.invited.iter().filter(|invited| invited.domain == self.own).count();
        if without.len() == here {
            return Ok(StepOutcome::NoTicket { without });
        }
        self.write_room(state, None, true).await?;
        self.write_commit(now, state.room, invitation.epoch, commit, &invitation.decided).await?;
        self.join_members(state.room, state.epoch, state.roster.entries()).await?;
        self.write_snapshot(state).await?;
        self.caches.rooms.remove(&state.room);
        let without = self.invite(now, invitation).await?;
        self.release(now, state.room, state.epoch).await?;
        Ok(StepOutcome::Done { without })
    }

    /// Keeps, for an item that came by a lane, that devices were invited without a ticket: its origin is to hear of it even
    /// if the acknowledgement that says so is lost.
    async fn keep_no_ticket(
        &mut self,
        now: Millis,
        place: Option<&LanePlace>,
        outcome: StepOutcome,
    ) -> Result<StepOutcome, StoreError> {
        if let Some(place) = place
            && let StepOutcome::Done { without } | StepOutcome::NoTicket { without } = &outcome
            && !without.is_empty()
        {
            let detail = Text::clipped(&no_ticket(without));
            let refused = RefusedItem { seq: place.seq, reason: ItemRefusal::NoTicket, detail };
            self.keep_refusals(now, &place.lane, place.seq.next(), &[refused]).await?;
        }
        Ok(outcome)
    }

    async fn advance_room(&mut self, now: Millis, advance: &Advance) -> Result<StepOutcome, StoreError> {
        let (state, room) = (&advance.state, advance.state.room);
        let Some(entry) = self.room(room).await? else { return Ok(StepOutcome::Moved) };
        if entry.epoch != advance.ends() || !entry.active {
            return Ok(StepOutcome::Moved);
        }
        let old = entry.roster.clone();
        if advance.strict
            && let Some(invitation) = &advance.invitation
        {
            let without = self.without_ticket(invitation).await?;
            if !without.is_empty() {
                return Ok(StepOutcome::NoTicket { without });
            }
        }
        if self.pass(now, advance.place.as_ref()).await? == Pass::Repeat {
            return Ok(StepOutcome::Repeat);
        }
        // A relay whose last member has gone hears no more of the room, unless it orders it.
        let stays = state.roster.has_relay(&self.own) || *state.hub() == self.own;
        self.write_room(state, None, stays).await?;
        self.write_commit(now, room, advance.ends(), advance.commit, &advance.decided).await?;
        let change = old.change_to(&state.roster);
        let left: Vec<&RosterEntry> =
            if stays { change.left.iter().collect() } else { old.entries().collect() };
        self.end_members(room, state.epoch, left).await?;
        if stays {
            self.join_members(room, state.epoch, change.joined.iter()).await?;
        }
        self.write_snapshot(state).await?;
        if let Some(invitation) = &advance.invitation {
            self.write_group_info(state, &invitation.bundle.group_info).await?;
        }
        self.caches.rooms.remove(&room);
        self.tell_decided(now, advance, &old).await?;
        let without = match &advance.invitation {
            Some(invitation) => self.invite(now, invitation).await?,
            None => Vec::new(),
        };
        self.end_epoch(now, room, advance.ends(), state.hub(), &old).await?;
        self.release(now, room, state.epoch).await?;
        Ok(StepOutcome::Done { without })
    }

    /// Tells the decision to the local devices of the epoch that it ends, and, at the hub, to the other relays.
    async fn tell_decided(&mut self, now: Millis, advance: &Advance, old: &Roster) -> Result<(), StoreError> {
        let room = advance.state.room;
        let relays = Relays::new(old.relays()).map_err(|e| StoreError::damaged(e.to_string()))?;
        let body = advance.decided.to_cbor().into();
        let mut item = self.own_item(now, ItemKind::Decided, room, advance.ends(), body);
        item.hub = advance.state.hub().clone();
        item.relays = Some(relays.to_cbor());
        let local = old.mailboxes(&self.own);
        self.spread(item, local, LaneClass::Control, &advance.decided_to).await?;
        for (relay, welcome) in &advance.welcome_to {
            let item = self.own_item(now, ItemKind::Lane, room, advance.ends(), welcome.clone());
            self.spread(item, Vec::new(), LaneClass::Control, std::slice::from_ref(relay)).await?;
        }
        Ok(())
    }

    /// Says that this relay will send nothing more of an epoch: behind its last message, because from this transaction on
    /// it takes none of that epoch.
    async fn end_epoch(
        &mut self,
        now: Millis,
        room: RoomId,
        epoch: Epoch,
        hub: &Domain,
        old: &Roster,
    ) -> Result<(), StoreError> {
        if !old.has_relay(&self.own) {
            // A hub orders rooms too in which nobody of it is; it sent nothing there, and nobody takes its word for it.
            return Ok(());
        }
        let mut item = self.own_item(now, ItemKind::EpochEnd, room, epoch, Bytes::new());
        item.hub = hub.clone();
        let (local, others) = (old.mailboxes(&self.own), old.other_relays(&self.own));
        self.spread(item, local, LaneClass::Messages, &others).await
    }

    /// Stores an item once, for local mailboxes and for lanes.
    async fn spread(
        &mut self,
        item: NewItem,
        mailboxes: Vec<MailboxKey>,
        class: LaneClass,
        relays: &[Domain],
    ) -> Result<(), StoreError> {
        let mailboxes = self.existing(mailboxes).await?;
        if mailboxes.is_empty() && relays.is_empty() {
            return Ok(());
        }
        let (room, bytes) = (item.room, item.body.len() as u64);
        let id = self.put_item(item);
        for who in &mailboxes {
            self.deliver(who, id, room, bytes).await?;
        }
        for relay in relays.iter().collect::<BTreeSet<_>>() {
            self.send(relay, class, id).await?;
        }
        Ok(())
    }

    async fn write_room(
        &mut self,
        state: &RoomState,
        founded: Option<[u8; 32]>,
        active: bool,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO rooms (room, hub, epoch, suite, context, founded, active) VALUES (?,?,?,?,?,?,?) \
             ON CONFLICT (room) DO UPDATE SET hub = excluded.hub, epoch = excluded.epoch, suite = excluded.suite, \
             context = excluded.context, active = excluded.active",
        )
        .bind(state.room.as_bytes().as_slice())
        .bind(state.hub().as_str())
        .bind(sql(state.epoch.0))
        .bind(sql(state.suite.code()))
        .bind(state.context.to_cbor())
        .bind(founded.map(|hash| hash.to_vec()))
        .bind(active)
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql("store a room"))?;
        Ok(())
    }

    async fn join_members(
        &mut self,
        room: RoomId,
        epoch: Epoch,
        joined: impl Iterator<Item = &RosterEntry>,
    ) -> Result<(), StoreError> {
        for entry in joined {
            sqlx::query(
                "INSERT INTO members (room, account, device, home, from_epoch, to_epoch) VALUES (?,?,?,?,?,NULL)",
            )
            .bind(room.as_bytes().as_slice())
            .bind(entry.account.as_bytes().as_slice())
            .bind(entry.device.as_bytes().as_slice())
            .bind(entry.home.as_str())
            .bind(sql(epoch.0))
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("store a room's new members"))?;
        }
        Ok(())
    }

    async fn end_members(
        &mut self,
        room: RoomId,
        epoch: Epoch,
        left: Vec<&RosterEntry>,
    ) -> Result<(), StoreError> {
        for entry in left {
            sqlx::query("UPDATE members SET to_epoch = ? WHERE room = ? AND device = ? AND to_epoch IS NULL")
                .bind(sql(epoch.0))
                .bind(room.as_bytes().as_slice())
                .bind(entry.device.as_bytes().as_slice())
                .execute(&mut self.conn)
                .await
                .map_err(StoreError::sql("store who has left a room"))?;
        }
        Ok(())
    }
}
