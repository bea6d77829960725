//! The rules as functions of what was read: each gives the violations, with file, line and rule.

use std::collections::{BTreeMap, BTreeSet};

use crate::table::{Crate, Module};
use crate::tree::{File, Tree};

/// Dependencies of a manifest that the crate's row forbids.
pub(crate) fn dependencies(row: &Crate, manifest: &str) -> Vec<String> {
    let parsed: toml::Table = manifest.parse().expect("a Cargo.toml is TOML");
    let mut violations = Vec::new();
    let tables =
        ["dependencies", "build-dependencies"].into_iter().filter_map(|table| parsed.get(table)?.as_table());
    for (name, value) in tables.flatten() {
        let at = format!("{}/Cargo.toml:{}", row.folder, line_of(manifest, name));
        let ours = name == "posthouse" || name.starts_with("posthouse-");
        if ours && !row.siblings.contains(&name.as_str()) {
            violations.push(format!("{at}: {} does not depend on {name}: arrows point down only", row.name));
        } else if row.never.contains(&name.as_str()) {
            violations.push(format!("{at}: {} never depends on {name}", row.name));
        } else if !ours && row.only.is_some_and(|only| !only.contains(&name.as_str())) {
            violations.push(format!(
                "{at}: {} depends on nothing but its short list, and {name} is not on it",
                row.name
            ));
        }
        let features = value.get("features").and_then(|features| features.as_array());
        let member = features.into_iter().flatten().any(|feature| feature.as_str() == Some("member"));
        if member && row.folder != crate::table::MEMBER_SIDE {
            violations
                .push(format!("{at}: only {} has the member's side of rooms", crate::table::MEMBER_SIDE));
        }
    }
    violations
}

fn line_of(manifest: &str, name: &str) -> usize {
    let starts = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '.', '=']));
    manifest.lines().position(starts).map_or(1, |at| at + 1)
}

/// Paths that the files of a module name and may not.
pub(crate) fn imports(row: &Module, tree: &Tree) -> Vec<String> {
    let inside = |file: &&File| {
        row.modules.iter().any(|module| {
            let parts: Vec<&str> = module.split("::").collect();
            file.module.len() >= parts.len() && parts.iter().zip(&file.module).all(|(a, b)| a == b)
        })
    };
    let mut violations = Vec::new();
    for file in tree.files.values().filter(inside) {
        for reference in &file.references {
            let named = match tree.absolute(file, &reference.path) {
                Some(path) => [vec!["crate".to_owned()], path].concat(),
                None => reference.path.clone(),
            };
            let forbidden = row.never.iter().find(|never| {
                never.split("::").zip(&named).filter(|(a, b)| a == b).count() == never.split("::").count()
            });
            if let Some(forbidden) = forbidden {
                violations.push(format!(
                    "{}:{}: `{}`: {} never names {forbidden}: {}",
                    file.path,
                    reference.line,
                    reference.text(),
                    file.module[0],
                    row.why
                ));
            }
        }
    }
    violations
}

/// Groups of files that import each other, directly or in a circle.
pub(crate) fn cycles(tree: &Tree) -> Vec<String> {
    let mut edges: BTreeMap<&[String], BTreeMap<&[String], usize>> = BTreeMap::new();
    for file in tree.files.values() {
        for reference in file.references.iter().filter(|reference| !reference.reexport) {
            let target = tree.absolute(file, &reference.path).and_then(|path| tree.file_of(&path));
            if let Some(target) = target.filter(|target| target.module != file.module) {
                edges.entry(&file.module).or_default().entry(&target.module).or_insert(reference.line);
            }
        }
    }
    let reachable: BTreeMap<_, _> = edges.keys().map(|from| (*from, reach(from, &edges))).collect();
    let mut violations = Vec::new();
    for (from, targets) in &edges {
        for (to, line) in targets {
            if reachable.get(to).is_some_and(|reach| reach.contains(from)) {
                let (from, to) = (&tree.files[*from].path, &tree.files[*to].path);
                violations.push(format!(
                    "{from}:{line}: imports {to}, which leads back to it: no circles between files"
                ));
            }
        }
    }
    violations
}

fn reach<'a>(
    from: &'a [String],
    edges: &BTreeMap<&'a [String], BTreeMap<&'a [String], usize>>,
) -> BTreeSet<&'a [String]> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        for to in edges.get(at).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(*to) {
                next.push(to);
            }
        }
    }
    seen
}
