//! The room of the stories, and its hub.

use mls_rs::group::CommitMessageDescription;
use posthouse_crypto::room::member::{Proposed, Wish};
use posthouse_crypto::room::{Observer, inspect_key_package};
use posthouse_spec::cbor::List;
use posthouse_spec::policy::Change;
use posthouse_spec::room::{RelayRef, Role, RoomContext, RoomKind, RoomPolicy, Suite};
use posthouse_spec::{Lineage, RoomId};

use crate::other::Other;
use crate::ours::Ours;
use crate::person::Heard;

/// Alice's group; she owns it.
pub(crate) struct World {
    pub(crate) alice: Ours,
    pub(crate) bob: Ours,
    pub(crate) olga: Other,
    pub(crate) observer: Observer,
}

/// What the two implementations make of one commit.
pub(crate) struct Taken {
    /// What observer and our members see.
    pub(crate) change: Change,
    /// What mls-rs sees; nothing where Olga is not in the room yet.
    pub(crate) seen: Option<CommitMessageDescription>,
}

impl World {
    /// Alice founds the group and adds Olga. Bob waits outside.
    pub(crate) fn new() -> Self {
        let (mut alice, bob) = (Ours::new(1, "a.example"), Ours::new(2, "b.example"));
        let olga = Other::new(3, "o.example");
        let hub = RelayRef { domain: "a.example".parse().unwrap(), lineage: Lineage::new([7; 32]) };
        let context = RoomContext {
            kind: RoomKind::Group,
            owners: List::new(vec![alice.account()]).unwrap(),
            policy: RoomPolicy { write: Role::Member, add: Role::Admin, change: Role::Admin },
            ..RoomContext::direct(hub)
        };
        let founding = alice.found(RoomId::new([9; 32]), &context);
        let observer = Observer::from_group_info(&founding).unwrap();
        let mut world = Self { alice, bob, olga, observer };
        let package = world.olga.key_package();
        let info = inspect_key_package(&package).unwrap();
        assert_eq!((info.suite, info.last_resort), (Suite::Classic, false));
        assert_eq!(info.claim.account, world.olga.account());
        let added = world.alices(&Wish { adds: vec![package], ..Wish::default() });
        world.olga.join(&added.welcome.unwrap(), &added.group_info);
        world.agree();
        world
    }

    /// The same with Bob in it, whom Alice adds.
    pub(crate) fn of_three() -> Self {
        let mut world = Self::new();
        let package = world.bob.key_package();
        let added = world.alices(&Wish { adds: vec![package], ..Wish::default() });
        world.bob.join(&added.welcome.unwrap(), &added.group_info);
        world.agree();
        world
    }

    /// Alice makes a commit, and all take it.
    pub(crate) fn alices(&mut self, wish: &Wish) -> Proposed {
        let proposed = self.alice.propose(wish).unwrap();
        self.take(&proposed.commit, &proposed.group_info);
        proposed
    }

    /// Alice makes Olga an admin.
    pub(crate) fn appoint_olga(&mut self) {
        let admins = List::new(vec![self.olga.account()]).unwrap();
        let context = RoomContext { admins, ..self.alice.room().context().clone() };
        self.alices(&Wish { context: Some(context), ..Wish::default() });
    }

    /// The hub decides for a commit, and all who are in the room take it. The GroupInfo that was uploaded with it has to be
    /// what the hub comes to by itself.
    pub(crate) fn take(&mut self, commit: &[u8], group_info: &[u8]) -> Taken {
        let judged = self.observer.judge(commit).unwrap();
        let change = judged.change.clone();
        self.observer.apply(judged).unwrap();
        self.observer.agrees_with(group_info).unwrap();
        for ours in [&mut self.alice, &mut self.bob] {
            if ours.is_member() {
                let rejoins =
                    ours.room().has_pending().is_some() && ours.room().epoch() == self.observer.epoch();
                let seen = ours.take(commit);
                assert!(rejoins || seen == change);
            }
        }
        let seen = self.olga.is_member().then(|| self.olga.take(commit));
        Taken { change, seen }
    }

    /// All who are in the room see the same one.
    pub(crate) fn agree(&self) {
        let (epoch, members) = (self.observer.epoch(), self.observer.members());
        for ours in [&self.alice, &self.bob] {
            if ours.is_member() {
                let room = ours.room();
                assert_eq!((room.epoch(), room.context()), (epoch, self.observer.context()));
                assert_eq!(room.members(), members);
            }
        }
        let olgas: Vec<_> = members.into_iter().map(|entry| (entry.member.leaf, entry.claim)).collect();
        assert_eq!((self.olga.epoch(), &self.olga.context()), (epoch, self.observer.context()));
        assert_eq!(self.olga.members(), olgas);
    }

    /// Everybody who is in the room says something, and all others hear it.
    pub(crate) fn chat(&mut self) {
        let said = self.olga.say("from mls-rs");
        let heard = Heard { from: self.olga.account(), text: "from mls-rs".to_owned() };
        for ours in [&mut self.alice, &mut self.bob] {
            if ours.is_member() {
                assert_eq!(ours.hear(&said), heard);
            }
        }
        speak(&mut self.alice, &mut self.bob, &mut self.olga);
        speak(&mut self.bob, &mut self.alice, &mut self.olga);
    }
}

fn speak(from: &mut Ours, to: &mut Ours, olga: &mut Other) {
    if from.is_member() {
        let said = from.say("from OpenMLS");
        let heard = Heard { from: from.account(), text: "from OpenMLS".to_owned() };
        assert_eq!(olga.hear(&said).unwrap(), heard);
        if to.is_member() {
            assert_eq!(to.hear(&said), heard);
        }
    }
}
