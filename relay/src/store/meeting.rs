//! Where the two ends of an outgoing lane have met since this process began, and what follows for items that leave by another
//! way than the lane's own stream.

use posthouse_spec::{Incarnation, LaneSeq};

use super::error::StoreError;
use super::handle::Store;
use super::types::{LaneId, LaneItem, LaneStatus};

impl Store {
    /// The life in which a lane's items before `next` may be left with others, unseen by its destination. It is the present
    /// one where the two ends have met in it since this start, or where this store had given out all of them before. Else
    /// the lane begins another one: a store that is a copy gives anew positions that the destination may have for something
    /// else, and only the destination can tell.
    ///
    /// # Errors
    /// The store failed.
    pub async fn life_to_leave(&self, lane: &LaneId, next: LaneSeq) -> Result<Incarnation, StoreError> {
        let LaneStatus { incarnation, handed, .. } = self.lane(lane).await?;
        if next <= handed || self.handed().have_met(lane, incarnation) != Some(false) {
            return Ok(incarnation);
        }
        let life = self.begin_lane_life(lane, incarnation).await?;
        self.handed().meet(lane, life);
        tracing::info!(peer = %lane.peer, class = %lane.class,
            "a lane begins anew before it is left in mailbags: its two ends have not met since this relay was started");
        Ok(life)
    }

    /// As [`Store::lane_items`], for the lane's own stream: its two ends have compared where they stand.
    ///
    /// # Errors
    /// The store failed.
    pub async fn lane_items_to_send(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
        from: LaneSeq,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<LaneItem>, StoreError> {
        let items = self.lane_items(lane, incarnation, from, max_items, max_bytes).await?;
        if !items.is_empty() {
            self.handed().meet(lane, incarnation);
        }
        Ok(items)
    }
}
