//! With whom a relay federates: a pure decision on a domain's name.

use std::collections::BTreeSet;

use posthouse_spec::Domain;

/// The operator's choice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Policy {
    /// Everybody.
    #[default]
    Open,
    /// These domains and no others.
    Allow(BTreeSet<Domain>),
    /// Everybody but these domains.
    Deny(BTreeSet<Domain>),
}

impl Policy {
    /// Whether envelopes and requests may pass between this relay and `domain`, in both directions.
    #[must_use]
    pub fn permits(&self, domain: &Domain) -> bool {
        match self {
            Self::Open => true,
            Self::Allow(domains) => domains.contains(domain),
            Self::Deny(domains) => !domains.contains(domain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        text.parse().expect("a domain of the test")
    }

    #[test]
    fn an_allow_list_admits_its_own_only() {
        let policy = Policy::Allow([domain("a.example")].into());
        assert!(policy.permits(&domain("a.example")));
        assert!(!policy.permits(&domain("b.example")));
        // A list names relays, not zones.
        assert!(!policy.permits(&domain("sub.a.example")));
    }

    #[test]
    fn a_deny_list_turns_away_its_own_only() {
        let policy = Policy::Deny([domain("a.example")].into());
        assert!(!policy.permits(&domain("a.example")));
        assert!(policy.permits(&domain("b.example")));
        assert!(Policy::Open.permits(&domain("a.example")));
    }
}
