//! Rooms, as far as they are refused; what they do is told where people have MLS.

use posthouse_spec::RoomId;
use posthouse_spec::cbor::Octets;
use posthouse_spec::client::http::Base64;
use posthouse_spec::room::{CommitClaim, CommitUpload};
use posthouse_spec::{CommitHash, Epoch};
use serde_json::json;

use crate::house::House;

#[tokio::test]
async fn a_room_that_nobody_founded_is_unknown() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let room = RoomId::new([9; 32]);
    let path = format!("/v1/rooms/{room}");
    house.get(&path, Some(&alice.token)).await.refused(404, "unknown-room");
    house.get("/v1/rooms/9", Some(&alice.token)).await.refused(400, "malformed");
    house.get(&path, None).await.refused(401, "unauthenticated");

    let claim = alice.device.sign(&CommitClaim { room, epoch: Epoch(0), commit: CommitHash::new([1; 32]) });
    let upload = CommitUpload { claim, commit: Octets::new(vec![1]).unwrap(), welcome: None };
    let body = json!({ "upload": Base64::of(&upload) });
    let commits = format!("{path}/commits");
    house.post(&commits, Some(&alice.token), body.clone()).await.refused(404, "unknown-room");
    let other = format!("/v1/rooms/{}/commits", RoomId::new([8; 32]));
    house.post(&other, Some(&alice.token), body).await.refused(400, "malformed");
    house.post(&commits, Some(&alice.token), json!({ "upload": "AA" })).await.refused(400, "malformed");
    house.close().await;
}

#[tokio::test]
async fn what_is_no_group_founds_no_room() {
    let house = House::open().await;
    let alice = house.person("alice").await;
    let path = format!("/v1/rooms/{}", RoomId::new([9; 32]));
    let answer = house.put(&path, Some(&alice.token), json!({ "group_info": Base64(vec![1, 2, 3]) })).await;
    assert!((400..500).contains(&answer.status), "{}", answer.body);
    house.put(&path, Some(&alice.token), json!({})).await.refused(400, "malformed");
    house.close().await;
}
