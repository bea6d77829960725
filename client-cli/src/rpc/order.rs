//! From a method and its parameters to what is asked of the vault.

use std::time::Duration;

use serde_json::{Map, Value};

use super::frame::Fault;
use super::method::{Method, Shape};
use super::table::{MAX_PAGE, PAGE};
use crate::args::MAX_TIMEOUT;
use crate::request::Order;

/// What is asked, and how much of the answer is wanted.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) order: Order,
    /// At most so many lines.
    pub(crate) most: usize,
}

/// Checks the parameters of a request.
///
/// # Errors
/// What is wrong with them, and what to write.
pub(crate) fn given(method: &Method, params: Option<Value>) -> Result<Map<String, Value>, Fault> {
    let mut given = match params {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(given)) => given,
        Some(_) => {
            let message = format!("parameters are an object, by name: `{}`: {}", method.name, method.usage());
            return Err(Fault::bad_params(message));
        }
    };
    // What is `null` is not there: whoever fills in a form need not leave it out.
    given.retain(|_, value| !value.is_null());
    method.check(&given).map_err(Fault::bad_params)?;
    Ok(given)
}

/// Makes an order of what a request holds.
///
/// # Errors
/// As for [`given`].
pub(crate) fn order(method: &Method, params: Option<Value>, timeout: Duration) -> Result<Asked, Fault> {
    let mut given = given(method, params)?;
    let most = bounded(method, &mut given)?;
    let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    given.entry("timeout_ms").or_insert_with(|| timeout.into());
    given.entry("offline").or_insert(Value::Bool(false));
    given.insert("command".to_owned(), method.name.replace('_', "-").into());
    match serde_json::from_value(Value::Object(given)) {
        Ok(order) => Ok(Asked { order, most }),
        Err(error) => {
            Err(Fault::bad_params(format!("the parameters of `{}` do not fit: {error}", method.name)))
        }
    }
}

/// Holds what bounds an answer, or the time until it comes, within limits.
fn bounded(method: &Method, given: &mut Map<String, Value>) -> Result<usize, Fault> {
    let out_of = |name: &str, least: u64, most: u64| {
        let message = format!("`{name}` of `{}` is a number from {least} to {most}", method.name);
        Fault::bad_params(message)
    };
    let longest = MAX_TIMEOUT * 1000;
    if given.get("timeout_ms").and_then(Value::as_u64).is_some_and(|millis| !(1..=longest).contains(&millis))
    {
        return Err(out_of("timeout_ms", 1, longest));
    }
    if !method.takes("limit") {
        return Ok(if matches!(method.result, Shape::List { .. }) { usize::MAX } else { 1 });
    }
    let limit = given.entry("limit").or_insert_with(|| PAGE.into()).as_u64().unwrap_or(PAGE);
    match usize::try_from(limit) {
        Ok(most) if (1..=MAX_PAGE).contains(&limit) => Ok(most),
        _ => Err(out_of("limit", 1, MAX_PAGE)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::method::Kind;
    use super::super::table::{commands, find};
    use super::*;
    use crate::request::Request;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn ask(name: &str, params: Value) -> Result<Asked, String> {
        let fault =
            |fault: Fault| serde_json::to_value(fault).unwrap()["message"].as_str().unwrap().to_owned();
        order(find(name).unwrap(), Some(params), TIMEOUT).map_err(fault)
    }

    #[test]
    fn every_method_with_all_its_parameters_is_an_order() {
        for method in commands() {
            let value = |kind| match kind {
                Kind::Alias => json!("bob@b.example"),
                Kind::Text => json!("bob@b.example"),
                Kind::Aliases | Kind::Persons => json!(["bob@b.example"]),
                Kind::Person => json!("bob@b.example"),
                Kind::Role => json!("admin"),
                Kind::Suite => json!("classic"),
                Kind::Keep => json!("off"),
                Kind::Bytes => json!("AAEC"),
                Kind::Texts => json!(["one", "two"]),
                Kind::Number => json!(7),
                Kind::Numbers => json!([7]),
                Kind::Flag => json!(true),
            };
            let all: Map<_, _> =
                method.params.iter().map(|param| (param.name.to_owned(), value(param.kind))).collect();
            let order = ask(method.name, all.clone().into()).unwrap().order;
            let back = serde_json::to_value(order).unwrap();
            for (name, value) in all.iter().filter(|(name, _)| *name != "limit") {
                assert_eq!(back[name], *value, "`{name}` of `{}` is lost on the way", method.name);
            }
        }
    }

    #[test]
    fn what_is_not_given_is_as_on_the_command_line() {
        let asked = ask("history", json!({ "with": "bob@b.example", "before": null })).unwrap();
        let Request::History { limit, before, .. } = asked.order.request else { panic!() };
        assert_eq!((limit, before, asked.most), (Some(PAGE), None, PAGE as usize));
        assert_eq!((asked.order.pace.timeout(), asked.order.pace.offline), (TIMEOUT, false));
    }

    #[test]
    fn a_bad_parameter_is_named_with_what_to_write() {
        for (name, params, word) in [
            ("history", json!({}), "`with` (required)"),
            ("history", json!({ "with": "a@b.example", "foo": 1 }), "no parameter `foo`"),
            ("history", json!({ "with": "a@b.example", "limit": -1 }), "a whole number"),
            ("history", json!({ "with": "a@b.example", "limit": 1001 }), "from 1 to 1000"),
            ("accept", json!({ "alias": "nobody" }), "bob@b.example"),
            ("rooms", json!({ "timeout_ms": 0 }), "from 1 to 3600000"),
            ("room_ban", json!({ "room": "Garden", "member": "bob" }), "an account's id"),
            ("room_policy", json!({ "room": "Garden", "write": "king" }), "\"owner\""),
            ("room_create", json!({ "name": "Garden", "suite": "rot13" }), "\"classic\""),
            ("retention", json!({ "with": "Garden", "keep": "soon" }), "a number of days"),
            ("send", json!(["bob@b.example", "text"]), "by name"),
            ("send", json!({ "to": "bob@b.example", "texts": [] }), "at least one"),
            ("send", json!({ "to": "bob@b.example", "texts": ["one", " "] }), "none of them empty"),
            ("mark_read", json!({ "locals": [1, "two"] }), "a list of whole numbers"),
        ] {
            let message = ask(name, params.clone()).unwrap_err();
            assert!(message.contains(word), "{params}: {message}");
        }
    }
}
