//! What a run is required to show: a bound on one of its figures, such as `ratio<=1.2`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, bail, ensure};
use serde::Serialize;

/// A figure by its name, and the bound that it has to keep.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Requirement {
    figure: String,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// A requirement, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Judged {
    /// As it was written.
    pub(crate) requirement: String,
    /// The figure; null where nothing could be measured.
    pub(crate) found: Option<f64>,
    /// Whether it keeps the bound.
    pub(crate) met: bool,
}

impl Requirement {
    /// The figure's name.
    pub(crate) fn figure(&self) -> &str {
        &self.figure
    }

    /// Holds the bound against what was found. A figure that is not there keeps none.
    pub(crate) fn judge(&self, found: Option<f64>) -> Judged {
        let met = found.is_some_and(|found| match self.bound {
            Bound::AtMost(bound) => found <= bound,
            Bound::AtLeast(bound) => found >= bound,
        });
        Judged { requirement: self.to_string(), found, met }
    }
}

impl FromStr for Requirement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (figure, number, bound) = if let Some((figure, number)) = text.split_once("<=") {
            (figure, number, Bound::AtMost as fn(f64) -> Bound)
        } else if let Some((figure, number)) = text.split_once(">=") {
            (figure, number, Bound::AtLeast as fn(f64) -> Bound)
        } else {
            bail!("`{text}` bounds nothing: write 'FIGURE<=NUMBER' or 'FIGURE>=NUMBER', in quotes");
        };
        let number: f64 = number.trim().parse().with_context(|| format!("`{number}` is no number"))?;
        ensure!(number.is_finite(), "`{number}` is no bound: write a finite number");
        Ok(Self { figure: figure.trim().to_owned(), bound: bound(number) })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bound {
            Bound::AtMost(bound) => write!(f, "{}<={bound}", self.figure),
            Bound::AtLeast(bound) => write!(f, "{}>={bound}", self.figure),
        }
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.map_or("nothing".to_owned(), |found| found.to_string());
        let met = if self.met { "met" } else { "NOT MET" };
        write!(f, "required {}, found {found}: {met}", self.requirement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(requirement: &str, found: Option<f64>) -> bool {
        requirement.parse::<Requirement>().unwrap().judge(found).met
    }

    #[test]
    fn a_bound_itself_is_kept_and_what_lies_beyond_is_not() {
        assert!(met("ratio<=1.2", Some(1.2)) && !met("ratio<=1.2", Some(1.201)));
        assert!(met("delivered_per_s>=5000", Some(5000.0)) && !met("delivered_per_s>=5000", Some(4999.9)));
    }

    #[test]
    fn what_was_not_measured_keeps_no_bound() {
        assert!(!met("ratio<=1.2", None) && !met("ratio>=1.2", None));
        assert!(!met("ratio<=1.2", Some(f64::NAN)));
    }

    #[test]
    fn what_bounds_nothing_is_refused() {
        for text in ["ratio", "ratio<2", "ratio<=", "ratio<=two", "ratio<=inf", "ratio>=NaN"] {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_judgement_says_what_was_required_and_what_was_found() {
        let judged = "ratio<=1.2".parse::<Requirement>().unwrap().judge(Some(1.5));
        assert_eq!(judged.to_string(), "required ratio<=1.2, found 1.5: NOT MET");
    }
}
