//! Founding: a device brings a room into being, and its relay becomes the hub.

use posthouse_crypto::room::{Observer, RoomError};
use posthouse_crypto::sha256;
use posthouse_spec::client::Refusal;
use posthouse_spec::room::RelayRef;
use posthouse_spec::{Domain, Epoch, Millis, RoomId};

use super::handle::Rooms;
use super::observers::blocking;
use super::types::{RoomInfo, RoomRefused};
use crate::mailbox::MailboxKey;
use crate::rooms::RosterEntry;
use crate::store::{FoundOutcome, RoomState};

impl Rooms {
    /// Founds a room; this relay becomes its hub. Sent again, it gives the same answer.
    ///
    /// # Errors
    /// The group info does not hold, is not a founding by this device, or the room exists otherwise.
    pub async fn found(
        &self,
        now: Millis,
        who: MailboxKey,
        room: RoomId,
        group_info: &[u8],
    ) -> Result<RoomInfo, RoomRefused> {
        self.allow(now, who.device, room)?;
        let mut slot = self.inner.observers.lock(room).await;
        let founded = sha256(group_info);
        if let Some(row) = self.inner.store.room(room).await? {
            return match row.founded == Some(founded) {
                true => Ok(RoomInfo::of(room, row)),
                false => Err(conflict(room)),
            };
        }
        let bytes = group_info.to_vec();
        let observer = blocking(move || Observer::from_group_info(&bytes)).await??;
        let (_, us) = self.own_manifest().await.map_err(|e| RoomRefused::new(Refusal::Internal, e.0))?;
        check_founding(&observer, room, &who, &us)?;
        let state = state(&observer, true);
        let info = RoomInfo {
            room,
            epoch: state.epoch,
            hub: self.inner.own.clone(),
            suite: state.suite,
            kind: state.context.kind,
        };
        match self.inner.store.found_room(state, founded, group_info.to_vec()).await? {
            FoundOutcome::Founded | FoundOutcome::Same => {
                slot.keep(observer);
                Ok(info)
            }
            FoundOutcome::Conflict => Err(conflict(room)),
        }
    }
}

fn conflict(room: RoomId) -> RoomRefused {
    RoomRefused::new(
        Refusal::Conflict,
        format!("room {room} exists already with another beginning: found a room under a fresh random id"),
    )
}

fn check_founding(
    observer: &Observer,
    room: RoomId,
    who: &MailboxKey,
    us: &RelayRef,
) -> Result<(), RoomRefused> {
    let invalid = |why: String| Err(RoomRefused::new(Refusal::InvalidCommit, why));
    if observer.room() != room {
        return Err(RoomError::WrongRoom { ours: room, theirs: observer.room() }.into());
    }
    if observer.epoch() != Epoch(0) {
        return invalid(format!(
            "a room is founded at epoch 0, and this group info is of epoch {}",
            observer.epoch()
        ));
    }
    let leader = &observer.context().ordering.leader;
    if leader != us {
        let why = format!(
            "the room names {} as its hub; a room is founded at its hub, and this is {}",
            leader.domain, us.domain
        );
        return invalid(why);
    }
    let own_leaf = |home: &Domain, entry: RosterEntry| entry.mailbox() == *who && entry.home == *home;
    match &observer.members()[..] {
        [founder] if own_leaf(&us.domain, RosterEntry::from(&founder.member)) => Ok(()),
        members => invalid(format!(
            "a room is founded by one leaf, that of the device which asks, at this relay; this one has {} leaves, or another's",
            members.len()
        )),
    }
}

/// A room's state for the store, with its tree where that is to be kept.
pub(super) fn state(observer: &Observer, snapshot: bool) -> RoomState {
    RoomState {
        room: observer.room(),
        epoch: observer.epoch(),
        suite: observer.suite(),
        context: observer.context().clone(),
        roster: observer.members().iter().map(|leaf| RosterEntry::from(&leaf.member)).collect(),
        snapshot: snapshot.then(|| observer.snapshot()),
    }
}
