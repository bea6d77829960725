//! JSON-RPC 2.0 as types: what one line of input asks, and what one line of output answers.
//!
//! An id is kept as it was written, so that whoever asked finds the same bytes in the answer.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::failure::{Exit, Failure};

/// Most requests of a batch, items.
pub(crate) const MAX_BATCH: usize = 16;

/// Codes of the specification, section 5.1.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
/// From here down a code is ours: less the exit code that the command would have ended with.
const FAILURE: i32 = -32000;
/// Ours for [`Exit::Interrupted`], whose exit code is too large for the range.
const INTERRUPTED: i32 = -32010;

/// A request, or a notification where it has no id.
#[derive(Debug, Deserialize)]
pub(crate) struct Call {
    jsonrpc: String,
    #[serde(default, deserialize_with = "present")]
    pub(crate) id: Option<Box<RawValue>>,
    pub(crate) method: String,
    pub(crate) params: Option<Value>,
}

/// A request that was refused before anything was done, and whose it was, as far as that can be told.
#[derive(Debug)]
pub(crate) struct Invalid {
    pub(crate) id: Option<Box<RawValue>>,
    pub(crate) fault: Box<Fault>,
}

/// What one line of input asks.
#[derive(Debug)]
pub(crate) enum Input {
    One(Result<Call, Invalid>),
    Batch(Vec<Result<Call, Invalid>>),
}

/// The only member that an invalid request is searched for.
#[derive(Deserialize)]
struct Owner {
    #[serde(default, deserialize_with = "present")]
    id: Option<Box<RawValue>>,
}

/// A member that is there is something, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl Input {
    /// Takes a line apart.
    pub(crate) fn parse(line: &[u8]) -> Self {
        let nobodys = |fault| Self::One(Err(Invalid { id: None, fault: Box::new(fault) }));
        let value: &RawValue = match serde_json::from_slice(line) {
            Ok(value) => value,
            Err(error) => {
                let message = format!("the line is not JSON: {error}; write one request or one batch a line");
                return nobodys(Fault::usage(PARSE_ERROR, "parse-error", message));
            }
        };
        if !value.get().starts_with('[') {
            return Self::One(call(value.get()));
        }
        match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
            Ok(calls) if calls.is_empty() => {
                nobodys(Fault::invalid("empty-batch", "a batch holds at least one request"))
            }
            Ok(calls) if calls.len() > MAX_BATCH => {
                let message = format!("a batch holds at most {MAX_BATCH} requests: send it in parts");
                nobodys(Fault::invalid("batch-too-large", message))
            }
            Ok(calls) => Self::Batch(calls.into_iter().map(|value| call(value.get())).collect()),
            Err(error) => nobodys(Fault::usage(PARSE_ERROR, "parse-error", error.to_string())),
        }
    }
}

fn call(text: &str) -> Result<Call, Invalid> {
    let why = match serde_json::from_str::<Call>(text) {
        Ok(call) if call.jsonrpc == "2.0" => return Ok(call),
        Ok(call) => format!("`jsonrpc` is \"{}\"", call.jsonrpc),
        Err(error) => error.to_string(),
    };
    let id = serde_json::from_str::<Owner>(text).ok().and_then(|owner| owner.id);
    let message = format!(
        "this is no request: {why}; write {{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"whoami\",\"params\":{{}}}}"
    );
    Err(Invalid { id, fault: Box::new(Fault::invalid("invalid-request", message)) })
}

/// Why a request failed, as it is answered.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    pub(crate) code: i32,
    message: String,
    data: FaultData,
}

#[derive(Debug, Serialize)]
struct FaultData {
    /// The category, as the exit codes have it.
    category: &'static str,
    /// The stable name.
    code: String,
    /// What was told before it failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Value>,
}

impl Fault {
    fn usage(code: i32, name: &str, message: String) -> Self {
        Self::with(code, Failure::usage(name, message))
    }

    /// What was written is no request.
    pub(crate) fn invalid(name: &str, message: impl Into<String>) -> Self {
        Self::usage(INVALID_REQUEST, name, message.into())
    }

    pub(crate) fn unknown_method(name: &str) -> Self {
        let message = format!("there is no method `{name}`: `rpc.methods` lists those that there are");
        Self::usage(METHOD_NOT_FOUND, "unknown-method", message)
    }

    pub(crate) fn bad_params(message: String) -> Self {
        Self::usage(INVALID_PARAMS, "bad-parameters", message)
    }

    fn with(code: i32, failure: Failure) -> Self {
        let category = failure.exit.name();
        let data = FaultData { category, code: failure.code, lines: Vec::new(), warnings: Vec::new() };
        Self { code, message: failure.message, data }
    }

    /// The same, with what was told before.
    pub(crate) fn after(mut self, lines: Vec<Value>, warnings: Vec<Value>) -> Self {
        (self.data.lines, self.data.warnings) = (lines, warnings);
        self
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let code = match failure.exit {
            Exit::Interrupted => INTERRUPTED,
            exit => FAILURE - exit as i32,
        };
        Self::with(code, failure)
    }
}

/// An answer.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    jsonrpc: &'static str,
    id: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
}

impl Answer {
    /// An answer to whoever asked under `id`, or to nobody who could be told.
    pub(crate) fn new(id: Option<Box<RawValue>>, outcome: Result<Value, Fault>) -> Self {
        let (result, error) = match outcome {
            Ok(result) => (Some(result), None),
            Err(fault) => (None, Some(fault)),
        };
        Self { jsonrpc: "2.0", id, result, error }
    }
}

/// Something that happened.
#[derive(Debug, Serialize)]
pub(crate) struct Notification {
    jsonrpc: &'static str,
    method: &'static str,
    params: Box<RawValue>,
}

impl Notification {
    /// An event.
    ///
    /// # Errors
    /// It has no JSON.
    pub(crate) fn event(params: &impl Serialize) -> Result<Self, Failure> {
        let params = to_raw_value(params).map_err(no_json)?;
        Ok(Self { jsonrpc: "2.0", method: "event", params })
    }
}

/// A value of ours that has no JSON.
pub(crate) fn no_json(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Other, "internal", format!("cannot write a line as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<Call, Invalid> {
        match Input::parse(line.as_bytes()) {
            Input::One(one) => one,
            Input::Batch(_) => panic!("{line} is no batch"),
        }
    }

    fn code(line: &str) -> i32 {
        one(line).unwrap_err().fault.code
    }

    #[test]
    fn an_id_of_any_kind_comes_back_as_it_was_written() {
        for id in
            ["1", "1.50", "12345678901234567890123", "\"a\\u0041\"", "null", "true", "[1, 2]", "{\"a\": 1}"]
        {
            let call = one(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"whoami"}}"#)).unwrap();
            let answer = serde_json::to_string(&Answer::new(call.id, Ok(Value::Null))).unwrap();
            assert_eq!(answer, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":null}}"#));
        }
    }

    #[test]
    fn a_notification_has_no_id() {
        assert!(one(r#"{"jsonrpc":"2.0","method":"whoami"}"#).unwrap().id.is_none());
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_code_of_the_specification() {
        for line in ["", "{", "nonsense", "\u{0}", "[1"] {
            assert_eq!(code(line), PARSE_ERROR, "{line}");
        }
        for line in ["1", "\"text\"", "{}", "[]", r#"{"jsonrpc":"1.0","method":"whoami"}"#, r#"{"method":1}"#]
        {
            assert_eq!(code(line), INVALID_REQUEST, "{line}");
        }
        assert!(
            matches!(Input::parse(b"\xff"), Input::One(Err(Invalid { fault, .. })) if fault.code == PARSE_ERROR)
        );
        let deep = format!(r#"{{"jsonrpc":"2.0","method":"a","params":{}}}"#, "[".repeat(10_000));
        assert_eq!(code(&deep), PARSE_ERROR);
    }

    #[test]
    fn an_invalid_request_is_answered_under_its_id() {
        let invalid = one(r#"{"id":"mine","method":7}"#).unwrap_err();
        assert_eq!(invalid.id.unwrap().get(), "\"mine\"");
    }

    #[test]
    fn a_batch_is_taken_one_by_one_and_is_bounded() {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"whoami"}"#;
        let Input::Batch(calls) = Input::parse(format!(" [{call},1]").as_bytes()) else { panic!() };
        assert!(calls[0].is_ok() && calls[1].is_err());
        let large = format!("[{}]", vec![call; MAX_BATCH + 1].join(","));
        assert_eq!(code(&large), INVALID_REQUEST);
    }
}
