//! The vector files: compared with what the code makes, and written anew only when `POSTHOUSE_BLESS=1` is set.

use std::path::PathBuf;

use serde_json::{Value, json};

/// A value and its bytes.
pub(crate) struct Vector {
    /// The file, without its ending.
    pub(crate) file: &'static str,
    /// Unique within the file.
    pub(crate) name: String,
    /// The type's name in `posthouse.cddl`.
    pub(crate) kind: &'static str,
    /// What it shows.
    pub(crate) about: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Bytes that must be refused.
pub(crate) struct Negative {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) bytes: Vec<u8>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Whether files are to be written rather than compared.
pub(crate) fn blessing() -> bool {
    std::env::var_os("POSTHOUSE_BLESS").is_some_and(|value| value == "1")
}

/// Holds a text file to what it ought to be.
pub(crate) fn hold(path: &std::path::Path, expected: &str) {
    if blessing() {
        std::fs::write(path, expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what the code makes.\nA changed byte is a changed protocol: if that is meant, run the test with \
         POSTHOUSE_BLESS=1 and say in the changelog what changed.",
        path.display()
    );
}

fn pretty(about: &str, vectors: Vec<Value>) -> String {
    let mut text = serde_json::to_string_pretty(&json!({ "about": about, "vectors": vectors })).unwrap();
    text.push('\n');
    text
}

/// Holds the positive vectors, file by file.
pub(crate) fn hold_vectors(vectors: &[Vector]) {
    let mut files: Vec<_> = vectors.iter().map(|vector| vector.file).collect();
    files.dedup();
    for file in files {
        let entries = vectors.iter().filter(|vector| vector.file == file).map(|vector| {
            json!({
                "name": vector.name,
                "type": vector.kind,
                "about": vector.about,
                "hex": hex::encode(&vector.bytes),
                "diagnostic": minicbor::display(&vector.bytes).to_string(),
            })
        });
        let about = "Values of the types of posthouse.cddl and their only encoding. Keys, hashes and signatures are \
                     made-up bytes here; signed.json has real ones.";
        hold(&folder().join(format!("{file}.json")), &pretty(about, entries.collect()));
    }
}

/// Holds the negative vectors.
pub(crate) fn hold_negatives(negatives: &[Negative]) {
    let entries = negatives.iter().map(|negative| {
        json!({
            "name": negative.name,
            "type": negative.kind,
            "rule": negative.rule,
            "hex": hex::encode(&negative.bytes),
        })
    });
    let about =
        "Bytes that a reader of the named type must refuse, and the rule of encoding.md that they break.";
    hold(&folder().join("malformed.json"), &pretty(about, entries.collect()));
}
