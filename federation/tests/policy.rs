//! The operator's word takes effect at once, in both directions.

#![expect(clippy::panic, reason = "a test that meets something else fails")]

mod common;

use common::{Relay, Town, soon};
use posthouse_federation::{PeerError, Policy};
use posthouse_spec::Domain;
use posthouse_spec::peer::KeysRequest;
use posthouse_spec::peer::hello::PeerRule;

/// By which rule `asking` is refused at `asked`.
async fn refused(asking: &Relay, asked: &Domain) -> PeerRule {
    let question = KeysRequest::Alias("bob".parse().expect("a name"));
    match asking.federation().keys(asked, question).await {
        Err(PeerError::Refused { rule, .. }) => rule,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn a_relay_is_cut_off_when_it_is_denied_and_called_when_it_is_allowed() {
    let town = Town::new().await;
    let mut a = Relay::new(&town, "a.localhost", 1);
    let mut b = Relay::new(&town, "b.localhost", 2);
    a.start(&town).await;
    b.start(&town).await;
    a.post(&b, "one");
    b.receives(1).await;
    a.federation().set_policy(Policy::Deny([b.domain.clone()].into()));
    let ended = async {
        while b.federation().peers().iter().any(|peer| peer.connected) {
            tokio::task::yield_now().await;
        }
    };
    soon("the end of the session, without anybody asking anything", ended).await;
    assert_eq!(refused(&b, &a.domain).await, PeerRule::NotAllowed);
    assert_eq!(refused(&a, &b.domain).await, PeerRule::NotAllowed);
    a.post(&b, "two");
    assert_eq!(a.memory.waiting(), 1, "what waits stays");
    a.federation().set_policy(Policy::Open);
    assert_eq!(b.receives(2).await, ["one", "two"]);
    a.stop().await;
    b.stop().await;
}
