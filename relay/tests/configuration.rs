//! `posthouse-relay check`, `init` and `serve` as an operator meets them: the real program, and what it says in words.
#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use std::io::{BufRead as _, BufReader};

/// The program, without the variables of whoever runs the test.
fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthouse-relay"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("POSTHOUSE_")) {
            command.env_remove(name);
        }
    }
    command.current_dir(folder);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn check(folder: &Path, config: &str) -> (bool, String) {
    let free = "[http]\nlisten = \"127.0.0.1:0\"\n[peers]\nlisten = \"127.0.0.1:0\"\n";
    let text = if config.contains('[') { config.to_owned() } else { format!("{config}\n{free}") };
    std::fs::write(folder.join("relay.toml"), text).unwrap();
    let output = program(folder).args(["check", "--config", "relay.toml"]).output().unwrap();
    (output.status.success(), said(&output))
}

#[test]
fn check_says_in_words_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = TcpListener::bind(taken).unwrap();
    std::fs::write(folder.path().join("file"), "not a folder").unwrap();
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    std::fs::write(folder.path().join("bad.toml"), "UPPER = 1").unwrap();
    let taken = format!("[http]\nlisten = \"{taken}\"");
    let table: [(&str, &[&str]); 20] = [
        ("domain = \"Not A Domain\"", &["domain", "is not a domain"]),
        ("domian = \"a.example\"", &["no key `domian`", "did you mean `domain`?"]),
        ("domain = ", &["is not TOML"]),
        ("registration = \"everybody\"", &["registration", "none of open, invite, closed"]),
        ("public_url = \"ftp://a.example\"", &["public_url", "not a URL"]),
        ("public_url = \"http://a.example\"", &["public_url", "plain HTTP"]),
        ("[http]\nlisten = \"localhost\"", &["http.listen", "ip:port"]),
        ("[http]\nlisten = \"0.0.0.0:6480\"", &["http.listen", "plain HTTP", "certificate"]),
        ("[http]\ncertificate = \"cert.pem\"", &["http.certificate", "`http.key` is not"]),
        ("[http]\ncertificate = \"no.pem\"\nkey = \"no.pem\"", &["http.certificate", "no.pem"]),
        ("[http]\ncertificate = \"empty.pem\"\nkey = \"empty.pem\"", &["holds no certificate"]),
        ("[http]\nmax_connections = 0", &["http.max_connections"]),
        (&taken, &["http.listen", "another program has the TCP port"]),
        ("[peers]\nlisten = \"203.0.113.7:6481\"", &["peers.listen", "cannot be had"]),
        ("[peers]\npolicy = \"maybe\"", &["peers.policy", "open, allow, deny"]),
        ("[peers]\nannounce = [\"a.example:6481\"]", &["peers.announce", "multiaddress"]),
        ("[peers]\noverrides = \"absent.toml\"", &["peers.overrides", "cannot be read"]),
        ("[peers]\noverrides = \"bad.toml\"", &["`UPPER` is not a domain", "is not a URL"]),
        ("data = \"file/data\"", &["data", "cannot be written"]),
        ("[log]\nlevel = \"verbose\"", &["log.level", "`verbose` is not a level"]),
    ];
    for (config, words) in table {
        let (fine, text) = check(folder.path(), config);
        assert!(!fine, "{config} passed: {text}");
        for word in words {
            assert!(text.contains(word), "{config}: no `{word}` in: {text}");
        }
    }
    drop(holder);
}

#[test]
fn check_says_everything_at_once_and_is_content_with_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let (fine, text) =
        check(folder.path(), "domain = \"-\"\nregistration = \"x\"\n[limits]\nretention_days = 0");
    assert!(
        !fine && ["domain:", "registration:", "limits.retention_days:"].iter().all(|w| text.contains(w)),
        "{text}"
    );
    let (fine, text) = check(folder.path(), "");
    assert!(fine && text.contains("the configuration is fine"), "{text}");
}

#[test]
fn check_says_with_whom_the_relay_federates() {
    let folder = tempfile::tempdir().unwrap();
    let free = "[http]\nlisten = \"127.0.0.1:0\"\n[peers]\nlisten = \"127.0.0.1:0\"";
    for (policy, words) in [
        ("", "with everybody but those that `peers deny` names"),
        ("policy = \"deny\"\ndomains = [\"b.example\"]", "with everybody but b.example, and those"),
        (
            "policy = \"allow\"\ndomains = [\"b.example\", \"c.example\"]",
            "only with the domains that are listed (b.example, c.example)",
        ),
        ("policy = \"allow\"", "only with the domains that are listed (none yet)"),
    ] {
        let (fine, text) = check(folder.path(), &format!("{free}\n{policy}"));
        assert!(fine && text.contains(words), "{policy}: {text}");
    }
}

#[test]
fn check_judges_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    let good = rcgen::generate_simple_self_signed(vec!["a.example".into()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["a.example".into()]).unwrap();
    write("cert.pem", good.cert.pem());
    write("key.pem", good.signing_key.serialize_pem());
    write("other.pem", other.signing_key.serialize_pem());
    let mut past = rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap();
    past.not_before = rcgen::date_time_ymd(2020, 1, 1);
    past.not_after = rcgen::date_time_ymd(2021, 1, 1);
    write("old.pem", past.self_signed(&good.signing_key).unwrap().pem());
    let config = |certificate: &str, key: &str| {
        format!(
            "[http]\nlisten = \"127.0.0.1:0\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n[peers]\nlisten = \"127.0.0.1:0\""
        )
    };
    let (fine, text) = check(folder.path(), &config("cert.pem", "key.pem"));
    assert!(fine, "{text}");
    let (fine, text) = check(folder.path(), &config("cert.pem", "other.pem"));
    assert!(!fine && text.contains("is not the one of the certificate"), "{text}");
    let (fine, text) = check(folder.path(), &config("old.pem", "key.pem"));
    assert!(!fine && text.contains("not valid now"), "{text}");
}

#[test]
fn check_knows_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let made = program(folder.path()).args(["init", "--domain", "a.localhost"]).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let keys = folder.path().join("posthouse-data/keys.toml");
    let text = std::fs::read_to_string(&keys).unwrap();
    std::fs::write(&keys, text.replace("format = 2", "format = 9")).unwrap();
    let (fine, text) = check(folder.path(), "domain = \"a.localhost\"");
    assert!(!fine && text.contains("newer posthouse-relay"), "{text}");
}

#[test]
fn init_overwrites_nothing_and_its_file_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"];
    let init = || program(folder.path()).arg("init").args(flags).output().unwrap();
    let first = init();
    assert!(first.status.success(), "{}", said(&first));
    let checked = program(folder.path()).args(["check", "--config", "relay.toml"]).output().unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
    let again = init();
    assert!(!again.status.success() && said(&again).contains("overwrites nothing"), "{}", said(&again));
}

#[test]
fn serve_without_any_configuration_works_and_ends_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = program(folder.path())
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--peer-listen",
            "127.0.0.1:0",
            "--ready-file",
            "ready.json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("posthouse-relay ready domain=localhost http=http://127.0.0.1:"), "{line}");
    let ready: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("ready.json")).unwrap()).unwrap();
    let http = ready["http"].as_str().unwrap();
    assert!(line.contains(http) && ready["domain"] == "localhost", "{line} {ready}");
    assert!(ready["peers"][0].as_str().unwrap().contains("/udp/"), "{ready}");
    let checked = program(folder.path()).arg("check").output().unwrap();
    assert!(checked.status.success() && said(&checked).contains("a relay runs"), "{}", said(&checked));

    let second = program(folder.path())
        .args(["serve", "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(
        !second.status.success() && said(&second).contains("in use by another relay"),
        "{}",
        said(&second)
    );

    let killed = Command::new("kill").arg(relay.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert!(relay.wait().unwrap().success());
}
