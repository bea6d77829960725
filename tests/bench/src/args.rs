//! What the command line says.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use posthouse_spec::limits::SUBMIT_WINDOW;

use crate::require::Requirement;

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

    /// The figures of its row that can be required to keep a bound.
    pub(crate) fn figures(self) -> &'static [&'static str] {
        match self {
            Self::Pairs | Self::Federation => {
                &["delivered_per_s", "relay_cpu_s_per_1000", "p50_ms", "p95_ms", "p99_ms"]
            }
            Self::Idle => &["rss_kib_per_connection", "relay_cpu_ms_per_login"],
            Self::Outage => &[
                "caught_up_s",
                "caught_up_since_start_s",
                "delivered_per_s",
                "relay_cpu_s_per_1000",
                "peak_growth_mib_of_origins",
                "peak_growth_mib_of_the_returned",
            ],
            Self::DeadPeer => &["ratio", "p99_ms"],
            Self::Flood => &["ratio", "p99_ms", "peak_growth_mib", "rules_broken", "flooded_per_s"],
        }
    }
}

/// How the dead relay is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Death {
    /// Its process is gone: whoever calls is refused at once.
    Killed,
    /// Its process is stopped: what is sent to it is swallowed, and nothing ever answers.
    Stopped,
}

impl Death {
    /// The stable name, as output and command line give it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
        }
    }
}

/// What a relay is flooded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deluge {
    /// What breaks rules: mute streams, garbage, forged envelopes. Whoever sends it is soon cut off, and goes on trying.
    Junk,
    /// What breaks none: as many signed envelopes, canaries, look-ups and hellos as one relay may send.
    Valid,
}

impl Deluge {
    /// The stable name, as output and command line give it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Junk => "junk",
            Self::Valid => "valid",
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
    /// How the dead relay is dead (dead-peer).
    #[arg(long, value_enum, default_value = "killed")]
    pub(crate) death: Death,
    /// What the relay is flooded with (flood).
    #[arg(long, value_enum, default_value = "junk")]
    pub(crate) deluge: Deluge,
    /// Fail with exit code 1 unless a figure keeps a bound: 'ratio<=1.2', 'delivered_per_s>=5000'. May be given more than once;
    /// each holds for all scenarios that measure the figure, which has its name from --json.
    #[arg(long, value_name = "FIGURE<=NUMBER")]
    pub(crate) require: Vec<Requirement>,
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

    /// The requirements on one scenario's row.
    pub(crate) fn required_of(&self, scenario: Scenario) -> impl Iterator<Item = &Requirement> {
        self.require.iter().filter(move |required| scenario.figures().contains(&required.figure()))
    }

    /// Checks that each requirement is on a figure that is going to be measured: one that is not would always hold.
    pub(crate) fn check_requirements(&self) -> Result<()> {
        for required in &self.require {
            let measured = |scenario: &Scenario| scenario.figures().contains(&required.figure());
            if !self.scenarios().iter().any(measured) {
                let known: Vec<String> = self
                    .scenarios()
                    .iter()
                    .map(|scenario| format!("{} has {}", scenario.name(), scenario.figures().join(", ")))
                    .collect();
                bail!("nothing that is to run measures `{}`; {}", required.figure(), known.join("; "));
            }
        }
        Ok(())
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

    #[test]
    fn a_requirement_holds_for_the_scenarios_that_measure_its_figure() {
        let args =
            parse(&["outage", "flood", "--require", "ratio<=2", "--require", "caught_up_s<=5"]).unwrap();
        args.check_requirements().unwrap();
        let of = |scenario| args.required_of(scenario).map(Requirement::figure).collect::<Vec<_>>();
        assert_eq!(of(Scenario::Outage), ["caught_up_s"]);
        assert_eq!(of(Scenario::Flood), ["ratio"]);
    }

    #[test]
    fn a_requirement_on_what_nobody_measures_is_refused_before_anything_runs() {
        let args = parse(&["outage", "--require", "ratio<=2"]).unwrap();
        let error = args.check_requirements().unwrap_err().to_string();
        assert!(error.contains("`ratio`") && error.contains("outage has caught_up_s"), "{error}");
    }
}
