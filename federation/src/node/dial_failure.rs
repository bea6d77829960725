//! Why a dial came to nothing, in words for the operator.

use libp2p::swarm::DialError;

/// Why a dial came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DialFailure {
    /// This relay itself had no room for it, which says nothing of the other.
    #[error("{0}")]
    Crowded(String),
    /// The node was not reached.
    #[error("{0}")]
    Failed(String),
}

impl DialFailure {
    /// What libp2p says, in words.
    pub(super) fn of(error: &DialError) -> Self {
        let why = match error {
            DialError::Denied { cause } => {
                return Self::Crowded(format!("this relay has no room for another connection: {cause}"));
            }
            DialError::NoAddresses => "its manifest names no address that can be dialled".to_owned(),
            DialError::WrongPeerId { obtained, address } => {
                format!("at {address} another node answers ({obtained})")
            }
            DialError::Transport(failures) => {
                let each = failures.iter().map(|(address, error)| format!("{address}: {}", cause(error)));
                each.collect::<Vec<_>>().join("; ")
            }
            other => other.to_string(),
        };
        Self::Failed(why)
    }

    /// Two ways to one relay have failed. It was not really tried if either was not.
    pub(crate) fn and(self, other: Self) -> Self {
        let words = format!("{self}; {other}");
        match (self, other) {
            (Self::Failed(_), Self::Failed(_)) => Self::Failed(words),
            _ => Self::Crowded(words),
        }
    }
}

impl From<String> for DialFailure {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// The innermost cause is what the operator can do something about.
pub(super) fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_not_made_by_one_way_has_not_failed() {
        let [crowded, failed] = [DialFailure::Crowded, DialFailure::Failed].map(|of| of("why".into()));
        assert_eq!(failed.clone().and(failed.clone()), DialFailure::Failed("why; why".into()));
        assert_eq!(failed.and(crowded), DialFailure::Crowded("why; why".into()));
    }
}
