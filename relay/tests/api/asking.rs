//! Requests that fit no endpoint, each with the one form of refusal; and the document that says what fits.

use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn every_failure_has_the_same_form() {
    let house = House::open().await;
    house.get("/nothing/here", None).await.refused(404, "not-found");
    house.get("/v1/accounts", None).await.refused(405, "not-found");
    house.delete("/v1/sessions", None).await.refused(405, "not-found");
    let url = format!("{}/v1/challenges", house.url);
    let broken = house.web.post(&url).header("content-type", "application/json").body("{");
    house.ask(broken, None).await.refused(400, "malformed");
    let text = house.web.post(&url).header("content-type", "text/plain").body("{}");
    house.ask(text, None).await.refused(415, "malformed");
    house.post("/v1/challenges", None, json!({})).await.refused(400, "malformed");
    house
        .post("/v1/challenges", None, json!({ "account": "x", "device": "y" }))
        .await
        .refused(400, "malformed");
    let huge = json!({ "login": "A".repeat(2 * 1024 * 1024) });
    house.post("/v1/sessions", None, huge).await.refused(413, "too-large");
    house.get("/v1/socket", None).await.refused(401, "unauthenticated");
    let alice = house.person("alice").await;
    let no_upgrade = house.get("/v1/socket", Some(&alice.token)).await;
    assert_eq!(no_upgrade.error(), "malformed", "{}", no_upgrade.body);
    house.close().await;
}

#[tokio::test]
async fn the_document_lists_every_route() {
    let house = House::open().await;
    let document = house.get("/openapi.json", None).await.ok();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{document}");
    let mut listed: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        .collect();
    listed.sort();
    let expected = [
        "delete /v1/blocks/{account}",
        "get /.well-known/posthouse/manifest",
        "get /.well-known/posthouse/manifests/{seq}",
        "get /healthz",
        "get /metrics",
        "get /readyz",
        "get /v1/account",
        "get /v1/accounts/{account}",
        "get /v1/aliases/{alias}",
        "get /v1/devices",
        "get /v1/key-packages",
        "get /v1/relays/{domain}",
        "get /v1/relays/{domain}/manifests/{seq}",
        "get /v1/rooms/{room}",
        "get /v1/socket",
        "post /v1/accounts",
        "post /v1/challenges",
        "post /v1/claims",
        "post /v1/key-packages",
        "post /v1/rooms/{room}/commits",
        "post /v1/sessions",
        "put /v1/blocks/{account}",
        "put /v1/rooms/{room}",
    ];
    assert_eq!(listed, expected);
    let refusals = document["components"]["schemas"].as_object().unwrap();
    assert!(refusals.contains_key("ErrorBody") && refusals.contains_key("RegisterRequest"));
    house.close().await;
}
