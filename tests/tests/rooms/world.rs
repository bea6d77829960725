//! Two relays with one person each.

use std::sync::Arc;

use futures::future::LocalBoxFuture;
use posthouse_relay::hub::{RoomInfo, RoomRefused};
use posthouse_relay::store::{Incoming, LanePlace};
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::room::{Decided, RoomContext};
use posthouse_spec::{Epoch, Incarnation, LaneSeq};

use crate::person::Person;
use crate::relay::{NOW, ROOM, Relay, Wires};

/// Alice at a.example, which is the hub, and Bob at b.example.
pub(crate) struct World {
    pub(crate) wires: Arc<Wires>,
    pub(crate) a: Relay,
    pub(crate) b: Relay,
    pub(crate) alice: Person,
    pub(crate) bob: Person,
}

impl World {
    pub(crate) async fn new() -> Self {
        let wires = Arc::new(Wires::default());
        let (a, b) = (Relay::new(1, "a.example", &wires).await, Relay::new(2, "b.example", &wires).await);
        let (alice, mut bob) = (Person::new(3, "alice", &a).await, Person::new(4, "bob", &b).await);
        bob.stock_up(&b).await;
        Self { wires, a, b, alice, bob }
    }

    /// With a direct room that Alice has founded.
    pub(crate) fn founded() -> LocalBoxFuture<'static, Self> {
        Box::pin(async {
            let mut world = Self::new().await;
            let context = RoomContext::direct(world.a.us().await);
            world.alice.found(&world.a, &context).await.expect("it is founded");
            world
        })
    }

    /// With Bob in the room, and everything carried.
    pub(crate) fn joined() -> LocalBoxFuture<'static, Self> {
        Box::pin(async {
            let mut world = Self::founded().await;
            world.invite_bob().await.expect("it is decided");
            world.alice.merge();
            world.a.carry_all(&world.b).await;
            assert!(world.bob.read(&world.b).await.is_empty());
            assert_eq!(world.bob.epoch(), Epoch(1));
            assert!(world.alice.read(&world.a).await.is_empty());
            world
        })
    }

    pub(crate) async fn invite_bob(&mut self) -> Result<Decided, RoomRefused> {
        let claimed = self.alice.claim(&self.a, &self.bob, &self.b).await;
        let (_, upload) = self.alice.invite(&self.bob, &claimed);
        self.a.rooms.commit(NOW, self.alice.who, upload).await
    }

    pub(crate) async fn epochs(&self) -> (Option<u64>, Option<u64>) {
        let of = |info: Option<RoomInfo>| info.map(|info| info.epoch.0);
        let (a, b) = (self.a.rooms.room(ROOM).await, self.b.rooms.room(ROOM).await);
        (of(a.expect("the store answers")), of(b.expect("the store answers")))
    }
}

/// A place of an item that somebody else than the federation hands over.
pub(crate) fn place(origin: &Relay, lane: u8, seq: u64) -> LanePlace {
    LanePlace {
        lane: Incoming {
            origin: origin.domain.clone(),
            class: LaneClass::Control,
            incarnation: Incarnation::new([lane; 16]),
        },
        seq: LaneSeq(seq),
    }
}
