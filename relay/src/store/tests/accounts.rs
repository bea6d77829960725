use posthouse_crypto::{SealSecret, SigningKey, identity};
use posthouse_spec::Epoch;
use posthouse_spec::account::DeviceKeys;
use posthouse_spec::client::Refusal;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::super::types::{AppendOutcome, SubmitOutcome};
use super::super::{RegisterOutcome, Store};
use super::support::*;
use crate::mailbox::MailboxKey;

#[tokio::test]
async fn a_registration_stands_and_its_repeat_gets_the_same() {
    let mut world = World::new().await;
    world.restart().await;
    let again = world.alice.register(&world.store, "alice").await;
    assert_eq!(again, RegisterOutcome::Same(world.alice.binding("alice")));
    assert_eq!(world.bob.register(&world.store, "alice").await, RegisterOutcome::AliasTaken);
    assert_eq!(world.alice.register(&world.store, "alicia").await, RegisterOutcome::AliasTaken);
    let id = world.alice.who.account;
    assert_eq!(world.store.by_alias(&"alice".parse().unwrap()).await.unwrap(), Some(id));
    assert_eq!(world.store.by_alias(&"nobody".parse().unwrap()).await.unwrap(), None);
    let known = world.store.account(&id).await.unwrap().unwrap();
    assert_eq!(known.head(), world.alice.account.head());
    let record = world.store.record(&id).await.unwrap().unwrap();
    assert_eq!(record.binding, world.alice.binding("alice"));
    assert_eq!(record.chain.len(), 1);
}

#[tokio::test]
async fn an_invite_admits_as_many_as_it_says() {
    let world = World::new().await;
    let token = [5; 32];
    world.store.add_invite(NOW, token, 1, NOW.after(1_000)).await.unwrap();
    let register = |person: Person, name: &'static str, token, at| {
        let store = world.store.clone();
        async move {
            let binding = person.binding(name);
            store.register(at, &person.account, &name.parse().unwrap(), &binding, Some(token)).await.unwrap()
        }
    };
    let new = |seed| Person::new(seed, "a.example");
    assert_eq!(register(new(11), "carol", [6; 32], NOW).await, RegisterOutcome::InvalidInvite);
    assert_eq!(register(new(11), "carol", token, NOW.after(2_000)).await, RegisterOutcome::InvalidInvite);
    assert_eq!(register(new(11), "carol", token, NOW).await, RegisterOutcome::Registered);
    assert!(matches!(register(new(11), "carol", token, NOW).await, RegisterOutcome::Same(_)));
    assert_eq!(register(new(12), "dave", token, NOW).await, RegisterOutcome::InvalidInvite);
    // The command line adds one beside the running relay.
    Store::add_invite_beside(world.folder.path(), NOW, [7; 32], 1, NOW.after(1_000)).await.unwrap();
    assert_eq!(register(new(12), "dave", [7; 32], NOW).await, RegisterOutcome::Registered);
}

#[tokio::test]
async fn a_chain_grows_at_its_head_alone_and_a_revoked_device_loses_everything() {
    let world = World::with_room().await;
    let mut rng = StdRng::seed_from_u64(40);
    let phone = SigningKey::generate(&mut rng);
    let keys = DeviceKeys { device: phone.device_id(), seal: SealSecret::generate(&mut rng).public() };
    let (id, account) = (world.anna.who.account, &world.anna.account);
    let add = identity::add_device(account, &world.anna.device, keys, NOW);
    let rotate = identity::rotate_recovery(account, &world.anna.recovery, phone.public(), NOW);
    assert_eq!(world.store.append_event(&id, &add).await.unwrap(), AppendOutcome::Appended);
    assert_eq!(world.store.append_event(&id, &add).await.unwrap(), AppendOutcome::Same);
    assert_eq!(world.store.append_event(&id, &rotate).await.unwrap(), AppendOutcome::Conflict);
    let phone = MailboxKey { account: id, device: phone.device_id() };
    assert_eq!(world.store.stock(phone).await.unwrap().classic, 0);

    assert_eq!(world.submit(&world.alice, 1, b"secret").await, SubmitOutcome::Accepted);
    world.store.put_session([1; 32], world.anna.who, NOW.after(10)).await.unwrap();
    assert_eq!(world.store.session([1; 32], NOW).await.unwrap().unwrap().who, world.anna.who);
    let grown = world.store.account(&id).await.unwrap().unwrap();
    let revoke = identity::revoke_device(&grown, &world.anna.recovery, world.anna.who.device, None, NOW);
    assert_eq!(world.store.append_event(&id, &revoke).await.unwrap(), AppendOutcome::Appended);
    assert!(world.mailbox(&world.anna).await.is_empty());
    assert!(world.store.session([1; 32], NOW).await.unwrap().is_none());
    let late = world.store.submit(NOW, world.anna.who, submit(Epoch(0), 1, b"x")).await.unwrap();
    assert!(matches!(late, SubmitOutcome::Refused(Refusal::NotMember, _)));
    // The room still names the device, which gets nothing any more.
    assert_eq!(world.submit(&world.alice, 2, b"secret").await, SubmitOutcome::Accepted);
    assert!(world.mailbox(&world.anna).await.is_empty());
    assert_eq!(world.count("mailbox").await, 0);
}

#[tokio::test]
async fn a_session_ends_at_its_time_or_when_it_is_ended() {
    let world = World::new().await;
    world.store.put_session([1; 32], world.alice.who, NOW.after(10)).await.unwrap();
    world.store.put_session([2; 32], world.alice.who, NOW.after(1_000)).await.unwrap();
    assert!(world.store.session([1; 32], NOW.after(10)).await.unwrap().is_none());
    assert!(world.store.session([2; 32], NOW.after(10)).await.unwrap().is_some());
    world.store.end_sessions(world.alice.who).await.unwrap();
    assert!(world.store.session([2; 32], NOW).await.unwrap().is_none());
}
