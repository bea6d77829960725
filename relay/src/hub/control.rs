//! The control lane: a hub's decisions and Welcomes, one item at a time, each in one transaction with the lane's cursor.

use posthouse_spec::cbor::Text;
use posthouse_spec::envelope::{DecidedItem, Item, WelcomeItem};
use posthouse_spec::peer::deliver::{ItemRefusal, RefusedItem};
use posthouse_spec::{Domain, Millis};

use super::follow::{FollowFault, Followed, News};
use super::handle::Rooms;
use crate::rooms::no_ticket;
use crate::store::LanePlace;

/// The item cannot be taken now, and its cursor has not moved: it is to be sent again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the item cannot be taken now: {0}")]
pub struct ControlError(String);

/// Why an item goes undelivered.
type Refused = Option<(ItemRefusal, String)>;

impl Rooms {
    /// Takes one item of a control lane. `None`: it is applied, or was before. Otherwise it was taken off the lane for the
    /// reason given. Either way the cursor has moved over it, durably.
    ///
    /// # Errors
    /// It cannot be taken now.
    pub async fn receive_control(
        &self,
        now: Millis,
        place: LanePlace,
        item: Item,
    ) -> Result<Refused, ControlError> {
        let origin = place.lane.origin.clone();
        let room = item.room();
        let taken = match item {
            Item::Decided(item) => self.receive_decided(now, &origin, item, &place).await,
            Item::Welcome(item) => self.receive_welcome(now, &origin, item, &place).await,
            Item::Message(_) | Item::EpochEnd(_) | Item::Undelivered(_) | Item::Canary(_) => {
                Err(FollowFault::Invalid("a control lane carries decisions and Welcomes alone".into()))
            }
        };
        let refused = match taken {
            Ok(Taken::Applied { without }) if without.is_empty() => return Ok(None),
            Ok(Taken::Applied { without }) => return Ok(Some((ItemRefusal::NoTicket, no_ticket(&without)))),
            Ok(Taken::UnknownRoom) => (
                ItemRefusal::UnknownRoom,
                "this relay takes no part in the room, or knows another hub for it".into(),
            ),
            Err(FollowFault::Invalid(why)) => (ItemRefusal::Invalid, why),
            Err(FollowFault::Later(why)) => return Err(ControlError(why)),
        };
        tracing::warn!(%origin, ?room, reason = %refused.0, detail = refused.1, "an item of a control lane is refused");
        self.pass(now, place, &refused).await?;
        Ok(Some(refused))
    }

    /// Moves a lane's cursor over an item that was refused.
    pub(crate) async fn pass(
        &self,
        now: Millis,
        place: LanePlace,
        (reason, detail): &(ItemRefusal, String),
    ) -> Result<(), ControlError> {
        let refused = RefusedItem { seq: place.seq, reason: *reason, detail: Text::clipped(detail) };
        self.inner
            .store
            .pass_item(now, place, Some(refused))
            .await
            .map_err(|error| ControlError(error.to_string()))
    }

    async fn receive_decided(
        &self,
        now: Millis,
        origin: &Domain,
        item: DecidedItem,
        place: &LanePlace,
    ) -> Result<Taken, FollowFault> {
        let news = News { room: item.room, decided: item.decided, bundle: None, place: Some(place.clone()) };
        let mut slot = self.inner.observers.lock(item.room).await;
        let Some(row) = self.active_row(item.room, Some(origin)).await? else {
            return Ok(Taken::UnknownRoom);
        };
        if let Followed::Applied { without } = self.follow(now, &mut slot, &row, news.clone()).await? {
            return Ok(Taken::Applied { without });
        }
        // Something is missing in between. The hub has it.
        let row = self.fetch(now, &mut slot, item.room).await?;
        match self.follow(now, &mut slot, &row, news).await? {
            Followed::Applied { without } => Ok(Taken::Applied { without }),
            Followed::Ahead => Err(FollowFault::Later("the hub lacks decisions before this one".into())),
        }
    }

    async fn receive_welcome(
        &self,
        now: Millis,
        origin: &Domain,
        item: WelcomeItem,
        place: &LanePlace,
    ) -> Result<Taken, FollowFault> {
        let place = Some(place.clone());
        let mut slot = self.inner.observers.lock(item.room).await;
        let known = self.active_row(item.room, None).await?;
        let Some(mut row) = known else {
            return Ok(match self.adopt(now, &mut slot, origin, item, place).await? {
                Followed::Applied { without } => Taken::Applied { without },
                Followed::Ahead => Taken::UnknownRoom,
            });
        };
        if row.hub != *origin {
            return Ok(Taken::UnknownRoom);
        }
        let news = News { room: item.room, decided: item.decided, bundle: Some(item.bundle), place };
        let mut followed = self.follow(now, &mut slot, &row, news.clone()).await?;
        if followed == Followed::Ahead {
            row = self.fetch(now, &mut slot, item.room).await?;
            followed = self.follow(now, &mut slot, &row, news).await?;
        }
        match followed {
            Followed::Applied { without } => Ok(Taken::Applied { without }),
            Followed::Ahead => Err(FollowFault::Later("the hub lacks decisions before this one".into())),
        }
    }
}

enum Taken {
    Applied { without: Vec<posthouse_spec::DeviceId> },
    UnknownRoom,
}
