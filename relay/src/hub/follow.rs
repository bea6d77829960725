//! Following a hub: what it has decided is checked by its key, judged by our own observer, and applied.

use std::collections::BTreeSet;

use posthouse_crypto::room::{Observer, RoomError};
use posthouse_spec::policy::Committer;
use posthouse_spec::room::{Decided, Decision, WelcomeBundle};
use posthouse_spec::{AccountId, DeviceId, Domain, Millis, RoomId};

use super::decide::snapshot_due;
use super::found::state;
use super::handle::Rooms;
use super::manifests::DecisionFault;
use super::observers::{LoadError, Slot, blocking};
use crate::store::{Advance, Invitation, LanePlace, RoomRow, RoomState, StepOutcome, StoreError};

/// What became of a hub's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Followed {
    /// It is applied, now or since before. These local devices were invited without a ticket.
    Applied { without: Vec<DeviceId> },
    /// It lies ahead of the room here.
    Ahead,
}

/// Why a hub's decision was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowFault {
    /// It does not hold, now or ever.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be taken now.
    #[error("{0}")]
    Later(String),
}

impl From<StoreError> for FollowFault {
    fn from(error: StoreError) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<DecisionFault> for FollowFault {
    fn from(fault: DecisionFault) -> Self {
        match fault {
            DecisionFault::Later(why) => Self::Later(why),
            DecisionFault::Invalid(why) => Self::Invalid(why),
        }
    }
}

impl From<LoadError> for FollowFault {
    fn from(error: LoadError) -> Self {
        match error {
            // It will not get better by itself, and must not hold up the other rooms of the hub's lane.
            LoadError::Room(error) => {
                tracing::error!(%error, "a room's tree cannot be restored; the room stands still here");
                Self::Invalid(error.to_string())
            }
            error => Self::Later(error.to_string()),
        }
    }
}

/// A decision with what came with it.
#[derive(Clone)]
pub(super) struct News {
    pub(super) room: RoomId,
    pub(super) decided: Decided,
    pub(super) bundle: Option<WelcomeBundle>,
    pub(super) place: Option<LanePlace>,
}

struct Applied {
    observer: Observer,
    state: RoomState,
    committer: AccountId,
}

impl Rooms {
    /// Takes a decision for a room whose turn the caller holds.
    pub(super) async fn follow(
        &self,
        now: Millis,
        slot: &mut Slot,
        row: &RoomRow,
        news: News,
    ) -> Result<Followed, FollowFault> {
        let leader = &row.context.ordering.leader;
        let decision = self.check_decision(news.room, leader, &news.decided).await?;
        if decision.epoch > row.epoch {
            return Ok(Followed::Ahead);
        }
        if decision.epoch < row.epoch {
            return self.again(now, row, decision, news).await;
        }
        self.check_order(&decision).await?;
        let observer = slot.take(&self.inner.store, news.room, row.epoch).await?;
        let commit = news.decided.commit.clone();
        let applied = blocking(move || apply(observer, &commit)).await?.map_err(|error| {
            tracing::error!(room = %news.room, epoch = %decision.epoch, %error, hub = %row.hub,
                "the hub decided a commit that does not hold; the room stands still here");
            FollowFault::Invalid(format!("the decided commit does not hold: {error}"))
        })?;
        let claimants = BTreeSet::from([applied.committer]);
        let advance = Advance {
            state: applied.state,
            decided: news.decided.clone(),
            commit: decision.commit,
            invitation: invitation(&news, &decision, claimants),
            decided_to: Vec::new(),
            welcome_to: Vec::new(),
            strict: false,
            place: news.place,
        };
        match self.inner.store.advance_room(now, advance).await? {
            StepOutcome::Done { without } => {
                slot.keep(applied.observer);
                Ok(Followed::Applied { without })
            }
            StepOutcome::NoTicket { without } => Ok(Followed::Applied { without }),
            StepOutcome::Repeat => Ok(Followed::Applied { without: Vec::new() }),
            StepOutcome::Moved => Err(FollowFault::Later("the room moved meanwhile".into())),
        }
    }

    /// A decision for an epoch that has ended here: a repeat, a Welcome that comes behind its commit, or evidence.
    async fn again(
        &self,
        now: Millis,
        row: &RoomRow,
        decision: Decision,
        news: News,
    ) -> Result<Followed, FollowFault> {
        let done = Followed::Applied { without: Vec::new() };
        let logged = self.inner.store.decided(news.room, decision.epoch).await?;
        if logged.as_ref().is_some_and(|logged| logged.commit != decision.commit) {
            tracing::error!(rule = "two-decisions", room = %news.room, epoch = %decision.epoch, hub = %row.hub,
                "the hub has decided two commits for one epoch; both are kept as evidence");
            let (room, epoch, commit) = (news.room, decision.epoch, decision.commit);
            self.inner.store.keep_evidence(now, room, epoch, commit, news.decided, news.place).await?;
            return Ok(done);
        }
        if logged.is_some() && news.bundle.is_some() {
            // Whoever claimed is in the room; that the commit was theirs was judged when it was applied.
            let roster = self.inner.store.roster(news.room, row.epoch).await?;
            let claimants = roster.entries().map(|entry| entry.account).collect();
            let place = news.place.clone();
            if let Some(invitation) = invitation(&news, &decision, claimants) {
                return Ok(match self.inner.store.invite(now, invitation, place).await? {
                    StepOutcome::Done { without } => Followed::Applied { without },
                    _ => done,
                });
            }
        }
        if let Some(place) = news.place {
            self.inner.store.pass_item(now, place, None).await?;
        }
        Ok(done)
    }

    /// The row of a room that takes part here, and is ordered by `hub` if one is named.
    pub(super) async fn active_row(
        &self,
        room: RoomId,
        hub: Option<&Domain>,
    ) -> Result<Option<RoomRow>, StoreError> {
        let row = self.inner.store.room(room).await?;
        Ok(row.filter(|row| row.active && hub.is_none_or(|hub| *hub == row.hub)))
    }
}

fn invitation(news: &News, decision: &Decision, claimants: BTreeSet<AccountId>) -> Option<Invitation> {
    news.bundle.clone().map(|bundle| Invitation {
        room: news.room,
        epoch: decision.epoch,
        decided: news.decided.clone(),
        bundle,
        claimants,
    })
}

fn apply(mut observer: Observer, commit: &[u8]) -> Result<Applied, RoomError> {
    let judged = observer.judge(commit)?;
    let (Committer::Member(by) | Committer::External(by)) = &judged.change.committer;
    let committer = by.account;
    observer.apply(judged)?;
    let state = state(&observer, snapshot_due(observer.epoch()));
    Ok(Applied { observer, state, committer })
}
