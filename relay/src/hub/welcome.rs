//! A Welcome into a room that is not known here: this relay begins to take part in it.

use std::collections::BTreeSet;

use posthouse_crypto::room::Observer;
use posthouse_spec::envelope::WelcomeItem;
use posthouse_spec::{AccountId, Domain, Epoch, Millis};

use super::follow::{FollowFault, Followed};
use super::found::state;
use super::handle::Rooms;
use super::observers::{Slot, blocking};
use crate::store::{Invitation, LanePlace, StepOutcome};

impl Rooms {
    /// Takes a Welcome for a room whose turn the caller holds, and which is not known here.
    pub(super) async fn adopt(
        &self,
        now: Millis,
        slot: &mut Slot,
        origin: &Domain,
        item: WelcomeItem,
        place: Option<LanePlace>,
    ) -> Result<Followed, FollowFault> {
        let group_info = item.bundle.group_info.clone();
        let observer = blocking(move || Observer::from_group_info(&group_info))
            .await?
            .map_err(|error| FollowFault::Invalid(format!("the group info: {error}")))?;
        let leader = &observer.context().ordering.leader;
        if observer.room() != item.room || leader.domain != *origin || item.hub != *origin {
            let why = "the group info is of another room, or names another hub than the relay that sent it";
            return Err(FollowFault::Invalid(why.into()));
        }
        let decision = self.check_decision(item.room, leader, &item.decided).await?;
        if decision.epoch.next() != observer.epoch() {
            let why = format!(
                "the decision ends epoch {}, and the group info is of epoch {}",
                decision.epoch,
                observer.epoch()
            );
            return Err(FollowFault::Invalid(why));
        }
        let (state, observer) = blocking(move || (state(&observer, true), observer)).await?;
        if !state.roster.has_relay(&self.inner.own) {
            return Err(FollowFault::Invalid("nobody of this relay is in the room behind the commit".into()));
        }
        let claimants: BTreeSet<AccountId> = state.roster.entries().map(|entry| entry.account).collect();
        let invitation = Invitation {
            room: item.room,
            epoch: Epoch(decision.epoch.0),
            decided: item.decided,
            bundle: item.bundle,
            claimants,
        };
        match self.inner.store.adopt_room(now, state, invitation, decision.commit, place).await? {
            StepOutcome::Done { without } => {
                slot.keep(observer);
                Ok(Followed::Applied { without })
            }
            StepOutcome::NoTicket { without } => Ok(Followed::Applied { without }),
            StepOutcome::Repeat => Ok(Followed::Applied { without: Vec::new() }),
            StepOutcome::Moved => Err(FollowFault::Later("the room became known meanwhile".into())),
        }
    }
}
