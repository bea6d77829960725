//! With whom a relay federates: a pure decision on a domain's name.
//!
//! The configuration has a policy for everybody. What the operator says of one domain while the relay runs is a rule, and
//! a rule goes before the policy; together they are a policy again.

use std::collections::{BTreeMap, BTreeSet};

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

/// The operator's word on one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Federate with it, whatever the policy says.
    Allow,
    /// Do not, whatever the policy says.
    Deny,
}

impl Rule {
    /// Its name, as commands and stores write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// The rule of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Allow, Self::Deny].into_iter().find(|rule| rule.name() == name)
    }
}

impl Policy {
    /// The policy's name, as the configuration writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Allow(_) => "allow",
            Self::Deny(_) => "deny",
        }
    }

    /// The domains that the policy names.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        match self {
            Self::Open => None,
            Self::Allow(domains) | Self::Deny(domains) => Some(domains),
        }
        .into_iter()
        .flatten()
    }

    /// The policy that this one becomes with the operator's rules on single domains.
    #[must_use]
    pub fn with_rules(&self, rules: &BTreeMap<Domain, Rule>) -> Self {
        let of = |wanted: Rule| {
            rules.iter().filter(move |(_, rule)| **rule == wanted).map(|(domain, _)| domain.clone())
        };
        let (allowed, denied): (BTreeSet<_>, BTreeSet<_>) =
            (of(Rule::Allow).collect(), of(Rule::Deny).collect());
        match self {
            Self::Open if denied.is_empty() => Self::Open,
            Self::Open => Self::Deny(denied),
            Self::Allow(domains) => Self::Allow(&(domains | &allowed) - &denied),
            Self::Deny(domains) => Self::Deny(&(domains | &denied) - &allowed),
        }
    }

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
    fn a_rule_on_a_domain_goes_before_the_policy() {
        let [a, b, c] = ["a.example", "b.example", "c.example"].map(domain);
        let rules = BTreeMap::from([(a.clone(), Rule::Allow), (b.clone(), Rule::Deny)]);
        for policy in [
            Policy::Open,
            Policy::Allow(BTreeSet::default()),
            Policy::Allow([b.clone(), c.clone()].into()),
            Policy::Deny(BTreeSet::default()),
            Policy::Deny([a.clone(), c.clone()].into()),
        ] {
            let ruled = policy.with_rules(&rules);
            assert!(ruled.permits(&a), "{policy:?}");
            assert!(!ruled.permits(&b), "{policy:?}");
            assert_eq!(ruled.permits(&c), policy.permits(&c), "nobody said anything of it: {policy:?}");
            assert_eq!(policy.with_rules(&BTreeMap::new()).permits(&b), policy.permits(&b));
        }
    }

    #[test]
    fn a_deny_list_turns_away_its_own_only() {
        let policy = Policy::Deny([domain("a.example")].into());
        assert!(!policy.permits(&domain("a.example")));
        assert!(policy.permits(&domain("b.example")));
        assert!(Policy::Open.permits(&domain("a.example")));
    }
}
