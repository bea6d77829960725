//! Registration.

use posthouse_crypto::verify;
use posthouse_spec::Signed;
use posthouse_spec::account::AliasBinding;
use posthouse_spec::client::http::Base64;
use posthouse_spec::manifest::Manifest;
use serde_json::json;

use crate::house::{House, NOW, Person};

#[tokio::test]
async fn an_account_gets_its_alias_bound_by_the_relay_and_a_repeat_gets_the_same() {
    let house = House::open().await;
    let alice = Person::new("alice", &house.domain());
    let first = house.post("/v1/accounts", None, alice.registration(None)).await.ok();
    let binding: Base64 = serde_json::from_value(first["binding"].clone()).unwrap();
    let binding: Signed<AliasBinding> = binding.read().unwrap();
    let manifest =
        house.web.get(format!("{}/.well-known/posthouse/manifest", house.url)).send().await.unwrap();
    let manifest: Signed<Manifest> = Signed::from_bytes(manifest.bytes().await.unwrap()).unwrap();
    let manifest = posthouse_crypto::follow(&house.domain(), None, &manifest).unwrap();
    let binding = verify(&binding, &manifest.ordering).unwrap();
    assert_eq!((binding.bound, binding.claim.peek().unwrap().alias), (NOW, alice.alias.clone()));

    house.turn_clock(5_000);
    let again = house.post("/v1/accounts", None, alice.registration(None)).await.ok();
    assert_eq!(first, again);
    house.close().await;
}

#[tokio::test]
async fn a_name_belongs_to_the_first_who_takes_it() {
    let house = House::open().await;
    house.person("alice").await;
    let other = Person::new("alice", &house.domain());
    house.post("/v1/accounts", None, other.registration(None)).await.refused(409, "alias-taken");
    house.close().await;
}

#[tokio::test]
async fn what_is_not_signed_for_this_relay_by_the_account_itself_is_refused() {
    let house = House::open().await;
    let alice = Person::new("alice", &house.domain());
    let eve = Person::new("eve", &house.domain());
    let away = Person::new("alice", &"b.localhost".parse().unwrap());

    let strangers = json!({ "chain": alice.chain(), "claim": Base64::of(&eve.claim()) });
    house.post("/v1/accounts", None, strangers).await.refused(422, "invalid-signature");
    house.post("/v1/accounts", None, away.registration(None)).await.refused(422, "invalid-signature");
    let mut elsewhere = Person::new("alice", &house.domain());
    elsewhere.alias.domain = "b.localhost".parse().unwrap();
    house.post("/v1/accounts", None, elsewhere.registration(None)).await.refused(422, "invalid-signature");
    let garbage = json!({ "chain": Base64(vec![0xff]), "claim": Base64::of(&alice.claim()) });
    house.post("/v1/accounts", None, garbage).await.refused(400, "malformed");
    house.close().await;
}

#[tokio::test]
async fn a_closed_relay_takes_nobody() {
    let house = House::with(|config| config.registration = "closed".into()).await;
    let alice = Person::new("alice", &house.domain());
    house.post("/v1/accounts", None, alice.registration(None)).await.refused(403, "registration-closed");
    house.close().await;
}

#[tokio::test]
async fn an_invite_is_good_as_often_as_it_says_and_beside_a_running_relay() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let house = House::with(|config| {
        config.registration = "invite".into();
        config.data = data.clone();
    })
    .await;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_posthouse-relay"))
        .args(["invite", "--uses", "1", "--expires-days", "20000", "--domain", "a.localhost", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(!output.status.success(), "a bound on the days");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_posthouse-relay"))
        .args(["invite", "--uses", "1", "--expires-days", "3650", "--domain", "a.localhost", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap();

    let alice = Person::new("alice", &house.domain());
    house.post("/v1/accounts", None, alice.registration(None)).await.refused(403, "invalid-invite");
    house.post("/v1/accounts", None, alice.registration(Some("wrong"))).await.refused(403, "invalid-invite");
    let first = house.post("/v1/accounts", None, alice.registration(Some(&token))).await.ok();
    let again = house.post("/v1/accounts", None, alice.registration(Some(&token))).await.ok();
    assert_eq!(first, again, "a repeat takes no second use");
    let bob = Person::new("bob", &house.domain());
    house.post("/v1/accounts", None, bob.registration(Some(&token))).await.refused(403, "invalid-invite");
    house.close().await;
}
