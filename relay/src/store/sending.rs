//! What the store remembers of sending: that it began, before anything of a lane's life leaves this relay.

use posthouse_spec::Incarnation;

use super::error::StoreError;
use super::handle::Store;
use super::types::LaneId;

impl Store {
    /// Remembers that from now on items of a lane may have left this relay. `false`: the lane has begun another life.
    pub(super) async fn begin_sending(
        &self,
        lane: &LaneId,
        incarnation: Incarnation,
    ) -> Result<bool, StoreError> {
        let lane = lane.clone();
        self.queue(move |tx| {
            Box::pin(async move {
                let ledger = &mut tx.lane(&lane).await?.ledger;
                if ledger.incarnation != incarnation {
                    return Ok(false);
                }
                if !std::mem::replace(&mut ledger.sending, true) {
                    tx.pending.lanes.insert(lane);
                }
                Ok(true)
            })
        })
        .await
    }
}
