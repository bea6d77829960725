//! Asking a hub for the decisions that are missing here.

use posthouse_spec::peer::room::FetchDecisions;
use posthouse_spec::peer::{RoomRequest, RoomResponse};
use posthouse_spec::{Domain, Epoch, Millis, RoomId};

use super::follow::{FollowFault, Followed, News};
use super::handle::Rooms;
use super::observers::Slot;
use super::types::LinkError;
use crate::store::RoomRow;

/// Most answers that one catching up asks for: a room this far behind goes on in the next round.
const MAX_FETCHES: usize = 64;

impl Rooms {
    /// Asks another relay's hub, if there is a way to it.
    pub(super) async fn ask(&self, hub: &Domain, request: RoomRequest) -> Result<RoomResponse, LinkError> {
        match self.inner.link.get() {
            Some(link) => link.room(hub, request).await,
            None => Err(LinkError("this relay has no way to other relays yet".into())),
        }
    }

    /// Brings a room up to its hub's epoch, and logs what stands against it.
    pub(super) async fn catch_up(&self, now: Millis, room: RoomId) {
        let mut slot = self.inner.observers.lock(room).await;
        if let Err(fault) = self.fetch(now, &mut slot, room).await {
            tracing::warn!(%room, %fault, "a room that is behind cannot catch up now");
        }
    }

    /// Fetches and applies decisions until the hub has no more, for a room whose turn the caller holds. Says where the
    /// room stands then.
    pub(super) async fn fetch(
        &self,
        now: Millis,
        slot: &mut Slot,
        room: RoomId,
    ) -> Result<RoomRow, FollowFault> {
        let gone = || FollowFault::Invalid("the room is not known here".into());
        let mut row = self.active_row(room, None).await?.ok_or_else(gone)?;
        for _ in 0..MAX_FETCHES {
            if row.hub == self.inner.own {
                return Ok(row);
            }
            let (decisions, hubs_epoch) = self.fetch_some(room, &row).await?;
            if decisions.is_empty() {
                return Ok(row);
            }
            for decided in decisions {
                let news = News { room, decided, bundle: None, place: None };
                if self.follow(now, slot, &row, news).await? == Followed::Ahead {
                    return Err(FollowFault::Invalid("the hub's answer leaves epochs out".into()));
                }
                row = self.active_row(room, None).await?.ok_or_else(gone)?;
            }
            if row.epoch >= hubs_epoch {
                break;
            }
        }
        Ok(row)
    }

    async fn fetch_some(
        &self,
        room: RoomId,
        row: &RoomRow,
    ) -> Result<(Vec<posthouse_spec::room::Decided>, Epoch), FollowFault> {
        let request = RoomRequest::Decisions(FetchDecisions { room, from: row.epoch });
        match self.ask(&row.hub, request).await {
            Ok(RoomResponse::Decisions(answer)) => Ok((answer.decided.into_vec(), answer.epoch)),
            Ok(RoomResponse::Refused(no)) => {
                Err(FollowFault::Later(format!("the hub {} refuses: {} ({})", row.hub, no.reason, no.detail)))
            }
            Ok(_) => {
                Err(FollowFault::Later(format!("the hub {} gave another answer than decisions", row.hub)))
            }
            Err(error) => Err(FollowFault::Later(error.0)),
        }
    }
}
