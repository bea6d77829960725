//! Programs that some tests need and that not every machine has.
//!
//! A test whose tool is missing says so where nobody overlooks it, with how to install it. On somebody's own machine it
//! is skipped then; where `CI` is `true` it fails, so that no tool can disappear from there unseen. What was skipped is also
//! written to the file that `POSTHOUSE_SKIPPED` names, for whoever runs all tests and tells at the end.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Names the file to which skipped tests are written.
const SKIPPED: &str = "POSTHOUSE_SKIPPED";

/// Finds a program in the `PATH`; `how` says how to install it. `None` means that the test is to be skipped.
///
/// # Errors
/// It is missing, and `CI` is `true`.
pub fn require(program: &str, how: &str) -> Result<Option<PathBuf>> {
    match find(program) {
        Some(path) => Ok(Some(path)),
        None => missing(&format!("the program `{program}`"), how).map(|()| None),
    }
}

/// Says that something which a test needs is missing, and how to get it; the test is to be skipped then.
///
/// # Errors
/// `CI` is `true`: the test fails there.
pub fn missing(what: &str, how: &str) -> Result<()> {
    if env::var("CI").is_ok_and(|value| value == "true") {
        bail!("{what} is missing, and CI must have it. To install it: {how}");
    }
    shout(&format!("{what} is missing. To install it: {how}"));
    Ok(())
}

/// Says that this machine does not permit what a test needs, and what would; the test is to be skipped then. That is no
/// fault of what is tested, so it fails nowhere.
pub fn not_permitted(what: &str, how: &str) {
    shout(&format!("{what} is not permitted here. {how}"));
}

/// Past the test runner, which shows what a test prints only when it fails.
fn shout(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("\n!!! SKIPPED: {test}\n!!! {why}\n\n");
    // Without a standard error nobody is there to be told.
    let _ = io::stderr().lock().write_all(line.as_bytes());
    if let Some(path) = env::var_os(SKIPPED) {
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        // The standard error has said it.
        let _ = file.and_then(|mut file| file.write_all(format!("{test}: {why}\n").as_bytes()));
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && may_run(&found))
}

#[cfg(unix)]
fn may_run(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    found.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn may_run(_: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_what_is_not_is_not() {
        assert!(find("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find("a-program-that-nobody-has"), None);
    }
}
