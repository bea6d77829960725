//! The list of relays, in columns.

use posthouse_spec::Millis;

use super::when::age;
use crate::peers::facts::{State, Summary};

/// Longest error in the list, characters; `show` has all of it.
const MAX_ERROR: usize = 80;

/// The list in columns as wide as what stands in them.
pub(super) fn list(all: &[Summary], now: Millis) -> String {
    if all.is_empty() {
        return "no other relay is known yet".to_owned();
    }
    let head = ["RELAY", "STATE", "WAITING", "LAG", "LAST ERROR"].map(str::to_owned);
    let rows: Vec<[String; 5]> =
        std::iter::once(head).chain(all.iter().map(|relay| row(relay, now))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 5]| {
        let [domain, state, waiting, lag, error] = row;
        let [a, b, c, d] = widths;
        format!("{domain:a$}  {state:b$}  {waiting:c$}  {lag:d$}  {error}").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(relay: &Summary, now: Millis) -> [String; 5] {
    let waiting: Vec<String> =
        relay.backlog.iter().map(|lane| format!("{} {}", lane.items, lane.class)).collect();
    let mut error = relay.last_error.clone().unwrap_or_default();
    if error.chars().count() > MAX_ERROR {
        error = error.chars().take(MAX_ERROR - 1).chain(['…']).collect();
    }
    [
        relay.domain.clone(),
        state(&relay.state, now),
        if waiting.is_empty() { "-".to_owned() } else { waiting.join(", ") },
        relay.lag_ms().map_or_else(|| "-".to_owned(), age),
        error,
    ]
}

/// A state in a few words.
pub(super) fn state(state: &State, now: Millis) -> String {
    match state {
        State::Connected { via, .. } => format!("connected ({via})"),
        State::Waiting { until } => format!("waiting {}", age(until.saturating_sub(now.0))),
        State::Denied => "denied".to_owned(),
        State::CutOff { until } => format!("cut off {}", age(until.saturating_sub(now.0))),
        State::Idle => "not connected".to_owned(),
        State::NotRunning => "no relay runs".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::facts::Backlog;

    #[test]
    fn columns_stand_below_each_other() {
        let relay = |domain: &str, items| Summary {
            domain: domain.to_owned(),
            state: State::Waiting { until: 91_000 },
            rule: None,
            backlog: vec![Backlog { class: "messages".to_owned(), items, oldest_ms: Some(65_000) }],
            last_error: Some("x".repeat(200)),
        };
        let text = list(&[relay("a.example", 7), relay("a-longer-name.example", 12_345)], Millis(1_000));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        for column in ["waiting 1 min 30 s", "1 min 5 s", "xxx"] {
            assert_eq!(lines[1].find(column), lines[2].find(column), "{text}");
        }
        assert!(lines.iter().all(|line| line.chars().count() < 170), "{text}");
    }
}
