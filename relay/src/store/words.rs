//! Word back: what became of messages after they were acknowledged.
//!
//! A message from another relay that expires in a mailbox here, or is refused after it was kept aside, goes back by its
//! mark. The relay that made the mark reads from it whom to tell.

use posthouse_crypto::mark::Marked;
use posthouse_spec::cbor::{Octets, Text};
use posthouse_spec::client::delivery::Failure;
use posthouse_spec::envelope::{Item, LaneClass, Undelivered, UndeliveredItem};
use posthouse_spec::peer::deliver::ItemRefusal;
use posthouse_spec::{Cbor as _, Domain, Epoch, Millis, Number, RoomId};

use super::columns::sql;
use super::error::StoreError;
use super::inbound::Placed;
use super::items::{ItemKind, Submitter};
use super::tx::Tx;

impl Tx {
    /// The mark of a local device's message.
    pub(crate) fn mark(&self, room: &RoomId, submitter: Submitter) -> Option<Vec<u8>> {
        let marked = Marked { device: submitter.device.unsigned_abs(), number: submitter.number.0 };
        self.marks.seal(room, marked, &mut rand::rng())
    }

    /// Tells the origin of a message what became of it.
    pub(crate) async fn word_back(
        &mut self,
        now: Millis,
        origin: &Domain,
        room: RoomId,
        mark: &[u8],
        what: Undelivered,
        detail: &str,
    ) -> Result<(), StoreError> {
        let Ok(mark) = Octets::new(mark.to_vec()) else { return Ok(()) };
        let word = UndeliveredItem { room, mark, what, detail: Text::clipped(detail) };
        let body = Item::Undelivered(word).to_cbor().into();
        let item = self.own_item(now, ItemKind::Lane, room, Epoch(0), body);
        let id = self.put_item(item);
        self.send(origin, LaneClass::Messages, id).await
    }

    /// Takes word from another relay, and tells the sender; once for each message and relay.
    pub(crate) async fn take_word(
        &mut self,
        now: Millis,
        relay: &Domain,
        word: UndeliveredItem,
    ) -> Result<Placed, StoreError> {
        let Some(marked) = self.marks.open(&word.room, &word.mark) else {
            return Ok(Placed::Refused(
                ItemRefusal::Invalid,
                "the mark is none that this relay has made for a message in that room".into(),
            ));
        };
        let first =
            sqlx::query("INSERT INTO words (relay, mark, created) VALUES (?,?,?) ON CONFLICT DO NOTHING")
                .bind(relay.as_str())
                .bind(&word.mark[..])
                .bind(sql(now.0))
                .execute(&mut self.conn)
                .await
                .map_err(StoreError::sql("remember the word of a relay"))?
                .rows_affected();
        if first == 0 {
            return Ok(Placed::Done);
        }
        let failure = match word.what {
            Undelivered::Expired => Failure::Expired,
            Undelivered::Refused => Failure::Refused,
            Undelivered::Lost => Failure::Lost,
        };
        let submitter = Submitter { device: sql(marked.device), number: Number(marked.number) };
        tracing::info!(%relay, room = %word.room, what = %word.what, "a message did not reach all its devices");
        self.notice(now, submitter, word.room, relay.clone(), failure, word.detail.as_str()).await?;
        Ok(Placed::Done)
    }
}
