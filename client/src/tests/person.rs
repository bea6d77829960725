//! More of what people of a test's world do.

use posthouse_spec::cbor::Cbor as _;
use posthouse_spec::content::MimiContent;
use posthouse_spec::{AccountId, Number, RoomId};

use super::world::Person;
use crate::rooms::content;
use crate::rooms::intake::Intake;
use crate::sync::testing;
use crate::vault::outbox::{self, Outgoing};
use crate::vault::{contacts, rooms};

impl Person {
    /// Knows somebody, and has nothing against being written to by them.
    pub(crate) async fn trusts(&self, other: &Self) {
        if self.alias() == other.alias() {
            return;
        }
        self.knows(other).await;
        let mut tx = self.context().vault.begin().await.expect("a transaction");
        let account = other.context().owner.account.id();
        contacts::consent(tx.db().expect("db"), &account).await.expect("consent");
        tx.commit().await.expect("durable");
    }

    /// Has asked for somebody's list of devices, and it is as it was.
    pub(crate) async fn hears_of(&self, account: &AccountId) {
        let mut intake = Intake::begin(self.context()).await.expect("a transaction");
        content::attribute(&mut intake, account, None).await.expect("taken");
        intake.commit().await.expect("durable");
    }

    /// Seals content for a room, whether it is allowed or not.
    pub(crate) async fn seals_anyway(&self, id: &RoomId, content: &MimiContent) -> Outgoing {
        let content = content.to_cbor();
        let mut tx = self.context().vault.begin().await.expect("a transaction");
        let (room, keys) = tx.room(id).expect("the room");
        let body = room.seal(keys, &content).expect("sealed");
        let epoch = room.epoch();
        tx.commit().await.expect("durable");
        Outgoing { number: Number(1), room: *id, epoch, body, local: 0 }
    }

    /// Does the work beside the connection once.
    pub(crate) async fn works(&self) {
        testing::work(self.context(), self.listener()).await.expect("worked");
    }

    /// What is due later is due now; `false` where nothing was.
    pub(crate) async fn lets_time_pass(&self) -> bool {
        let mut tx = self.context().vault.begin().await.expect("a transaction");
        let mut passed = 0;
        for sql in ["UPDATE changes SET due = 1 WHERE due > 1", "UPDATE leavings SET due = 1 WHERE due > 1"] {
            let done = sqlx::query(sql).execute(tx.db().expect("db")).await.expect("written");
            passed += done.rows_affected();
        }
        tx.commit().await.expect("durable");
        passed > 0
    }

    /// Puts a sealed message back, as if the relay had refused its epoch.
    pub(crate) async fn takes_back(&self, item: &Outgoing) {
        let mut tx = self.context().vault.begin().await.expect("a transaction");
        let db = tx.db().expect("db");
        outbox::back_to_intent(db, item).await.expect("taken back");
        rooms::set_stale(db, &item.room, item.epoch).await.expect("noted");
        tx.commit().await.expect("durable");
    }
}
