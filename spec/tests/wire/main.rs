//! The wire format, held to its vectors, its laws, its CDDL and its chapters.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]

mod book;
mod cddl;
mod chapters;
mod content;
mod cose;
mod frames;
mod kinds;
mod laws;
mod negative;
mod positive;
mod samples;
mod source;

use std::collections::BTreeSet;

#[test]
fn the_vector_files_hold_what_the_code_makes() {
    let vectors = positive::all();
    book::hold_vectors(&vectors);
    book::hold_negatives(&negative::all(&vectors));
}

#[test]
fn every_vector_reads_and_writes_itself() {
    for vector in positive::all() {
        let again = (kinds::named(vector.kind).recode)(&vector.bytes);
        assert_eq!(again.as_deref(), Ok(&vector.bytes[..]), "{}", vector.name);
    }
}

#[test]
fn every_type_has_a_vector() {
    let shown: BTreeSet<_> = positive::all().iter().map(|vector| vector.kind).collect();
    let missing: Vec<_> = kinds::all().map(|kind| kind.name).filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "no vector for {missing:?}");
}

#[test]
fn every_negative_vector_breaks_the_rule_that_it_names() {
    for negative in negative::all(&positive::all()) {
        match (kinds::named(negative.kind).recode)(&negative.bytes) {
            Err(fault) => assert_eq!(fault.rule(), negative.rule, "{}: {fault}", negative.name),
            Ok(_) => panic!("{} was read", negative.name),
        }
    }
}

#[test]
fn every_rule_of_the_encoding_has_a_negative_vector() {
    let broken: BTreeSet<_> = negative::all(&positive::all()).iter().map(|negative| negative.rule).collect();
    let rules: BTreeSet<_> = source::rules().into_iter().collect();
    assert_eq!(rules, broken.into_iter().map(str::to_owned).collect());
}

#[test]
fn vector_names_are_unique() {
    let vectors = positive::all();
    let negatives = negative::all(&vectors);
    let names = vectors.iter().map(|v| &v.name).collect::<Vec<_>>();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    let names = negatives.iter().map(|n| &n.name).collect::<Vec<_>>();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}
