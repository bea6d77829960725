//! What a command told, as the result of a method.

use serde_json::{Map, Value, json};
use tokio::sync::mpsc::Receiver;

use super::frame::{Fault, no_json};
use super::method::Shape;
use crate::failure::Failure;
use crate::line::Line;
use crate::request::Item;

/// Most that is told in one answer, bytes of JSON; one line is told however long it is.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// What a command told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    lines: Vec<Value>,
    warnings: Vec<Value>,
    bytes: usize,
    more: bool,
    /// Where to go on, where the command says so.
    next: Option<u64>,
}

impl Told {
    /// Takes what is told, at most so many lines of it.
    ///
    /// # Errors
    /// A line is no JSON.
    pub(crate) async fn collect(mut items: Receiver<Item>, most: usize) -> Result<Self, Failure> {
        let mut told = Self::default();
        while let Some(item) = items.recv().await {
            match item {
                Item::Line(Line::Warning { code, message }) => {
                    told.warnings.push(json!({ "code": code, "message": message }));
                }
                Item::Line(Line::More { before, after }) => told.next = before.or(after),
                Item::Line(line) => told.take(&serde_json::to_string(&line).map_err(no_json)?, most)?,
                Item::Export(text) => told.take(&text, most)?,
                // Whoever wanted to know may have gone.
                Item::Confirm(shown) => drop(shown.send(())),
            }
            if told.more {
                break;
            }
        }
        Ok(told)
    }

    fn take(&mut self, line: &str, most: usize) -> Result<(), Failure> {
        self.more = self.lines.len() >= most
            || (!self.lines.is_empty() && self.bytes.saturating_add(line.len()) > MAX_ANSWER);
        if !self.more {
            self.bytes = self.bytes.saturating_add(line.len());
            self.lines.push(serde_json::from_str(line).map_err(no_json)?);
        }
        Ok(())
    }

    /// Whether it told more than was wanted, so that it was not heard to the end.
    pub(crate) fn is_cut(&self) -> bool {
        self.more
    }

    /// The result of a method of that shape.
    ///
    /// # Errors
    /// The command failed; what it told before goes with that.
    pub(crate) fn answer(self, shape: Shape, done: Result<(), Failure>) -> Result<Value, Fault> {
        if let Err(failure) = done {
            return Err(Fault::from(failure).after(self.lines, self.warnings));
        }
        let mut result = Map::new();
        match shape {
            Shape::List { field, .. } => {
                result.insert(field.to_owned(), self.lines.into());
                result.insert("more".to_owned(), (self.more || self.next.is_some()).into());
                if let Some(next) = self.next {
                    result.insert("next".to_owned(), next.into());
                }
            }
            Shape::One { .. } => {
                if let Some(Value::Object(line)) = self.lines.into_iter().next() {
                    result = line;
                }
            }
            Shape::Nothing | Shape::Own { .. } => {}
        }
        result.insert("warnings".to_owned(), self.warnings.into());
        Ok(result.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Lines;

    const LIST: Shape = Shape::List { field: "messages", of: "message" };

    async fn told(items: Vec<Item>, most: usize) -> Told {
        let (lines, received) = Lines::channel();
        for item in items {
            lines.item(item).await.unwrap();
        }
        drop(lines);
        Told::collect(received, most).await.unwrap()
    }

    fn exported(local: u64) -> Item {
        Item::Export(json!({ "local": local }).to_string())
    }

    #[tokio::test]
    async fn a_list_says_whether_there_is_more() {
        let whole = told(vec![exported(1), exported(2)], 2).await.answer(LIST, Ok(())).unwrap();
        assert_eq!(
            whole,
            json!({ "messages": [{ "local": 1 }, { "local": 2 }], "more": false, "warnings": [] })
        );
        let cut = told(vec![exported(1), exported(2)], 1).await;
        assert!(cut.is_cut());
        assert_eq!(cut.answer(LIST, Ok(())).unwrap()["more"], true);
    }

    #[tokio::test]
    async fn a_search_says_where_to_go_on() {
        let more = Line::More { before: Some(7), after: None };
        let found = told(vec![exported(9), Item::Line(more)], 1).await.answer(LIST, Ok(())).unwrap();
        assert_eq!(found, json!({ "messages": [{ "local": 9 }], "more": true, "next": 7, "warnings": [] }));
    }

    #[tokio::test]
    async fn an_answer_is_bounded_but_never_empty() {
        let long = || Item::Export(format!("\"{}\"", "a".repeat(MAX_ANSWER)));
        let cut = told(vec![long(), long()], 9).await;
        assert_eq!((cut.lines.len(), cut.more), (1, true));
    }

    #[tokio::test]
    async fn what_was_told_before_a_failure_goes_with_it() {
        let warning = Line::Warning { code: "late".to_owned(), message: "too late".to_owned() };
        let told = told(vec![exported(1), Item::Line(warning)], 9).await;
        let fault = told.answer(LIST, Err(Failure::usage("blocked", "they are blocked"))).unwrap_err();
        let error = serde_json::to_value(fault).unwrap();
        assert_eq!(
            error,
            json!({ "code": -32002, "message": "they are blocked", "data": { "category": "usage", "code": "blocked",
                "lines": [{ "local": 1 }], "warnings": [{ "code": "late", "message": "too late" }] } })
        );
    }
}
