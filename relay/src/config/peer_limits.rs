//! `[peer_limits]`: how much one other relay may have of this one.

use posthouse_federation::PeerLimits;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// A mebibyte, bytes.
const MIB: u64 = 1024 * 1024;

/// The limits, as they were written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeerLimitsConfig {
    /// Messages a second from one relay.
    pub messages_per_second: u64,
    /// Mebibytes a second on each of its lanes.
    pub mb_per_second: u64,
    /// Questions of each kind a second from one relay.
    pub requests_per_second: u64,
    /// Connections a minute from one public address.
    pub connections_per_minute: u64,
}

impl Default for PeerLimitsConfig {
    fn default() -> Self {
        let limits = PeerLimits::default();
        Self {
            messages_per_second: limits.messages_per_second,
            mb_per_second: limits.bytes_per_second / MIB,
            requests_per_second: limits.requests_per_second,
            connections_per_minute: limits.connections_per_minute,
        }
    }
}

impl PeerLimitsConfig {
    /// Checks the form of every value.
    pub(super) fn settings(&self, problems: &mut Vec<Problem>) -> PeerLimits {
        let each = [
            ("peer_limits.messages_per_second", self.messages_per_second),
            ("peer_limits.mb_per_second", self.mb_per_second),
            ("peer_limits.requests_per_second", self.requests_per_second),
            ("peer_limits.connections_per_minute", self.connections_per_minute),
        ];
        for (key, _) in each.iter().filter(|(_, limit)| *limit == 0) {
            let fix =
                "set it to 1 or more; to federate with nobody, set peers.policy = \"allow\" and no domains";
            problems.push(Problem::new(*key, "with 0 no other relay would be served", fix));
        }
        PeerLimits {
            messages_per_second: self.messages_per_second,
            bytes_per_second: self.mb_per_second.saturating_mul(MIB),
            requests_per_second: self.requests_per_second,
            connections_per_minute: self.connections_per_minute,
        }
    }
}

/// The section of a commented configuration that says what `config` says.
pub(super) fn section(config: &PeerLimitsConfig) -> String {
    let PeerLimitsConfig { messages_per_second, mb_per_second, requests_per_second, connections_per_minute } =
        config;
    format!(
        r"[peer_limits]
# What one other relay may have of this one in a second: messages, mebibytes on each of its lanes, and questions of each
# kind. A lane that brings more is read later, and nothing is lost; a question on top of these is refused. A relay that breaks
# rules is slowed, then cut off and let back after a time: `posthouse-relay peers show DOMAIN` says how it stands.
messages_per_second = {messages_per_second}
mb_per_second = {mb_per_second}
requests_per_second = {requests_per_second}
# Connections that one public address may make in a minute.
connections_per_minute = {connections_per_minute}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_federation() {
        let mut problems = Vec::new();
        assert_eq!(PeerLimitsConfig::default().settings(&mut problems), PeerLimits::default());
        assert!(problems.is_empty());
    }

    #[test]
    fn nothing_at_all_is_no_limit_but_a_mistake() {
        let mut problems = Vec::new();
        PeerLimitsConfig { mb_per_second: 0, ..PeerLimitsConfig::default() }.settings(&mut problems);
        assert!(problems.iter().any(|problem| problem.to_string().contains("peer_limits.mb_per_second")));
    }
}
