//! Looks for texts in files, as somebody who took the disk would.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// What a search of a folder saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// How many files were read.
    pub files: usize,
    /// How many bytes they hold.
    pub bytes: u64,
    /// Which text stands in which file.
    pub found: Vec<(String, PathBuf)>,
}

impl Search {
    /// Reads every file below `folder` and looks for each text: as UTF-8, UTF-16, hexadecimal and base64.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn folder(folder: &Path, texts: &[impl AsRef<str>]) -> Result<Self> {
        let needles: Vec<(String, Vec<Vec<u8>>)> =
            texts.iter().map(|text| (text.as_ref().to_owned(), forms(text.as_ref()))).collect();
        let mut search = Self::default();
        search.walk(folder, &needles)?;
        Ok(search)
    }

    fn walk(&mut self, folder: &Path, needles: &[(String, Vec<Vec<u8>>)]) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                self.walk(&path, needles)?;
            } else if path.is_file() {
                let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                self.files += 1;
                self.bytes += bytes.len() as u64;
                let hit = |forms: &[Vec<u8>]| forms.iter().any(|form| contains(&bytes, form));
                let hits = needles.iter().filter(|(_, forms)| hit(forms));
                self.found.extend(hits.map(|(text, _)| (text.clone(), path.clone())));
            }
        }
        Ok(())
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let first = needle.first().copied();
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| Some(*byte) == first) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

fn forms(text: &str) -> Vec<Vec<u8>> {
    let utf16 = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![text.as_bytes().to_vec(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)];
    forms.extend([hex.to_uppercase().into_bytes(), hex.into_bytes()]);
    forms.extend((0..3).map(|offset| base64_core(text, offset)));
    forms
}

/// The characters of the text's base64 that do not depend on what stands around it, if it begins `offset` bytes into a
/// group of three.
fn base64_core(text: &str, offset: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let whole: Vec<u8> = text.bytes().skip((3 - offset) % 3).collect();
    let groups = whole.chunks_exact(3).flat_map(|group| {
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize])
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_every_form() {
        let folder = tempfile::tempdir().unwrap();
        let text = "meet me at noon";
        for form in forms(text) {
            fs::create_dir_all(folder.path().join("deep")).unwrap();
            let file = folder.path().join("deep/file");
            fs::write(&file, [b"before ", &form[..], b" behind"].concat()).unwrap();
            let search = Search::folder(folder.path(), &[text, "something else"]).unwrap();
            assert_eq!(search.found, [(text.to_owned(), file)]);
        }
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        assert_eq!(base64_core("Man", 0), b"TWFu");
        assert_eq!(base64_core("xMan", 2), b"TWFu");
        assert_eq!(base64_core("xxMan", 1), b"TWFu");
    }
}
