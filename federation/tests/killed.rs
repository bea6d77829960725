//! A relay that vanishes without a word, as by `kill -9`: its runtime is torn down under it, so nothing is said goodbye.

mod common;

use common::{Relay, Town, soon};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("item {n}")).collect()
}

fn story(transport: &[&str], with_neighbours: bool, rounds: u32) {
    let here = runtime();
    let (town, mut a) = here.block_on(async {
        let town = Town::new().await;
        let mut a = Relay::new(&town, "a.localhost", 1);
        a.start(&town).await;
        (town, a)
    });
    let mut b = Relay::new(&town, "b.localhost", 2);
    b.listen = transport.iter().map(|text| (*text).to_owned()).collect();
    if with_neighbours {
        b.memory.set_neighbours(&["a.localhost"]);
    }
    let mut there = runtime();
    there.block_on(b.start(&town));
    let mut sent = 0;
    for round in 0..rounds {
        here.block_on(async {
            for text in numbered(sent, sent + 25) {
                a.post(&b, &text);
            }
            sent += 25;
            // Killed with everything delivered, and killed in the middle.
            b.receives(if round % 2 == 0 { sent } else { sent - 20 }).await;
        });
        b.forget();
        there.shutdown_background();
        here.block_on(async {
            for text in numbered(sent, sent + 25) {
                a.post(&b, &text);
            }
            sent += 25;
        });
        there = runtime();
        there.block_on(b.restart(&town));
        let received = here.block_on(b.receives(sent));
        assert_eq!(received, numbered(0, sent));
    }
    here.block_on(async {
        soon("the outbox to empty", a.memory.until(|memory| memory.waiting() == 0)).await;
        a.stop().await;
    });
    there.block_on(b.stop());
}

#[test]
fn the_backlog_comes_as_soon_as_the_killed_relay_calls() {
    story(&["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"], true, 4);
}

#[test]
fn over_quic_alone_too() {
    story(&["/ip4/127.0.0.1/udp/0/quic-v1"], true, 4);
}

#[test]
fn over_tcp_alone_too() {
    story(&["/ip4/127.0.0.1/tcp/0"], true, 4);
}

#[test]
fn and_even_where_it_never_calls() {
    story(&["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"], false, 1);
}
