//! The chapters name what the source defines: no code, rule, label or limit is left untold.

use posthouse_spec::labels;

use crate::source::{self, Form};

const CHAPTERS: &[&str] = &[
    "README.md",
    "encoding.md",
    "identity.md",
    "rooms.md",
    "envelope.md",
    "delivery.md",
    "client-protocol.md",
    "relay-protocol.md",
    "content.md",
];

fn all() -> String {
    CHAPTERS.iter().map(|chapter| source::text(chapter)).collect()
}

#[test]
fn every_code_is_explained() {
    let chapters = all();
    for definition in source::definitions().iter().filter(|definition| definition.form == Form::Codes) {
        for entry in &definition.entries {
            let row = format!("| {} | `{}` |", entry.number.trim_start_matches("0x00"), entry.value);
            let row_in_hexadecimal = format!("| `{}` |", entry.value);
            assert!(
                chapters.contains(&row)
                    || (definition.name == "suite" && chapters.contains(&row_in_hexadecimal)),
                "no chapter has the row `{row}` of {}",
                definition.name
            );
        }
    }
}

#[test]
fn every_rule_of_the_encoding_is_explained() {
    let chapter = source::text("encoding.md");
    for rule in source::rules() {
        assert!(chapter.contains(&format!("| `{rule}` |")), "encoding.md does not explain {rule}");
    }
}

#[test]
fn every_label_is_listed() {
    let chapter = source::text("encoding.md");
    for label in labels::ALL {
        assert!(chapter.contains(&format!("| `{label}` |")), "encoding.md does not list {label}");
    }
}

#[test]
fn every_limit_is_listed_with_its_value() {
    let chapter = source::text("encoding.md");
    for (name, (value, _)) in source::constants() {
        let row = format!("| `{name}` | {value} |");
        assert!(chapter.contains(&row), "encoding.md does not have the row `{row}`");
    }
}

#[test]
fn every_record_and_choice_is_named() {
    let chapters = all();
    for definition in source::definitions() {
        assert!(
            chapters.contains(&format!("`{}`", definition.name)),
            "no chapter speaks of {}",
            definition.name
        );
    }
}
