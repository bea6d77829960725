//! A scanner that finds which paths a Rust source names. It knows no more of Rust than this needs: comments and literals
//! are blanked, test modules are left out, `use` trees are unfolded.

/// A path that a source names, such as `crate::store::Store` or `tokio::time`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) line: usize,
    pub(crate) path: Vec<String>,
    /// The name that a `use` gives it, where it is not the last segment.
    pub(crate) alias: Option<String>,
    /// Whether it is a `pub use`: handing something on is no import.
    pub(crate) reexport: bool,
}

impl Reference {
    pub(crate) fn text(&self) -> String {
        self.path.join("::")
    }
}

/// Every path that the source names outside its tests.
pub(crate) fn references(source: &str) -> Vec<Reference> {
    let code = without_tests(&blank(source));
    let mut found = Vec::new();
    let mut rest = Cursor { code: &code, at: 0 };
    while let Some((start, word)) = rest.word() {
        if word == "use" {
            let reexport = is_public(&code[..start]);
            let end = code[rest.at..].find(';').map_or(code.len(), |n| rest.at + n);
            let tree = &code[rest.at..end];
            unfold(tree, Vec::new(), line_of(&code, rest.at), reexport, &mut found);
            rest.at = end;
        } else if let Some(path) = rest.path_from(word) {
            found.push(Reference { line: line_of(&code, start), path, alias: None, reexport: false });
        }
    }
    found
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].bytes().filter(|byte| *byte == b'\n').count() + 1
}

fn is_public(before: &str) -> bool {
    let before = before.trim_end();
    before.ends_with("pub")
        || (before.ends_with(')') && before.rfind("pub(").is_some_and(|at| !before[at..].contains(';')))
}

struct Cursor<'a> {
    code: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn word(&mut self) -> Option<(usize, &'a str)> {
        let start = self.at + self.code[self.at..].find(is_ident)?;
        let len = self.code[start..].find(|c| !is_ident(c)).unwrap_or(self.code.len() - start);
        self.at = start + len;
        Some((start, &self.code[start..self.at]))
    }

    /// The path that begins with this word, if more than the word belongs to it.
    fn path_from(&mut self, first: &str) -> Option<Vec<String>> {
        let mut path = vec![first.to_owned()];
        while self.code[self.at..].starts_with("::") && self.code[self.at + 2..].starts_with(is_ident) {
            self.at += 2;
            let (_, word) = self.word()?;
            path.push(word.to_owned());
        }
        (path.len() > 1 && !first.starts_with(|c: char| c.is_ascii_digit())).then_some(path)
    }
}

fn is_ident(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Unfolds `a::{b, c::d as e}` into its paths. The line is that of the branch.
fn unfold(tree: &str, prefix: Vec<String>, line: usize, reexport: bool, found: &mut Vec<Reference>) {
    let line =
        line + tree.len().checked_sub(tree.trim_start().len()).map_or(0, |n| tree[..n].matches('\n').count());
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let (path, alias) = match tree.split_once(" as ") {
            Some((path, alias)) => (path, Some(alias.trim().to_owned())),
            None => (tree, None),
        };
        let mut whole = prefix;
        whole.extend(path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()));
        if whole.last().is_some_and(|last| last == "self") && whole.len() > 1 {
            whole.pop();
        }
        if !whole.is_empty() {
            found.push(Reference { line, path: whole, alias, reexport });
        }
        return;
    };
    let mut inner = prefix;
    inner.extend(tree[..open].split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()));
    let close = tree.rfind('}').unwrap_or(tree.len());
    let body = &tree[open + 1..close];
    let mut depth = 0;
    let mut start = 0;
    let ends = body.char_indices().chain([(body.len(), ',')]);
    for (at, c) in ends {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let above = tree[..open].matches('\n').count() + body[..start].matches('\n').count();
                unfold(&body[start..at], inner.clone(), line + above, reexport, found);
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Comments and the inside of literals become spaces, so that positions and lines stay.
fn blank(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let keep =
        |out: &mut String, text: &str| out.extend(text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
    while let Some(c) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |n| n + 2)
        } else if c == '"' {
            string_len(rest)
        } else if let Some(len) = raw_string_len(rest, out.chars().next_back()) {
            len
        } else if c == '\'' {
            char_len(rest)
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        keep(&mut out, &rest[..len]);
        rest = &rest[len..];
    }
    out
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string_len(text: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(is_ident) {
        return None;
    }
    let body = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inner = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - inner.len();
    Some(inner.find(&end).map_or(text.len(), |n| start + n + end.len()))
}

/// A character literal, or just the quote of a lifetime.
fn char_len(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[2..].find('\'').map_or(1, |n| n + 3),
        Some((at, c)) if text[at + c.len_utf8()..].starts_with('\'') => at + c.len_utf8() + 1,
        _ => 1,
    }
}

/// Blanks what stands behind `#[cfg(test)]`: a module, or whatever other item it is.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let end = item_end(&out, start + "#[cfg(test)]".len());
        let blanked: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blanked);
    }
    out
}

fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[start..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return start + at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return start + at + 1,
            _ => {}
        }
    }
    code.len()
}
