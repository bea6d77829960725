//! Look-up, key packages, claims and blocks.

use posthouse_crypto::verify_record;
use posthouse_spec::account::{AccountRecord, ClaimedKeyPackages, KeyClaim};
use posthouse_spec::client::http::Base64;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Domain, Incarnation, Millis, Signed};
use serde_json::{Value, json};

use crate::house::{House, NOW, Person};

fn read<T: posthouse_spec::Cbor>(value: &Value) -> T {
    serde_json::from_value::<Base64>(value.clone()).unwrap().read().unwrap()
}

#[tokio::test]
async fn an_alias_is_found_with_everything_that_proves_it() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let bob = house.person("bob").await;
    let found = house.get("/v1/aliases/bob@a.localhost", Some(&alice.token)).await.ok();
    let manifest: Signed<Manifest> = read(&found["manifest"]);
    let manifest = posthouse_crypto::follow(&house.domain(), None, &manifest).unwrap();
    let record: AccountRecord = read(&found["record"]);
    let known = verify_record(&record, Some(&bob.alias), &manifest.ordering).unwrap();
    assert_eq!(known.account.id(), bob.account.id());
    let relay = house.get("/v1/relays/a.localhost", Some(&alice.token)).await.ok();
    assert_eq!(relay["manifest"], found["manifest"]);
    house.close().await;
}

#[tokio::test]
async fn a_member_of_a_room_is_found_by_account() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let bob = house.person("bob").await;
    let path = format!("/v1/accounts/{}?home=a.localhost", bob.account.id());
    let found = house.get(&path, Some(&alice.token)).await.ok();
    let by_alias = house.get("/v1/aliases/bob@a.localhost", Some(&alice.token)).await.ok();
    assert_eq!(found, by_alias);
    house.get(&path, None).await.refused(401, "unauthenticated");
    let ask = async |path: &str| house.get(path, Some(&alice.token)).await;
    let nobody = posthouse_spec::AccountId::new([7; 32]);
    ask(&format!("/v1/accounts/{nobody}?home=a.localhost")).await.refused(404, "unknown-account");
    ask(&format!("/v1/accounts/{nobody}?home=nowhere.localhost")).await.refused(502, "relay-unreachable");
    ask(&format!("/v1/accounts/{nobody}")).await.refused(400, "malformed");
    ask("/v1/accounts/bob?home=a.localhost").await.refused(400, "malformed");
    house.close().await;
}

#[tokio::test]
async fn unknown_people_relays_and_names_each_have_their_own_error() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let ask = async |path: &str| house.get(path, Some(&alice.token)).await;
    ask("/v1/aliases/nobody@a.localhost").await.refused(404, "unknown-account");
    ask("/v1/aliases/somebody").await.refused(400, "malformed");
    ask("/v1/aliases/UPPER@a.localhost").await.refused(400, "malformed");
    ask("/v1/aliases/bob@nowhere.localhost").await.refused(502, "relay-unreachable");
    ask("/v1/relays/nowhere.localhost").await.refused(502, "relay-unreachable");
    ask("/v1/relays/-").await.refused(400, "malformed");
    house.close().await;
}

#[tokio::test]
async fn an_account_may_ask_only_so_often() {
    let house = House::with(|config| config.limits.claims_per_minute = 2).await;
    let alice = house.person("alice").await;
    for _ in 0..2 {
        house.get("/v1/relays/a.localhost", Some(&alice.token)).await.ok();
    }
    house.get("/v1/relays/a.localhost", Some(&alice.token)).await.refused(429, "rate-limited");
    house.turn_clock(30_000);
    house.get("/v1/relays/a.localhost", Some(&alice.token)).await.ok();
    house.close().await;
}

fn key_claim(by: &Person, of: &Person, domain: &Domain, created: Millis) -> KeyClaim {
    KeyClaim {
        claimant: by.account.id(),
        device: by.device.device_id(),
        alias: by.alias.clone(),
        target: of.account.id(),
        domain: domain.clone(),
        suite: 3,
        created,
        nonce: Incarnation::new([7; 16]),
    }
}

async fn claim(house: &House, by: &Person, claim: &KeyClaim) -> crate::house::Answer {
    let body = json!({ "claim": Base64::of(&by.device.sign(claim)) });
    house.post("/v1/claims", Some(&by.token), body).await
}

#[tokio::test]
async fn a_claim_is_checked_before_it_is_answered() {
    let house = House::open().await;
    let (alice, bob) = (house.person("alice").await, house.person("bob").await);
    let good = key_claim(&alice, &bob, &house.domain(), NOW);
    let answer = claim(&house, &alice, &good).await.ok();
    let packages: ClaimedKeyPackages = read(&answer["key_packages"]);
    assert!(packages.is_empty(), "nothing is in stock");

    const DAY: u64 = 24 * 60 * 60 * 1000;
    let early = KeyClaim { created: Millis(NOW.0 - DAY - 1), ..good.clone() };
    claim(&house, &alice, &early).await.refused(422, "clock-skew");
    let future = KeyClaim { created: NOW.after(DAY + 1), ..good.clone() };
    claim(&house, &alice, &future).await.refused(422, "clock-skew");
    let misnamed = KeyClaim { alias: bob.alias.clone(), ..good.clone() };
    claim(&house, &alice, &misnamed).await.refused(422, "invalid-signature");
    claim(&house, &bob, &good).await.refused(422, "invalid-signature");
    let nobody = Person::new("nobody", &house.domain());
    let unknown = key_claim(&alice, &nobody, &house.domain(), NOW);
    claim(&house, &alice, &unknown).await.refused(404, "unknown-account");
    let away = key_claim(&alice, &bob, &"nowhere.localhost".parse().unwrap(), NOW);
    claim(&house, &alice, &away).await.refused(502, "relay-unreachable");
    house.close().await;
}

#[tokio::test]
async fn only_good_key_packages_are_kept() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let counts = house.get("/v1/key-packages", Some(&alice.token)).await.ok();
    assert_eq!(counts, json!({ "classic": 0, "post_quantum": 0 }));
    let bad = json!({ "suite": 3, "key_packages": [Base64(vec![1, 2, 3])] });
    house.post("/v1/key-packages", Some(&alice.token), bad).await.refused(400, "malformed");
    let other = json!({ "suite": 1, "key_packages": [] });
    house.post("/v1/key-packages", Some(&alice.token), other).await.refused(400, "malformed");
    let many = json!({ "suite": 3, "key_packages": vec![Base64(vec![1]); 129] });
    house.post("/v1/key-packages", Some(&alice.token), many).await.refused(413, "too-large");
    let devices = house.get("/v1/devices", Some(&alice.token)).await.ok();
    let own = json!({ "device": alice.device.device_id(), "online": false, "key_packages_classic": 0, "key_packages_post_quantum": 0 });
    assert_eq!(devices["devices"], json!([own]));
    house.close().await;
}

#[tokio::test]
async fn an_account_is_blocked_and_no_longer() {
    let house = House::open().await;
    let (alice, bob) = (house.person("alice").await, house.person("bob").await);
    let path = format!("/v1/blocks/{}", bob.account.id());
    let blocked = house.put(&path, Some(&alice.token), json!({})).await.ok();
    assert_eq!(blocked, json!({ "blocked": true }));
    let lifted = house.delete(&path, Some(&alice.token)).await.ok();
    assert_eq!(lifted, json!({ "blocked": false }));
    house.put("/v1/blocks/bob", Some(&alice.token), json!({})).await.refused(400, "malformed");
    house.put(&path, None, json!({})).await.refused(401, "unauthenticated");
    house.close().await;
}

#[tokio::test]
async fn the_links_of_the_relays_chain_are_served_to_everybody_and_to_its_people() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let get = async |path: &str| house.web.get(format!("{}{path}", house.url)).send().await.unwrap();
    let newest = get("/.well-known/posthouse/manifest").await.bytes().await.unwrap();
    let link = get("/.well-known/posthouse/manifests/1").await;
    assert_eq!(link.headers()["content-type"], posthouse_spec::manifest::MEDIA_TYPE);
    assert_eq!(link.bytes().await.unwrap(), newest);
    for (seq, status) in [("2", 404), ("0", 404), ("18446744073709551615", 404), ("x", 400), ("..%2F1", 400)]
    {
        let answer = get(&format!("/.well-known/posthouse/manifests/{seq}")).await;
        assert_eq!(answer.status().as_u16(), status, "{seq}");
    }
    let own = house.get("/v1/relays/a.localhost/manifests/1", Some(&alice.token)).await.ok();
    let manifest: Signed<Manifest> = read(&own["manifest"]);
    assert_eq!(manifest.as_bytes(), &newest);
    let ask = async |path: &str| house.get(path, Some(&alice.token)).await;
    ask("/v1/relays/a.localhost/manifests/2").await.refused(502, "unknown-relay");
    ask("/v1/relays/nowhere.localhost/manifests/1").await.refused(502, "relay-unreachable");
    house.get("/v1/relays/a.localhost/manifests/1", None).await.refused(401, "unauthenticated");
    house.close().await;
}
