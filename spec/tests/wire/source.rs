//! Reads the tables in `src` (`record!`, `choice!`, `codes!`, ids and limits) as text, so that what is written about
//! them can be held to them.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The files that define types of the wire, in the order of the story that `lib.rs` tells.
pub(crate) const FILES: &[&str] = &[
    "account.rs",
    "manifest.rs",
    "room.rs",
    "content/special.rs",
    "policy.rs",
    "envelope.rs",
    "peer/hello.rs",
    "peer/deliver.rs",
    "peer/keys.rs",
    "peer/room.rs",
    "peer/mailbag.rs",
    "client/mod.rs",
    "client/socket.rs",
    "client/delivery.rs",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Record,
    Choice,
    Codes,
}

/// One numbered line of a table.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) doc: String,
    pub(crate) number: String,
    /// The field or variant.
    pub(crate) name: String,
    /// Its Rust type; for a code, its stable name.
    pub(crate) value: String,
}

#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) form: Form,
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) entries: Vec<Entry>,
}

/// The text of a file below `spec`.
pub(crate) fn text(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// `CamelCase` as `kebab-case`; `number` means something else in CDDL.
pub(crate) fn kebab(name: &str) -> String {
    if name == "Number" {
        return "submit-number".to_owned();
    }
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A doc line without the marks of intra-doc links.
fn plain(doc: &str) -> String {
    let mut out = doc.replace(['`', '['], "");
    while let Some(start) = out.find("](") {
        let end = out[start..].find(')').map_or(out.len(), |n| start + n + 1);
        out.replace_range(start..end, "");
    }
    out.replace(']', "")
}

/// Every table of the wire, in the order of the files.
pub(crate) fn definitions() -> Vec<Definition> {
    FILES.iter().flat_map(|file| definitions_in(file)).collect()
}

fn definitions_in(file: &str) -> Vec<Definition> {
    let text = text(&format!("src/{file}"));
    let mut found: Vec<Definition> = Vec::new();
    let mut form = None;
    let mut doc = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        match trimmed {
            "record! {" => form = Some(Form::Record),
            "choice! {" => form = Some(Form::Choice),
            "codes! {" => form = Some(Form::Codes),
            _ if line == "}" => form = None,
            _ => {}
        }
        let Some(form) = form else {
            doc.clear();
            continue;
        };
        if let Some(more) = trimmed.strip_prefix("/// ") {
            doc = if doc.is_empty() { plain(more) } else { format!("{doc} {}", plain(more)) };
        } else if let Some(name) = type_name(trimmed) {
            let doc = std::mem::take(&mut doc);
            found.push(Definition { form, name: wire_name(file, name), doc, entries: Vec::new() });
        } else if let Some((number, rest)) = trimmed.split_once(" => ") {
            let (name, value) = entry(form, rest.trim_end_matches(','));
            let doc = std::mem::take(&mut doc);
            let definition = found.last_mut().expect("an entry stands in a table");
            definition.entries.push(Entry { doc, number: number.to_owned(), name, value });
        }
    }
    found
}

fn type_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
    rest.split_whitespace().next()
}

fn entry(form: Form, rest: &str) -> (String, String) {
    let (name, value) = match form {
        Form::Record => rest.split_once(": "),
        Form::Choice => rest.trim_end_matches(')').split_once('('),
        Form::Codes => rest.split_once(" = "),
    }
    .unwrap_or_else(|| panic!("`{rest}` is no entry of a table"));
    (name.to_owned(), value.trim_matches('"').to_owned())
}

/// Two records are called `Hello` in Rust, each in the module of its protocol.
fn wire_name(file: &str, name: &str) -> String {
    match (file, name) {
        ("peer/hello.rs", "Hello") => "peer-hello".to_owned(),
        ("client/socket.rs", "Hello") => "client-hello".to_owned(),
        _ => kebab(name),
    }
}

/// The CDDL name of a Rust type that `file` names: it finds a `Hello` where that file means its own.
pub(crate) fn reference(definition: &Definition, ty: &str) -> String {
    match (definition.name.as_str(), ty) {
        ("up", "Hello") => "client-hello".to_owned(),
        (_, "Hello") => "peer-hello".to_owned(),
        _ => kebab(ty),
    }
}

/// An id or a number.
pub(crate) struct Id {
    pub(crate) name: String,
    /// Bytes, for an id.
    pub(crate) size: Option<String>,
    pub(crate) doc: String,
}

/// The ids, and then the numbers.
pub(crate) fn ids() -> Vec<Id> {
    let text = text("src/ids.rs");
    let mut found = Vec::new();
    let mut doc = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(more) = line.strip_prefix("/// ") {
            doc = plain(more);
            continue;
        }
        let Some(entry) = line.strip_suffix(';').filter(|entry| entry.starts_with(char::is_uppercase)) else {
            continue;
        };
        let (name, size) = match entry.trim_end_matches(']').split_once('[') {
            Some((name, size)) => (name, Some(size.to_owned())),
            None => (entry, None),
        };
        found.push(Id { name: kebab(name), size, doc: std::mem::take(&mut doc) });
    }
    found
}

/// The named rules of `Malformed`.
pub(crate) fn rules() -> Vec<String> {
    let text = text("src/cbor/mod.rs");
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once("=> \""));
    names.map(|(_, rule)| rule.trim_end_matches("\",").to_owned()).collect()
}

/// Every constant of `limits.rs`, and those of other files that stand in a type, with its value and its doc.
pub(crate) fn constants() -> BTreeMap<String, (u64, String)> {
    let mut found = BTreeMap::new();
    for file in ["src/limits.rs", "src/client/delivery.rs"] {
        let text = text(file);
        let mut doc = String::new();
        for line in text.lines() {
            if let Some(more) = line.strip_prefix("/// ") {
                doc = plain(more);
            }
            let Some(rest) = line.strip_prefix("pub const ") else { continue };
            let (name, rest) = rest.split_once(": ").expect("a constant has a type");
            let (_, sum) = rest.trim_end_matches(';').split_once(" = ").expect("a constant has a value");
            let value = evaluate(sum, &found);
            found.insert(name.to_owned(), (value, std::mem::take(&mut doc)));
        }
    }
    found
}

/// The value of a sum of products of numbers and constants that were defined before.
pub(crate) fn evaluate(sum: &str, known: &BTreeMap<String, (u64, String)>) -> u64 {
    let factor = |text: &str| {
        let text = text.trim().trim_matches(['{', '}', ' ']).trim_start_matches("crate::limits::");
        text.replace('_', "").parse().unwrap_or_else(|_| {
            known.get(text).unwrap_or_else(|| panic!("`{text}` is neither a number nor a known limit")).0
        })
    };
    sum.split(" + ").map(|product| product.split(" * ").map(factor).product::<u64>()).sum()
}
