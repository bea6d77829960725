//! The sources of a crate as modules, and which file a path leads to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::scan::{Reference, references};

/// One source file.
#[derive(Debug)]
pub(crate) struct File {
    /// From the workspace's root, for messages.
    pub(crate) path: String,
    /// Its module: empty for `lib.rs` and `main.rs`.
    pub(crate) module: Vec<String>,
    pub(crate) references: Vec<Reference>,
}

/// A crate's files, by module.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<Vec<String>, File>,
}

impl Tree {
    /// Reads all of `src` below the folder of a crate. What is called `tests` there is left out.
    pub(crate) fn read(root: &Path, folder: &str) -> Self {
        let src = root.join(folder).join("src");
        let mut paths = Vec::new();
        collect(&src, &mut paths);
        assert!(!paths.is_empty(), "{} holds no sources", src.display());
        let sources = paths.iter().map(|path| {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            (name, std::fs::read_to_string(path).unwrap())
        });
        Self::of(folder, sources)
    }

    /// The same of sources in memory.
    pub(crate) fn of(folder: &str, sources: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut tree = Self::default();
        for (path, source) in sources {
            let within =
                path.strip_prefix(folder).and_then(|rest| rest.strip_prefix("/src/")).unwrap_or(&path);
            let module = module_of(within);
            if module.iter().any(|part| part == "tests") {
                continue;
            }
            let references = references(&source);
            tree.files.insert(module.clone(), File { path, module, references });
        }
        tree
    }

    /// A path in the crate's own terms, from its root; `None` if it leads out of the crate.
    pub(crate) fn absolute(&self, from: &File, path: &[String]) -> Option<Vec<String>> {
        let mut base = from.module.clone();
        match path[0].as_str() {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                base.truncate(base.len().saturating_sub(up));
                base.extend_from_slice(&path[up..]);
                return Some(base);
            }
            child => {
                base.push(child.to_owned());
                if !self.files.contains_key(&base) {
                    return None;
                }
                base.extend_from_slice(&path[1..]);
                return Some(base);
            }
        }
        base.extend_from_slice(&path[1..]);
        Some(base)
    }

    /// The file in which the thing at this path is defined, as far as re-exports tell.
    pub(crate) fn file_of(&self, absolute: &[String]) -> Option<&File> {
        self.follow(absolute, 8)
    }

    fn follow(&self, absolute: &[String], hops: usize) -> Option<&File> {
        let depth = (0..=absolute.len()).rev().find(|depth| self.files.contains_key(&absolute[..*depth]))?;
        let file = &self.files[&absolute[..depth]];
        let Some(item) = absolute.get(depth).filter(|_| hops > 0) else { return Some(file) };
        for reexport in file.references.iter().filter(|reference| reference.reexport) {
            let named = reexport.alias.as_ref().or(reexport.path.last()) == Some(item);
            if named && let Some(target) = self.absolute(file, &reexport.path) {
                return self.follow(&target, hops - 1);
            }
        }
        Some(file)
    }
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn module_of(within: &str) -> Vec<String> {
    let mut parts: Vec<String> = within.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod")) || parts == ["lib"] || parts == ["main"] {
        parts.pop();
    }
    parts
}
