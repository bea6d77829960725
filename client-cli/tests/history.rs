//! History and backups from the command line, on a vault that comes back from a backup that an earlier build wrote. So this
//! holds the backup's format too: `bob.backup` is never written anew for a change of the program, only for a new format
//! (`POSTHOUSE_BLESS=1 cargo test -p posthouse-client --lib tests::backup::blessed`).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Somebody at a terminal.
struct Desk {
    home: TempDir,
}

/// What a command did.
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Outcome {
    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn texts(&self) -> Vec<String> {
        self.lines().iter().filter_map(|line| line["text"].as_str().map(str::to_owned)).collect()
    }

    fn error(&self) -> String {
        let last = self.lines().pop().expect("an error");
        last["error"]["code"].as_str().expect("a code").to_owned()
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn words() -> String {
    std::fs::read_to_string(fixture("bob.words")).expect("the words")
}

impl Desk {
    fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a folder") }
    }

    /// With the vault of the backup.
    fn restored() -> Self {
        let desk = Self::new();
        let done = desk.run_with(&["backup", "restore", &text(&fixture("bob.backup"))], &words());
        assert_eq!(done.code, 0, "{}", done.err);
        desk
    }

    fn path(&self, name: &str) -> String {
        text(&self.home.path().join(name))
    }

    fn run(&self, args: &[&str]) -> Outcome {
        self.run_with(&[&["--json"], args].concat(), "")
    }

    fn run_with(&self, args: &[&str], input: &str) -> Outcome {
        let mut child = Command::new(env!("CARGO_BIN_EXE_posthouse"))
            .args(args)
            .env("POSTHOUSE_HOME", self.home.path().join("home"))
            .env("POSTHOUSE_KEY_FILE", self.home.path().join("key"))
            .env_remove("POSTHOUSE_PROFILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        // A command that ended early does not read to the end.
        let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().expect("ended");
        let utf8 = |bytes| String::from_utf8(bytes).expect("text");
        Outcome { code: status.code().unwrap_or(-1), out: utf8(stdout), err: utf8(stderr) }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_restored_vault_reads_searches_and_exports_but_does_not_send() {
    let desk = Desk::new();
    let file = text(&fixture("bob.backup"));
    let told = desk.run_with(&["backup", "restore", &file], &words());
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.contains("This device is not enrolled yet"), "{}", told.out);
    let rooms = desk.run(&["rooms", "--offline"]);
    assert_eq!(rooms.lines()[0]["state"], "broken");
    assert!(desk.run(&["whoami"]).lines()[0]["restored"].is_u64());
    let history = desk.run(&["history", "alice@h.localhost", "--offline"]);
    assert_eq!(history.texts().len(), 5);
    let second = history.lines()[1]["local"].to_string();
    let next = desk.run(&["history", "alice@h.localhost", "--offline", "--after", &second, "--limit", "1"]);
    assert_eq!(next.texts()[0], history.texts()[2]);
    let found = desk.run(&["search", "first lett", "--with", "alice@h.localhost"]);
    assert_eq!(found.texts(), ["a first letter"]);
    let page = desk.run(&["search", "xx", "--limit", "1"]);
    assert_eq!(page.texts().len(), 1);
    assert_eq!(desk.run(&["search", "  "]).error(), "bad-search");
    let sent = desk.run(&["send", "alice@h.localhost", "hello"]);
    assert_eq!((sent.code, sent.error()), (4, "not-enrolled".to_owned()));
    // What only asks the relay for news warns and goes on.
    let inbox = desk.run(&["inbox"]);
    assert_eq!(inbox.code, 0);
    assert!(inbox.err.contains("not enrolled yet"), "{}", inbox.err);
    let again = desk.run_with(&["backup", "restore", &file], &words());
    assert_eq!(again.code, 5, "{}", again.err);
}

#[test]
fn words_are_asked_for_and_never_told() {
    let desk = Desk::new();
    let file = text(&fixture("bob.backup"));
    let verified = desk.run_with(&["--json", "backup", "verify", &file, "--words"], &words());
    assert_eq!(verified.code, 0, "{}", verified.err);
    let line = &verified.lines()[0];
    assert_eq!((line["done"].as_str(), line["alias"].as_str()), (Some("verified"), Some("bob@h.localhost")));
    assert!(line["age_ms"].is_u64());
    let words = words();
    let mut wrong: Vec<&str> = words.split_whitespace().collect();
    wrong.swap(0, 23);
    let refused = desk.run_with(&["--json", "backup", "restore", &file], &wrong.join("\n"));
    assert_eq!((refused.code, refused.error()), (2, "wrong-words".to_owned()));
    assert!(refused.err.contains("words 1 and 24 are in each other's place"), "{}", refused.err);
    assert!(!desk.home.path().join("home").join("default").exists(), "nothing was made");
    let none = desk.run_with(&["--json", "backup", "restore", &desk.path("key")], "");
    assert_eq!((none.code, none.error()), (1, "file-failed".to_owned()));
}

#[test]
fn history_is_carried_away_and_back() {
    let desk = Desk::restored();
    let (lines, page) = (desk.path("letters.jsonl"), desk.path("letters.html"));
    assert_eq!(desk.run(&["export", &lines]).lines()[0]["messages"], 5);
    assert_eq!(desk.run(&["export", &lines]).error(), "export-failed");
    assert_eq!(desk.run(&["export", "--format", "html", &page]).lines()[0]["messages"], 5);
    let html = std::fs::read_to_string(&page).expect("the page");
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    assert!(html.contains("<h2>alice@h.localhost</h2>"));
    let done = desk.run(&["import", &lines]).lines().remove(0);
    assert_eq!((done["added"].as_u64(), done["known"].as_u64()), (Some(0), Some(5)));
    let mut file = std::fs::read_to_string(&lines).expect("the lines");
    file.push_str("not a message\n");
    std::fs::write(&lines, file).expect("spoilt");
    let refused = desk.run(&["import", &lines]);
    assert_eq!((refused.code, refused.error()), (2, "bad-import".to_owned()));
    assert!(refused.err.contains("line 6: "), "{}", refused.err);
    let done = desk.run(&["import", &lines, "--skip-bad"]);
    assert_eq!(done.lines()[0]["skipped"], 1);
    assert!(done.err.contains("line 6 was left out"), "{}", done.err);
    // A conversation is kept as long as one likes.
    assert_eq!(desk.run(&["retention", "alice@h.localhost", "off"]).lines()[0]["days"], Value::Null);
    let set = desk.run(&["retention", "alice@h.localhost", "30"]).lines().remove(0);
    assert_eq!((set["days"].as_u64(), set["deleted"].is_u64()), (Some(30), true));
    let rooms = desk.run_with(&["rooms", "--offline"], "");
    assert!(rooms.out.contains("kept 30 days"), "{}", rooms.out);
    assert_eq!(desk.run(&["retention", "nobody@h.localhost"]).code, 6);
    assert_eq!(desk.run(&["retention", "alice@h.localhost", "0"]).code, 2);
}

#[test]
fn a_backup_is_written_and_tried_out() {
    let desk = Desk::restored();
    let file = desk.path("bob.backup");
    assert_eq!(desk.run(&["backup", "create", &file]).lines()[0]["done"], "written");
    let told = desk.run_with(&["backup", "verify", &file], "");
    assert!(told.out.contains("It restores:") && told.out.contains("less than an hour ago"), "{}", told.out);
    let other = desk.run(&["backup", "verify", &text(&fixture("bob.backup"))]);
    assert_eq!((other.code, other.error()), (5, "backup-of-other-vault".to_owned()));
    let mut bytes = std::fs::read(&file).expect("the file");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).expect("spoilt");
    let spoilt = desk.run(&["backup", "verify", &file]);
    assert_eq!((spoilt.code, spoilt.error()), (1, "backup-damaged".to_owned()));
    assert!(spoilt.err.contains("segment"), "{}", spoilt.err);
}
