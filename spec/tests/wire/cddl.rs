//! `posthouse.cddl`: what stands below its mark is made from the tables in `src`, so that it is complete and true.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::source::{self, Definition, Form};
use crate::{book, kinds};

const MARK: &str = "; ---- What follows is made from the tables in src by the test `cddl`. ----\n";

type Limits = BTreeMap<String, (u64, String)>;

/// A Rust type in CDDL.
fn cddl_type(definition: &Definition, ty: &str, limits: &Limits) -> String {
    let inner = |prefix: &str| ty.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    if let Some(list) = inner("List<") {
        let (element, max) = list.rsplit_once(", ").expect("a list has an element and a limit");
        let element = cddl_type(definition, element, limits);
        return format!("[0*{} {element}]", source::evaluate(max, limits));
    }
    if let Some(max) = inner("Octets<") {
        return format!("bstr .size (0..{})", source::evaluate(max, limits));
    }
    if let Some(max) = inner("Text<") {
        return format!("tstr .size (0..{})", source::evaluate(max, limits));
    }
    if let Some(payload) = inner("Signed<") {
        return format!("bstr .cbor signed-{}", source::reference(definition, payload));
    }
    match ty {
        "u16" => "uint .size 2".to_owned(),
        "u64" => "uint .size 8".to_owned(),
        "bool" => "bool".to_owned(),
        _ => source::reference(definition, ty),
    }
}

fn record(out: &mut String, definition: &Definition, limits: &Limits) {
    writeln!(out, "{} = {{", definition.name).unwrap();
    for entry in &definition.entries {
        let optional = entry.value.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>'));
        let mark = if optional.is_some() { "? " } else { "" };
        let ty = cddl_type(definition, optional.unwrap_or(&entry.value), limits);
        writeln!(out, "  ; {}: {}", entry.name, entry.doc).unwrap();
        writeln!(out, "  {mark}{} => {ty},", entry.number).unwrap();
    }
    writeln!(out, "  extension-fields\n}}\n").unwrap();
}

/// Alternatives one below the other, each with what it is for.
fn alternatives(out: &mut String, name: &str, lines: impl Iterator<Item = (String, String)>) {
    writeln!(out, "{name} =").unwrap();
    for (at, (alternative, doc)) in lines.enumerate() {
        let sign = if at == 0 { ' ' } else { '/' };
        writeln!(out, "  {sign} {alternative}  ; {doc}").unwrap();
    }
    out.push('\n');
}

fn choice(out: &mut String, definition: &Definition, limits: &Limits) {
    let lines = definition.entries.iter().map(|entry| {
        let ty = cddl_type(definition, &entry.value, limits);
        (format!("[{}, {ty}]", entry.number), entry.doc.clone())
    });
    alternatives(out, &definition.name, lines);
}

fn codes(out: &mut String, definition: &Definition) {
    let lines = definition.entries.iter().map(|entry| {
        let number =
            entry.number.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16).unwrap().to_string());
        (number.unwrap_or_else(|| entry.number.clone()), format!("{}: {}", entry.value, entry.doc))
    });
    alternatives(out, &definition.name, lines);
}

fn generated() -> String {
    let limits = source::constants();
    let mut out = String::from(MARK);
    out.push_str("\n; Ids, keys, hashes, positions and times.\n\n");
    for id in source::ids() {
        let form = id.size.map_or_else(|| "position".to_owned(), |size| format!("bstr .size {size}"));
        writeln!(out, "{} = {form}  ; {}", id.name, id.doc).unwrap();
    }
    out.push('\n');
    for definition in source::definitions() {
        writeln!(out, "; {}", definition.doc).unwrap();
        match definition.form {
            Form::Record => record(&mut out, &definition, &limits),
            Form::Choice => choice(&mut out, &definition, &limits),
            Form::Codes => codes(&mut out, &definition),
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

#[test]
fn the_cddl_says_what_the_source_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("posthouse.cddl");
    let found = std::fs::read_to_string(&path).unwrap();
    let (by_hand, _) = found.split_once(MARK).expect("the file has the mark");
    book::hold(&path, &format!("{by_hand}{}", generated()));
}

#[test]
fn the_cddl_names_every_type() {
    let cddl = source::text("posthouse.cddl");
    for kind in kinds::all() {
        let defined = cddl.lines().any(|line| line.starts_with(&format!("{} =", kind.name)));
        assert!(defined, "posthouse.cddl does not define {}", kind.name);
    }
}

#[test]
fn every_table_of_the_source_is_a_kind_with_vectors() {
    for definition in source::definitions() {
        kinds::named(&definition.name);
    }
}

#[test]
fn every_name_that_the_cddl_uses_is_defined() {
    let cddl = source::text("posthouse.cddl");
    let code: String =
        cddl.lines().map(|line| line.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let known = ["bstr", "tstr", "uint", "nint", "int", "bool", "any", "null", "nil"];
    let defined: Vec<_> = code
        .lines()
        .filter_map(|line| line.split_once(" ="))
        .map(|(name, _)| name.split('<').next().unwrap_or_default().trim())
        .collect();
    let mut quoted = false;
    let bare: String = code
        .chars()
        .filter(|c| {
            if *c == '"' {
                quoted = !quoted;
            }
            !quoted
        })
        .collect();
    for word in bare.split(|c| !is_name(c)).filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
    {
        let control = ["size", "cbor", "regexp", "le", "and", "within"].contains(&word);
        let parameter = word == "payload-type" || bare.contains(&format!("  {word}: "));
        assert!(
            control || parameter || known.contains(&word) || defined.contains(&word),
            "posthouse.cddl uses `{word}` and does not define it"
        );
    }
}
