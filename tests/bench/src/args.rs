//! What the command line says.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use posthouse_spec::limits::SUBMIT_WINDOW;

/// A load to put on real relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Pairs of people on one relay, in a closed loop.
    Pairs,
    /// The same across two relays.
    Federation,
    /// Connections that do nothing.
    Idle,
    /// The last relay is down while messages are sent to it from others.
    Outage,
    /// One relay of many is dead: what the others feel of it.
    DeadPeer,
    /// A hostile relay floods one of two: what people there feel of it.
    Flood,
}

impl Scenario {
    /// The stable name, as output and command line give it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Federation => "federation",
            Self::Idle => "idle",
            Self::Outage => "outage",
            Self::DeadPeer => "dead-peer",
            Self::Flood => "flood",
        }
    }
}

/// Puts load on real relay processes over their real protocol, and prints what it costs.
///
/// The relays are built as they ship. Relays run on core 0 and the generator on core 1, where `taskset` exists.
#[derive(Debug, Clone, Parser)]
#[command(name = "posthouse-bench", version)]
pub(crate) struct Args {
    /// What to run; all, if none is named.
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Print one JSON object a line instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Pairs of people who talk (pairs, federation, flood).
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) pairs: u32,
    /// Messages of one sender that may be under way at once (pairs, federation).
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=SUBMIT_WINDOW))]
    pub(crate) outstanding: u64,
    /// How long is measured, seconds, after a warm-up (pairs, federation).
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// Connections that do nothing (idle).
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=30_000))]
    pub(crate) connections: u32,
    /// Relays that send to the one that is down (outage).
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) origins: u32,
    /// How long the last relay is down, seconds (outage).
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub(crate) down: u64,
    /// Messages that each of the others sends while it is down (outage).
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) messages: u32,
    /// Relays that one relay sends to (dead-peer).
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(2..=200))]
    pub(crate) peers: u32,
    /// Messages a second to each of them, or of each pair (dead-peer, flood).
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rate: u32,
    /// How often it is measured without and with what is wrong (dead-peer, flood).
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Flood the relay whose manifest is at this URL, until this process is ended: the scenario starts itself so.
    #[arg(long, hide = true)]
    pub(crate) flood_at: Option<String>,
    /// Measure this program, instead of building the relay as it ships.
    #[arg(long, value_name = "FILE")]
    pub(crate) relay: Option<PathBuf>,
}

impl Args {
    /// What to run, in the order in which it was named.
    pub(crate) fn scenarios(&self) -> &[Scenario] {
        if self.scenarios.is_empty() { Scenario::value_variants() } else { &self.scenarios }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"posthouse-bench").chain(words))
    }

    #[test]
    fn without_words_everything_runs() {
        assert_eq!(parse(&[]).unwrap().scenarios().len(), Scenario::value_variants().len());
    }

    #[test]
    fn named_scenarios_run_in_their_order() {
        let args = parse(&["outage", "pairs", "--json"]).unwrap();
        assert_eq!(args.scenarios(), [Scenario::Outage, Scenario::Pairs]);
        assert!(args.json);
    }

    #[test]
    fn wrong_options_are_refused_with_the_range() {
        for words in [&["--outstanding", "257"][..], &["--pairs", "0"], &["--seconds", "x"], &["pears"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        let error = parse(&["--outstanding", "257"]).unwrap_err().to_string();
        assert!(error.contains("1..=256"), "{error}");
    }
}
