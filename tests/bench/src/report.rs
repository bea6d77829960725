//! What is printed: a table for people, or a line of JSON for each run.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::args::Scenario;
use crate::require::{Judged, Requirement};
use crate::stats::Tally;

/// What one scenario found. The names are stable; what a scenario does not measure is null.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The scenario's name.
    pub(crate) scenario: &'static str,
    /// Messages that arrived each second.
    pub(crate) delivered_per_s: Option<f64>,
    /// CPU seconds of all relays together for 1,000 messages that arrived.
    pub(crate) relay_cpu_s_per_1000: Option<f64>,
    /// Median latency, milliseconds.
    pub(crate) p50_ms: Option<f64>,
    /// Latency that 95 of 100 keep within, milliseconds.
    pub(crate) p95_ms: Option<f64>,
    /// Latency that 99 of 100 keep within, milliseconds.
    pub(crate) p99_ms: Option<f64>,
    /// The relay's memory for each idle connection, KiB.
    pub(crate) rss_kib_per_connection: Option<f64>,
    /// CPU milliseconds of the relay for each login with its connection.
    pub(crate) relay_cpu_ms_per_login: Option<f64>,
    /// Seconds from the other relay's return until all had arrived.
    pub(crate) caught_up_s: Option<f64>,
    /// Messages that were sent and did not arrive.
    pub(crate) lost: Option<u64>,
    /// Arrivals of a message that had arrived before.
    pub(crate) duplicated: Option<u64>,
    /// Messages that arrived behind a later one.
    pub(crate) reordered: Option<u64>,
    /// With what it was measured, and the figures that this scenario alone has.
    pub(crate) settings: Map<String, Value>,
    /// What was required of it.
    pub(crate) required: Vec<Judged>,
}

impl Row {
    /// A row in which nothing has been measured yet.
    pub(crate) fn new(scenario: Scenario, settings: Map<String, Value>) -> Self {
        Self {
            scenario: scenario.name(),
            delivered_per_s: None,
            relay_cpu_s_per_1000: None,
            p50_ms: None,
            p95_ms: None,
            p99_ms: None,
            rss_kib_per_connection: None,
            relay_cpu_ms_per_login: None,
            caught_up_s: None,
            lost: None,
            duplicated: None,
            reordered: None,
            settings,
            required: Vec::new(),
        }
    }

    /// The same row with what became of the messages.
    pub(crate) fn with_tally(mut self, tally: &Tally) -> Self {
        self.lost = Some(tally.lost);
        self.duplicated = Some(tally.duplicated);
        self.reordered = Some(tally.reordered);
        self
    }

    /// Holds requirements against the row.
    pub(crate) fn judge<'a>(
        &mut self,
        requirements: impl Iterator<Item = &'a Requirement>,
    ) -> serde_json::Result<()> {
        let row = serde_json::to_value(&*self)?;
        let figure = |name: &str| row.get(name).or_else(|| self.settings.get(name))?.as_f64();
        self.required = requirements.map(|required| required.judge(figure(required.figure()))).collect();
        Ok(())
    }

    /// Whether all that was required was found.
    pub(crate) fn keeps_requirements(&self) -> bool {
        self.required.iter().all(|judged| judged.met)
    }

    /// Whether a message was lost, came twice, or came out of order.
    pub(crate) fn is_broken(&self) -> bool {
        [self.lost, self.duplicated, self.reordered].into_iter().flatten().any(|count| count > 0)
    }
}

/// Writes one line of JSON.
pub(crate) fn json(row: &Row, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    writeln!(out)
}

/// Writes a table, and below it with what each row was measured.
pub(crate) fn table(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let head = [
        "scenario",
        "delivered/s",
        "CPU s/1,000",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "KiB/conn",
        "CPU ms/login",
        "caught up s",
        "lost",
        "twice",
        "late",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    for row in rows {
        let number =
            |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
        let count = |value: Option<u64>| value.map_or("-".into(), |value| value.to_string());
        lines.push([
            row.scenario.to_owned(),
            number(row.delivered_per_s, 0),
            number(row.relay_cpu_s_per_1000, 4),
            number(row.p50_ms, 2),
            number(row.p95_ms, 2),
            number(row.p99_ms, 2),
            number(row.rss_kib_per_connection, 1),
            number(row.relay_cpu_ms_per_login, 2),
            number(row.caught_up_s, 2),
            count(row.lost),
            count(row.duplicated),
            count(row.reordered),
        ]);
    }
    let widths: Vec<usize> = (0..head.len())
        .map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0))
        .collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  "))?;
    }
    for row in rows {
        let settings: Vec<String> =
            row.settings.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
        writeln!(out, "\n{}: {}", row.scenario, settings.join(", "))?;
        for judged in &row.required {
            writeln!(out, "{}: {judged}", row.scenario)?;
        }
    }
    Ok(())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let settings = [("tls".to_owned(), Value::Bool(false))].into_iter().collect();
        let mut row = Row::new(Scenario::Pairs, settings);
        row.delivered_per_s = Some(1234.56);
        row
    }

    #[test]
    fn every_name_stands_in_the_json_even_where_nothing_was_measured() {
        let mut out = Vec::new();
        json(&row(), &mut out).unwrap();
        let value: Value = serde_json::from_slice(&out).unwrap();
        for name in [
            "scenario",
            "delivered_per_s",
            "relay_cpu_s_per_1000",
            "p50_ms",
            "p95_ms",
            "p99_ms",
            "rss_kib_per_connection",
            "relay_cpu_ms_per_login",
            "caught_up_s",
            "lost",
            "duplicated",
            "reordered",
            "settings",
            "required",
        ] {
            assert!(value.get(name).is_some(), "{name} is missing");
        }
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
    }

    #[test]
    fn the_table_lines_up() {
        let mut out = Vec::new();
        table(&[row()], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].len(), lines[1].len());
        assert!(lines[1].contains("1235"));
        assert!(text.ends_with("pairs: tls false\n"));
    }

    #[test]
    fn requirements_are_held_against_columns_and_settings_alike() {
        let requirements: Vec<Requirement> =
            ["delivered_per_s>=1000", "ratio<=1.2", "p99_ms<=5"].map(|text| text.parse().unwrap()).into();
        let mut row = row();
        row.settings.insert("ratio".to_owned(), Value::from(1.1));
        row.judge(requirements.iter()).unwrap();
        let met: Vec<bool> = row.required.iter().map(|judged| judged.met).collect();
        assert_eq!(met, [true, true, false], "what was not measured keeps no bound");
        assert!(!row.keeps_requirements());
        let mut out = Vec::new();
        table(&[row], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("pairs: required p99_ms<=5, found nothing: NOT MET\n"), "{text}");
    }

    #[test]
    fn a_lost_message_breaks_a_run() {
        let tally = Tally { lost: 1, ..Tally::default() };
        assert!(!row().is_broken());
        assert!(row().with_tally(&tally).is_broken());
    }
}
