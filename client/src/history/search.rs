//! What is looked for in the messages of a vault.
//!
//! A text is cut at white space; what stands between quotation marks stays together. A message is found if each of these
//! terms occurs in it, in any case, as a word or as a part of one. The vault's index holds every three characters in a row,
//! so terms of three and more are found at once; shorter ones are looked for message by message, within a bound, and
//! whoever gets to it can go on from there.

use posthouse_spec::Millis;
use serde::{Deserialize, Serialize};

use super::error::HistoryError;
use crate::model::{Conversation, Message};

/// Longest text that is looked for, bytes.
const MAX_SEARCH: usize = 1024;
/// Most terms in it.
const MAX_TERMS: usize = 32;
/// The shortest term that the index knows, characters.
const INDEXED: usize = 3;
/// Messages that are found at once where no limit is given.
pub(crate) const DEFAULT_HITS: u64 = 50;
/// Most messages that are found at once.
pub(crate) const MAX_HITS: u64 = 1000;
/// Messages that are looked at for short terms at once: as many as take about a second.
pub(crate) const MAX_LOOKED_AT: u64 = 50_000;

/// What is looked for, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// The text.
    pub text: String,
    /// Only in this conversation.
    pub within: Option<Conversation>,
    /// Only messages that were sent at this time or later.
    pub since: Option<Millis>,
    /// Only messages that were sent before this time.
    pub until: Option<Millis>,
    /// Only messages before this one, by its place in the vault: what [`Found::more`] names leads to the next page.
    pub before: Option<u64>,
    /// Only messages behind this one, and those of them that are next to it.
    pub after: Option<u64>,
    /// At most this many.
    pub limit: Option<u64>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Found {
    /// The messages, newest first.
    pub messages: Vec<Message>,
    /// There may be more: look on before this place (or behind it, where [`Search::after`] was given).
    pub more: Option<u64>,
}

/// The terms of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// A query for the index: all terms that it knows.
    pub(crate) indexed: Option<String>,
    /// The others, in lower case.
    short: Vec<String>,
}

impl Terms {
    /// Cuts a text.
    pub(crate) fn parse(text: &str) -> Result<Self, HistoryError> {
        if text.len() > MAX_SEARCH {
            return Err(HistoryError::BadSearch(format!("it is longer than {MAX_SEARCH} bytes")));
        }
        let mut terms: Vec<String> = Vec::new();
        for (place, part) in text.split('"').enumerate() {
            // Parts with odd numbers stand between quotation marks.
            if place % 2 == 1 {
                terms.push(part.to_owned());
            } else {
                terms.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        terms.retain(|term| !term.trim().is_empty());
        if terms.is_empty() {
            return Err(HistoryError::BadSearch("it holds no word".to_owned()));
        }
        if terms.len() > MAX_TERMS {
            return Err(HistoryError::BadSearch(format!("it has more than {MAX_TERMS} words")));
        }
        // The index reads its query up to a zero byte; no text that anybody typed has one.
        let (indexed, short): (Vec<_>, Vec<_>) =
            terms.into_iter().partition(|term| term.chars().count() >= INDEXED && !term.contains('\0'));
        let quoted: Vec<String> = indexed.iter().map(|term| format!("\"{term}\"")).collect();
        Ok(Self {
            indexed: (!quoted.is_empty()).then(|| quoted.join(" ")),
            short: short.iter().map(|term| term.to_lowercase()).collect(),
        })
    }

    /// Whether the index alone finds them.
    pub(crate) fn are_indexed(&self) -> bool {
        self.short.is_empty()
    }

    /// Whether a message that the index found has the others too.
    pub(crate) fn match_rest(&self, text: Option<&str>) -> bool {
        if self.short.is_empty() {
            return true;
        }
        let text = text.unwrap_or_default().to_lowercase();
        self.short.iter().all(|term| text.contains(term.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_terms() {
        let terms = Terms::parse("Dear  ab \"Bob the builder\" C").unwrap();
        assert_eq!(terms.indexed.as_deref(), Some("\"Dear\" \"Bob the builder\""));
        assert_eq!(terms.short, ["ab", "c"]);
        assert!(terms.match_rest(Some("ABC")) && !terms.match_rest(Some("b")) && !terms.match_rest(None));
        let odd = Terms::parse("over \"the end").unwrap();
        assert_eq!(odd.indexed.as_deref(), Some("\"over\" \"the end\""));
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        for text in ["", "  ", "\"\"", &"x".repeat(2000), &"ab ".repeat(40)] {
            assert!(Terms::parse(text).is_err(), "{text:?}");
        }
    }
}
