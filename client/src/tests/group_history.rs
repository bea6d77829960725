//! What was said in rooms of many: found, kept as long as is wanted, and carried away.

use super::group::{group, lines};
use super::hub::Hub;
use super::world::World;
use crate::history::search::Search;
use crate::model::Conversation;
use crate::{MessageKind, ProfileChange};

#[tokio::test]
async fn a_group_is_searched_and_carried_away_under_its_name() {
    let hub = Hub::new(World::new()).await;
    let (alice, bob) = (hub.person("alice", 0).await, hub.person("bob", 1).await);
    let room = group(&hub, &[&alice, &bob]).await;
    alice.client.send_to_room(&room, "the roses are out").await.expect("queued");
    let change = ProfileChange { name: Some("The <orchard>".to_owned()), ..ProfileChange::default() };
    alice.client.set_room_profile(&room, &change).await.expect("named");
    hub.settle(&[&alice, &bob]).await;

    let within = Some(Conversation::Room(room));
    let search = Search { text: "roses".to_owned(), within, ..Search::default() };
    let found = bob.client.search(&search).await.expect("found").messages;
    assert_eq!((found.len(), found[0].kind), (1, MessageKind::Text));
    assert_eq!(found[0].room_name.as_deref(), Some("The <orchard>"));

    let shown = lines(&bob, &room).await.len();
    let mut page = Vec::new();
    let written = bob.client.export_html(&mut page).await.expect("written");
    let page = String::from_utf8(page).expect("text");
    assert_eq!(usize::try_from(written).expect("few"), shown, "what is not shown is not carried away");
    for part in ["<h2>The &lt;orchard&gt;</h2>", "the roses are out", "<div class=\"m sys\">"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let mut export = Vec::new();
    let exported = bob.client.export(&mut export).await.expect("written");
    assert_eq!(exported, written);
    assert!(!String::from_utf8(export).expect("text").contains("\"control\""));
}
