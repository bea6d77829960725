//! What other relays ask of a room: to decide a commit, for decisions, for the current group info.

use posthouse_spec::cbor::{List, Octets, Text};
use posthouse_spec::client::Refusal;
use posthouse_spec::limits::{MAX_DECISIONS, MAX_HANDSHAKE};
use posthouse_spec::peer::room::{Decisions, FetchDecisions, RoomRefusal};
use posthouse_spec::peer::{RoomRequest, RoomResponse};
use posthouse_spec::room::Decided;
use posthouse_spec::{Domain, Epoch, Millis, RoomId};

use super::handle::Rooms;
use super::types::RoomRefused;
use crate::store::RoomRow;

/// Commit bytes in one answer: two of the largest fit the frame.
const MAX_ANSWER: usize = 2 * MAX_HANDSHAKE;

impl Rooms {
    /// Answers another relay. Only a relay that takes part in a room is told anything of it.
    pub async fn answer(&self, now: Millis, from: &Domain, request: RoomRequest) -> RoomResponse {
        let answer = match request {
            RoomRequest::Commit(upload) => {
                self.decide(now, from, None, upload).await.map(RoomResponse::Decided)
            }
            RoomRequest::Decisions(fetch) => self.decisions(from, &fetch).await.map(RoomResponse::Decisions),
            RoomRequest::Tree(room) => self.tree(from, room).await.map(RoomResponse::Tree),
        };
        answer.unwrap_or_else(|refused| {
            RoomResponse::Refused(RoomRefusal {
                reason: refused.reason,
                detail: Text::clipped(&refused.detail),
                decided: refused.decided.map(|decided| *decided),
            })
        })
    }

    /// The decisions of a room from an epoch on; for a relay that has left, up to the one by which it did.
    async fn decisions(&self, from: &Domain, fetch: &FetchDecisions) -> Result<Decisions, RoomRefused> {
        let row = self.shared(from, fetch.room, fetch.from).await?;
        let store = &self.inner.store;
        let all = if store.roster(fetch.room, row.epoch).await?.has_relay(from) {
            store.decisions(fetch.room, fetch.from, MAX_DECISIONS).await?
        } else {
            store.decisions_shared(from, fetch.room, fetch.from, MAX_DECISIONS).await?
        };
        let mut bytes = 0;
        let fits = |decided: &Decided| {
            bytes += decided.commit.len();
            bytes <= MAX_ANSWER
        };
        let some: Vec<Decided> = all.into_iter().take_while(fits).collect();
        let decided = List::new(some).map_err(|e| RoomRefused::new(Refusal::Internal, e.to_string()))?;
        Ok(Decisions { decided, epoch: row.epoch })
    }

    /// The current group info, as the last device that changed the room's members left it.
    async fn tree(&self, from: &Domain, room: RoomId) -> Result<Octets<MAX_HANDSHAKE>, RoomRefused> {
        let row = self.shared(from, room, Epoch(u64::MAX >> 1)).await?;
        let group_info = self.inner.store.group_info(room, row.epoch).await?.ok_or_else(|| {
            let why = "no device has left a group info of the room's current epoch here: ask again after the next invitation";
            RoomRefused::new(Refusal::NotFound, why)
        })?;
        Octets::new(group_info).map_err(|e| RoomRefused::new(Refusal::Internal, e.to_string()))
    }

    /// The room, if the relay takes part in it now or took part in `epoch`.
    async fn shared(&self, with: &Domain, room: RoomId, epoch: Epoch) -> Result<RoomRow, RoomRefused> {
        let unknown = || {
            RoomRefused::new(Refusal::UnknownRoom, format!("no room {room} is shared between these relays"))
        };
        let row = self.active_row(room, None).await?.ok_or_else(unknown)?;
        let now = self.inner.store.roster(room, row.epoch).await?;
        if now.has_relay(with)
            || (epoch < row.epoch && self.inner.store.roster(room, epoch).await?.has_relay(with))
        {
            return Ok(row);
        }
        Err(unknown())
    }
}
