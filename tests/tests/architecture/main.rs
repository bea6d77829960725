//! The rules of ARCHITECTURE.md, "Rooms of the house", held to the manifests and sources as they are, and the proof
//! that each of them bites.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]

mod rules;
mod scan;
mod table;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

use table::{CRATES, MODULES};
use tree::Tree;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn hold(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn crates_depend_only_downwards() {
    let manifest = |folder: &str| std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    hold(CRATES.iter().flat_map(|row| rules::dependencies(row, &manifest(row.folder))).collect());
}

#[test]
fn modules_import_only_what_lies_below_them() {
    hold(MODULES.iter().flat_map(|row| rules::imports(row, &Tree::read(&root(), row.folder))).collect());
}

#[test]
fn no_files_import_each_other() {
    hold(CRATES.iter().flat_map(|row| rules::cycles(&Tree::read(&root(), row.folder))).collect());
}

#[test]
fn every_module_of_the_table_exists() {
    for row in MODULES {
        let tree = Tree::read(&root(), row.folder);
        for module in row.modules {
            assert!(
                tree.files.contains_key(&module.split("::").map(str::to_owned).collect::<Vec<_>>()),
                "{} has no module {module}",
                row.folder
            );
        }
    }
}

#[test]
fn the_relay_is_built_without_the_members_side() {
    let args =
        ["tree", "--package", "posthouse-relay", "--edges", "normal,features", "--offline", "--locked"];
    let output = Command::new(env!("CARGO")).current_dir(root()).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(
        tree.contains("posthouse-crypto"),
        "the relay uses crypto, or this test looks at the wrong thing"
    );
    assert!(!tree.contains("feature \"member\""), "the relay's dependencies hold the member's side:\n{tree}");
}

mod the_rules_bite {
    use crate::rules::{cycles, dependencies, imports};
    use crate::scan::references;
    use crate::table::{CRATES, Crate, MODULES};
    use crate::tree::Tree;

    fn row(folder: &str) -> &'static Crate {
        CRATES.iter().find(|row| row.folder == folder).unwrap()
    }

    fn tree(folder: &str, files: &[(&str, &str)]) -> Tree {
        let named = |(path, source): &(&str, &str)| (format!("{folder}/src/{path}"), (*source).to_owned());
        Tree::of(folder, files.iter().map(named))
    }

    fn broken(folder: &str, path: &str, source: &str) -> Vec<String> {
        let tree = tree(folder, &[("lib.rs", ""), (path, source)]);
        MODULES.iter().filter(|row| row.folder == folder).flat_map(|row| imports(row, &tree)).collect()
    }

    #[test]
    fn on_a_sibling_that_lies_above() {
        let found = dependencies(row("crypto"), "[dependencies]\nposthouse-relay.workspace = true\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crypto/Cargo.toml:2: "), "{found:?}");
    }

    #[test]
    fn on_a_runtime_in_crypto_and_any_stranger_in_spec() {
        assert_eq!(dependencies(row("crypto"), "[dependencies]\ntokio = \"1\"\n").len(), 1);
        assert_eq!(dependencies(row("spec"), "[dependencies]\nsha2 = \"1\"\n").len(), 1);
        assert_eq!(dependencies(row("client-cli"), "[dependencies]\nsqlx = \"1\"\n").len(), 1);
    }

    #[test]
    fn on_the_members_side_in_the_relay() {
        let manifest = "[dependencies]\nposthouse-crypto = { workspace = true, features = [\"member\"] }\n";
        assert_eq!(dependencies(row("relay"), manifest).len(), 1);
        assert_eq!(dependencies(row("client"), manifest).len(), 0);
    }

    #[test]
    fn not_on_what_only_tests_use() {
        assert_eq!(dependencies(row("spec"), "[dev-dependencies]\nproptest = \"1\"\n").len(), 0);
    }

    #[test]
    fn on_clocks_sockets_and_randomness_in_the_link() {
        for source in [
            "use std::time::Instant;",
            "fn f() { let now = std::time::SystemTime::now(); }",
            "use tokio::{sync::mpsc, time};",
            "use libp2p::PeerId;",
            "use rand::Rng as _;",
            "use crate::{\n    error::E,\n    node::Node,\n};",
            "use super::node::Node;",
        ] {
            let found = broken("federation", "link/mod.rs", source);
            assert_eq!(found.len(), 1 + usize::from(source.contains("mpsc")), "{source}: {found:?}");
        }
    }

    #[test]
    fn on_http_in_the_store_and_sql_in_the_rules() {
        assert_eq!(broken("relay", "store/mod.rs", "use crate::http::Api;").len(), 1);
        assert_eq!(broken("relay", "store/lanes.rs", "use posthouse_federation::LaneId;").len(), 1);
        assert_eq!(broken("relay", "rooms/mod.rs", "fn f(_: &sqlx::SqlitePool) {}").len(), 1);
        assert_eq!(broken("relay", "mailbox/mod.rs", "use tokio::sync::Mutex;").len(), 1);
        assert_eq!(broken("relay", "http/rooms.rs", "use posthouse_federation::Federation;").len(), 1);
    }

    #[test]
    fn and_name_the_line() {
        let found =
            broken("relay", "quota.rs", "//! Quotas.\n\nuse std::{\n    fmt,\n    time::Instant,\n};\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("relay/src/quota.rs:5: `std::time::Instant`"), "{found:?}");
    }

    #[test]
    fn but_not_on_comments_texts_and_tests() {
        let source = "// use tokio::time;\n/// [`tokio::time`]\nconst A: &str = \"tokio::time\";\nconst B: char = '\"';\n\
                      const C: &str = r#\"std::time::Instant\"#;\nfn f<'a>(_: &'a str) {}\n\
                      #[cfg(test)]\nmod tests { use tokio::time; fn f() { std::time::Instant::now(); } }\n";
        assert_eq!(broken("federation", "retry.rs", source), Vec::<String>::new());
    }

    #[test]
    fn on_two_files_that_import_each_other() {
        let tree = tree(
            "relay",
            &[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "use super::a::A;")],
        );
        let found = cycles(&tree);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("relay/src/a.rs:1: imports relay/src/b.rs"));
    }

    #[test]
    fn on_a_circle_through_a_reexport() {
        let files = [
            ("room/mod.rs", "mod a;\nmod b;\npub use a::A;\npub(crate) use b::{B as C};"),
            ("room/a.rs", "use super::C;"),
            ("room/b.rs", "use super::A;"),
        ];
        assert_eq!(cycles(&tree("crypto", &files)).len(), 2);
    }

    #[test]
    fn but_not_on_a_module_that_hands_its_children_on() {
        let files =
            [("room/mod.rs", "mod a;\npub use a::A;\npub struct Error;"), ("room/a.rs", "use super::Error;")];
        assert_eq!(cycles(&tree("crypto", &files)), Vec::<String>::new());
    }

    #[test]
    fn paths_are_unfolded() {
        let found = references("use a::{self, b::{C, D as E}, f::*};\nlet x = g::h::<u8>::i();");
        let texts: Vec<_> = found.iter().map(|reference| reference.text()).collect();
        assert_eq!(texts, ["a", "a::b::C", "a::b::D", "a::f::*", "g::h"]);
        assert_eq!(found[2].alias.as_deref(), Some("E"));
    }
}
