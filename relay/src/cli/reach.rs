//! `posthouse-relay reach`: how this relay can be reached, as far as other relays have tried.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::options::Options;
use super::terminal::say;
use crate::control::{Reach, Running};

/// Asks the running relay.
pub(super) async fn reach(options: &Options, json: bool) -> anyhow::Result<ExitCode> {
    let settings = options.config()?.settings()?;
    let reach: Reach = Running::on(&settings.data).await?.get("/reach").await?;
    say(&if json { serde_json::to_string(&reach)? } else { words(&reach) })?;
    Ok(ExitCode::SUCCESS)
}

fn words(reach: &Reach) -> String {
    let mut text = match reach.standing.as_str() {
        "public" => "other relays reach this one directly".to_owned(),
        "private" => "other relays have tried, and none reached this one directly".to_owned(),
        _ => "no other relay has tried yet to reach this one directly".to_owned(),
    };
    // Writing to a text never fails.
    for test in &reach.tested {
        let what = if test.reachable { "reached" } else { "NOT reached" };
        let whose = if test.announced { "announced" } else { "seen by others, not announced" };
        let _ = write!(text, "\n  {}  {what} ({whose})", test.address);
    }
    for through in &reach.through {
        let _ = match (&through.since, &through.trouble) {
            (Some(_), _) => write!(text, "\n  through {}  holds the way open", through.relay),
            (None, Some(why)) => write!(text, "\n  through {}  NOT: {why}", through.relay),
            (None, None) => write!(text, "\n  through {}  NOT yet", through.relay),
        };
    }
    let unreachable = reach.tested.iter().any(|test| test.announced && !test.reachable);
    if unreachable {
        text.push_str(
            "\nopen the ports of what is announced (UDP for QUIC, TCP), mend peers.announce, or set circuits.through",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Tested, Through};

    #[test]
    fn what_is_announced_and_not_reached_comes_with_advice() {
        let test = |announced, reachable| Tested {
            address: "/ip4/1.1.1.1/tcp/5".into(),
            announced,
            reachable,
            at: 1,
        };
        let reach = |tested| Reach { standing: "private".into(), tested, through: Vec::new() };
        assert!(words(&reach(vec![test(true, false)])).contains("open the ports"));
        assert!(!words(&reach(vec![test(false, false)])).contains("open the ports"));
        let through = Through { relay: "p.example".into(), since: None, trouble: Some("it is down".into()) };
        let home = Reach { standing: "private".into(), tested: Vec::new(), through: vec![through] };
        assert!(words(&home).contains("through p.example  NOT: it is down"));
    }
}
