//! The vectors that need real keys: `spec/vectors/signed.json`. Everything is made from fixed seeds, so that another
//! implementation can make it again. The file is compared, and written anew only when `POSTHOUSE_BLESS=1` is set.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]

mod chains;
mod containers;
mod people;

use std::path::PathBuf;

use serde_json::{Value, json};

const ABOUT: &str = "Real keys, made from the seeds under `keys`: signed containers, account chains (good, and broken by \
                     the named rule), safety numbers, recovery codes and message ids.";

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/signed.json")
}

fn made() -> Value {
    json!({
        "about": ABOUT,
        "keys": people::keys(),
        "vectors": containers::good(),
        "refused": containers::refused(),
        "chains": chains::good(),
        "broken_chains": chains::broken(),
        "manifests": containers::manifests(),
        "safety_numbers": chains::safety_numbers(),
        "recovery_codes": people::recovery_codes(),
        "bad_recovery_codes": people::bad_recovery_codes(),
        "message_ids": people::message_ids(),
    })
}

#[test]
fn the_signed_vectors_are_what_the_code_makes() {
    let mut expected = serde_json::to_string_pretty(&made()).unwrap();
    expected.push('\n');
    if std::env::var_os("POSTHOUSE_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(file(), expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(file()).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what the code makes.\nA changed byte is a changed protocol: if that is meant, run the test with \
         POSTHOUSE_BLESS=1 and say in the changelog what changed.",
        file().display()
    );
}
