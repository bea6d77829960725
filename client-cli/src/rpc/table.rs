//! The methods and events of `rpc`, in one table. A command becomes a method by its row here; the README describes each.

use super::method::Kind::{Alias, Flag, Keep, Number, Numbers, Text, Texts};
use super::method::{Method, Param, Shape, optional, required};
use super::rooms;

/// The version of the protocol. Methods, parameters, fields and events may be added to a version; none changes or goes.
pub(crate) const PROTOCOL: u32 = 1;
/// Most messages in an answer, where nothing else is asked for, items.
pub(crate) const PAGE: u64 = 100;
/// Most messages in an answer, whatever is asked for, items.
pub(crate) const MAX_PAGE: u64 = 1000;

/// Tells the version.
pub(crate) const VERSION: Method = Method {
    name: "rpc.version",
    does: "tells the version of the protocol and of the program",
    params: &[],
    result: Shape::Own { fields: &["protocol", "program"] },
};

/// Lists this table.
pub(crate) const LIST: Method = Method {
    name: "rpc.methods",
    does: "lists methods and events",
    params: &[],
    result: Shape::Own { fields: &["methods", "events"] },
};

const TIMEOUT: Param = optional("timeout_ms", Number, "how long to try to reach the relay, milliseconds");
const OFFLINE: Param = optional("offline", Flag, "answers from the vault without asking the relay first");
const LIMIT: Param = optional("limit", Number, "at most so many messages, 100 if not given, 1000 at most");

/// The commands that are not about rooms of many.
const COMMANDS: &[Method] = &[
    Method {
        name: "whoami",
        does: "tells alias, account and device",
        params: &[],
        result: Shape::One { of: "identity" },
    },
    Method {
        name: "send",
        does: "stores texts, in this order, and tries to bring them to the relay; what it does not take in time goes out later",
        params: &[
            required("to", Text, "to whom: an alias, or a room as `room_show` takes it"),
            required("texts", Texts, "the texts, each a message of its own"),
            TIMEOUT,
        ],
        result: Shape::List { field: "sent", of: "sent" },
    },
    Method {
        name: "inbox",
        does: "lists unread messages, which stay unread until `mark_read`",
        params: &[LIMIT, TIMEOUT, OFFLINE],
        result: Shape::List { field: "messages", of: "message" },
    },
    Method {
        name: "mark_read",
        does: "notes that messages were read",
        params: &[required("locals", Numbers, "their places in the vault, the `local` of each")],
        result: Shape::Nothing,
    },
    Method {
        name: "history",
        does: "lists the last messages of a conversation, oldest first",
        params: &[
            required("with", Text, "with whom: an alias, or a room as `room_show` takes it"),
            LIMIT,
            optional("before", Number, "only messages before this one: its `local`"),
            optional("after", Number, "only messages behind this one; without `before` the first of them"),
            TIMEOUT,
            OFFLINE,
        ],
        result: Shape::List { field: "messages", of: "message" },
    },
    Method {
        name: "search",
        does: "looks for a text in all messages, newest first",
        params: &[
            required(
                "text",
                Text,
                "the words, or parts of words; what stands between quotation marks stays together",
            ),
            optional("with", Text, "only in this conversation: an alias, or a room as `room_show` takes it"),
            optional("since", Number, "only messages sent at this time or later, milliseconds since 1970"),
            optional("until", Number, "only messages sent before this time, milliseconds since 1970"),
            optional(
                "before",
                Number,
                "only messages before this one: its `local`, or `next` of the answer before",
            ),
            LIMIT,
        ],
        result: Shape::List { field: "messages", of: "message" },
    },
    Method {
        name: "retention",
        does: "tells or sets after how many days a conversation's messages are deleted from this vault",
        params: &[
            required("with", Text, "with whom: an alias, or a room as `room_show` takes it"),
            optional("keep", Keep, "a number of days, or \"off\"; without it nothing is changed"),
        ],
        result: Shape::One { of: "retention" },
    },
    Method {
        name: "rooms",
        does: "lists the rooms, the latest used first",
        params: &[TIMEOUT, OFFLINE],
        result: Shape::List { field: "rooms", of: "room" },
    },
    Method {
        name: "requests",
        does: "lists who asks to talk",
        params: &[TIMEOUT, OFFLINE],
        result: Shape::List { field: "requests", of: "request" },
    },
    Method {
        name: "accept",
        does: "accepts somebody who asks to talk; what they wrote before is in the `inbox` then",
        params: &[required("alias", Alias, "whom"), TIMEOUT],
        result: Shape::One { of: "contact" },
    },
    Method {
        name: "block",
        does: "blocks somebody",
        params: &[required("alias", Alias, "whom"), TIMEOUT],
        result: Shape::One { of: "contact" },
    },
    Method {
        name: "verify",
        does: "tells the safety number to compare with somebody",
        params: &[required("alias", Alias, "with whom")],
        result: Shape::One { of: "safety-number" },
    },
    Method {
        name: "export",
        does: "lists all messages of the vault, oldest first, page by page",
        params: &[optional("after", Number, "only messages behind this one: its `local`"), LIMIT],
        result: Shape::List { field: "messages", of: "message" },
    },
];

/// Commands of the program that are no methods, and why.
#[cfg(test)]
const NO_METHODS: &[(&str, &str)] = &[
    ("register", "there is no vault to open yet"),
    ("listen", "its lines are the events"),
    ("import", "it takes in a whole file, which is done once, by a person"),
    ("backup_create", "it may have to ask a person for the 24 words"),
    ("backup_verify", "it tells a person that what they keep is good"),
    ("backup_restore", "there is no vault to open yet"),
    ("rpc", "this is it"),
    ("completions", "for shells"),
    ("man", "for people"),
];

/// The events, by the `type` of their parameters.
pub(crate) const EVENTS: &[(&str, &str)] = &[
    ("listening", "first of all, and again where the `listen` that owned the vault has gone"),
    ("connected", "the relay took us in"),
    ("disconnected", "the connection is gone, and another will be made"),
    ("caught-up", "what waited at the relay is in the vault"),
    ("message", "a message came"),
    ("request", "somebody asks to talk"),
    ("delivery", "an own message is a step further"),
    ("room-changed", "a room was founded or joined, or its members changed"),
    ("change", "a wanted change of a room was done or refused, or waits for another reason than before"),
    ("notice", "something that a person should know of"),
    ("stopped", "last of all, where it ends because of a failure"),
];

/// All commands.
pub(crate) fn commands() -> impl Iterator<Item = &'static Method> {
    COMMANDS.iter().chain(&rooms::METHODS)
}

/// All methods.
pub(crate) fn all() -> impl Iterator<Item = &'static Method> {
    [&VERSION, &LIST].into_iter().chain(commands())
}

/// The method of a command.
pub(crate) fn find(name: &str) -> Option<&'static Method> {
    commands().find(|method| method.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;
    use serde_json::Value;

    use super::*;

    const README: &str = include_str!("../../README.md");

    /// The names that the README describes in headings below the heading `chapter`.
    fn described(chapter: &str) -> Vec<&'static str> {
        let (_, text) = README.split_once(&format!("\n### {chapter}\n")).unwrap();
        let text = text.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
        let headings = text.lines().filter_map(|line| line.strip_prefix("#### `")?.strip_suffix('`'));
        headings.collect()
    }

    #[test]
    fn the_readme_describes_what_there_is() {
        let methods: Vec<&str> = all().map(|method| method.name).collect();
        assert_eq!(described("Methods"), methods, "methods of the README, and those of this table");
        let events: Vec<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(described("Events"), events, "events of the README, and those of this table");
    }

    #[test]
    fn the_readme_has_an_example_of_each() {
        let (_, chapter) = README.split_once("\n### Methods\n").unwrap();
        let chapter = chapter.split("\n## ").next().unwrap();
        let examples: Vec<Value> =
            chapter.lines().filter(|line| line.starts_with('{')).map(|line| line.parse().unwrap()).collect();
        for method in all() {
            let call = examples.iter().find(|line| line["method"] == method.name).expect(method.name);
            let params = call["params"].as_object().cloned().unwrap_or_default();
            method.check(&params).unwrap();
        }
        for (name, _) in EVENTS {
            let shown = |line: &Value| line["method"] == "event" && line["params"]["type"] == *name;
            assert!(examples.iter().any(shown), "the README shows no event `{name}`");
        }
    }

    #[test]
    fn every_command_is_a_method() {
        let program = crate::args::Cli::command();
        let (mut leaves, mut waiting) = (Vec::new(), vec![(String::new(), &program)]);
        while let Some((path, command)) = waiting.pop() {
            let below = command.get_subcommands();
            let below: Vec<_> =
                below.map(|sub| (format!("{path}_{}", sub.get_name().replace('-', "_")), sub)).collect();
            if below.is_empty() {
                leaves.push(path.trim_start_matches('_').to_owned());
            }
            waiting.extend(below);
        }
        for name in leaves {
            let excused = NO_METHODS.iter().any(|(no, _)| *no == name);
            assert!(excused || find(&name).is_some(), "the command {name} has no row in this table");
        }
    }

    #[test]
    fn names_are_there_once() {
        let names: BTreeSet<&str> = all().map(|method| method.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
