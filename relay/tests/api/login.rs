//! Login and sessions.

use posthouse_spec::limits::{CHALLENGE_LIFETIME_MS, SESSION_LIFETIME_MS};
use serde_json::json;

use crate::house::{House, Person};

#[tokio::test]
async fn a_device_that_proves_its_key_gets_a_session_that_ends() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let who = house.get("/v1/account", Some(&alice.token)).await.ok();
    assert_eq!(who["alias"], "alice@a.localhost");
    assert_eq!(who["account"], json!(alice.account.id()));
    assert_eq!(who["device"], json!(alice.device.device_id()));

    house.turn_clock(SESSION_LIFETIME_MS);
    house.get("/v1/account", Some(&alice.token)).await.refused(401, "unauthenticated");
    house.close().await;
}

#[tokio::test]
async fn a_wrong_token_opens_nothing() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let paths = [
        "/v1/account",
        "/v1/devices",
        "/v1/key-packages",
        "/v1/aliases/alice@a.localhost",
        "/v1/relays/b.localhost",
    ];
    let other = alice.token.chars().rev().collect::<String>();
    for path in paths {
        house.get(path, None).await.refused(401, "unauthenticated");
        for token in ["", "x", &other] {
            house.get(path, Some(token)).await.refused(401, "unauthenticated");
        }
    }
    let answer = house.web.get(format!("{}/v1/account", house.url)).send().await.unwrap();
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    house.close().await;
}

#[tokio::test]
async fn a_challenge_is_good_once_and_for_a_minute() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let challenge = house.challenge(&alice).await;
    let login = alice.login(&house.domain(), &challenge);
    house.post("/v1/sessions", None, login.clone()).await.ok();
    house.post("/v1/sessions", None, login).await.refused(401, "unauthenticated");

    let late = house.challenge(&alice).await;
    house.turn_clock(CHALLENGE_LIFETIME_MS);
    let login = alice.login(&house.domain(), &late);
    house.post("/v1/sessions", None, login).await.refused(401, "unauthenticated");
    house.close().await;
}

#[tokio::test]
async fn an_answer_for_another_relay_or_account_is_worth_nothing() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let challenge = house.challenge(&alice).await;
    let elsewhere = alice.login(&"b.localhost".parse().unwrap(), &challenge);
    house.post("/v1/sessions", None, elsewhere).await.refused(422, "invalid-signature");

    let stranger = Person::new("stranger", &house.domain());
    house.log_in(&stranger).await.refused(404, "unknown-account");
    let thief = Person { account: alice.account.clone(), ..Person::new("alice", &house.domain()) };
    house.log_in(&thief).await.refused(401, "unauthenticated");
    house.post("/v1/sessions", None, json!({ "login": "AAAA" })).await.refused(400, "malformed");
    house.close().await;
}
