//! The relay network in one thread: 3 to 10 relays with their devices and rooms, under a seeded network, clock and disk.
//!
//! What decides is the code of the house: the link's sender and receiver with signed envelopes, the ledger of lanes,
//! backoff and policy, rosters and placement, number windows and quotas. What the simulation brings is what the programs
//! do around it: stores with points in time at which writes become durable, connections, sockets, a hub without MLS.
//!
//! A seed is a world. `POSTHOUSE_SIM_SEED=17` replays one and prints what happens; `POSTHOUSE_SIM_SEEDS=10000` runs as
//! many as one likes; besides those a run tries some from a place of its own, which `POSTHOUSE_SIM_FROM` repeats.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says so by panicking, and a replay by printing"
)]

mod cast;
mod devices;
mod faults;
mod follow;
mod incoming;
mod laws;
mod net;
mod outgoing;
mod plan;
mod relay;
mod rng;
mod sessions;
mod sockets;
mod store;
mod trace;
mod wire;
mod world;
mod writer;

use std::time::Instant;

use laws::Broken;
use plan::{Mutation, Plan};
use trace::Tracing;
use world::World;

/// Seeds that every test run tries, the first of all.
const SEEDS: u64 = 200;
/// And those that it tries besides, from where nobody has been.
const NEW_SEEDS: u64 = 50;

fn run(seed: u64, mutation: Option<Mutation>, tracing: Tracing, strict: bool) -> World {
    let mut world = World::new(Plan::of(seed, mutation), tracing, strict);
    world.run();
    world
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn told(seed: u64, broken: &Broken) -> String {
    format!(
        "POSTHOUSE_SIM_SEED={seed}: {} ({}), at {} ms\nreplay it: POSTHOUSE_SIM_SEED={seed} cargo test -p posthouse-tests \
         --test sim laws -- --nocapture",
        broken.law, broken.detail, broken.at
    )
}

#[test]
fn laws_hold_for_all_seeds() {
    if let Some(seed) = variable("POSTHOUSE_SIM_SEED") {
        let world = run(seed, None, Tracing::Print, true);
        println!("trace {}", hex::encode(world.trace.hash()));
        if let Some(broken) = &world.broken {
            panic!("{}", told(seed, broken));
        }
        return;
    }
    let from = variable("POSTHOUSE_SIM_FROM").unwrap_or_else(|| u64::from(rand::random::<u32>()) + SEEDS);
    let known = variable("POSTHOUSE_SIM_SEEDS").unwrap_or(SEEDS);
    let seeds: Vec<u64> = (0..known).chain(from..from + NEW_SEEDS).collect();
    println!("the first {known} seeds, and {NEW_SEEDS} from POSTHOUSE_SIM_FROM={from} on");
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut sums = [0_u64; 8];
    let mut failed = Vec::new();
    std::thread::scope(|scope| {
        let part = |nth: usize| {
            let seeds = seeds.iter().copied().skip(nth).step_by(threads);
            move || {
                let mut sums = [0_u64; 8];
                let mut failed = Vec::new();
                for seed in seeds {
                    let world = run(seed, None, Tracing::Off, true);
                    let counts = [
                        world.relays.len() as u64,
                        world.events,
                        world.envelopes,
                        world.laws.delivered,
                        world.laws.notices,
                        world.laws.new_lives,
                        world.faults,
                        world.crashes,
                    ];
                    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                    failed.extend(world.broken.map(|broken| (seed, broken)));
                }
                (sums, failed)
            }
        };
        let parts: Vec<_> = (0..threads).map(|nth| scope.spawn(part(nth))).collect();
        for part in parts {
            let (some, few) = part.join().expect("a world does not panic");
            sums.iter_mut().zip(some).for_each(|(sum, count)| *sum += count);
            failed.extend(few);
        }
    });
    let [relays, events, envelopes, delivered, notices, lives, faults, crashes] = sums;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{} seeds in {seconds:.1} s ({:.0} a second): {relays} relays, {events} events, {envelopes} envelopes, \
         {delivered} deliveries, {notices} notices, {lives} new lives of lanes, {faults} faults, of which {crashes} crashes",
        seeds.len(),
        seeds.len() as f64 / seconds
    );
    failed.sort_by_key(|(seed, _)| *seed);
    for (seed, broken) in failed.iter().take(10) {
        println!("{}", told(*seed, broken));
    }
    assert!(failed.is_empty(), "{} of {} seeds break a law", failed.len(), seeds.len());
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..10 {
        let (one, two) = (run(seed, None, Tracing::Hash, true), run(seed, None, Tracing::Hash, true));
        assert!(one.trace.lines > 50, "much happens");
        assert_eq!(one.trace.hash(), two.trace.hash(), "seed {seed}");
        assert_ne!(one.trace.hash(), run(seed + 10, None, Tracing::Hash, true).trace.hash());
    }
}

/// The first seed by which a planted bug is found.
fn find(mutation: Mutation, strict: bool) {
    let search = |seed| run(seed, Some(mutation), Tracing::Off, strict).broken.map(|broken| (seed, broken));
    let found = (0..SEEDS).find_map(search);
    let (seed, broken) = found.unwrap_or_else(|| panic!("{mutation:?} is not found within {SEEDS} seeds"));
    println!("{mutation:?}: POSTHOUSE_SIM_SEED={seed}: {} ({})", broken.law, broken.detail);
}

#[test]
fn planted_bugs_are_found() {
    for mutation in Mutation::ALL {
        find(mutation, true);
    }
}

#[test]
fn planted_bugs_show_in_what_comes_of_them() {
    // The law that looks at each acknowledgement as it goes out would find the first one at once.
    for mutation in [Mutation::AcknowledgeBeforeCommit, Mutation::ForgetTheCursor] {
        find(mutation, false);
    }
}
