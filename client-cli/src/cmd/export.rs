//! `export`: all messages as JSON lines or as a page, to standard output or to a new file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Deserialize;

use crate::args::history::Format;
use crate::desk::Desk;
use crate::failure::{Exit, Failure};
use crate::line::Line;
use crate::request::Lines;

/// Longest line of an export, bytes: a message of the largest text with every byte escaped, and its other fields.
const MAX_EXPORT_LINE: usize = 512 * 1024;

pub(crate) async fn execute(
    desk: &Desk,
    format: Format,
    file: Option<String>,
    after: u64,
    lines: &Lines,
) -> Result<(), Failure> {
    let mut cutter = Cutter { lines: lines.clone(), begun: Vec::new(), after: 0 };
    let messages = match format {
        Format::Json => {
            cutter.after = after;
            desk.client().export(&mut cutter).await?
        }
        // A page is for people, who want all of it.
        Format::Html => desk.client().export_html(&mut cutter).await?,
    };
    match file {
        Some(file) => lines.line(Line::Exported { file, messages }).await,
        None => Ok(()),
    }
}

/// Makes the file of an export: readable by its owner only, and never in place of another.
///
/// # Errors
/// It exists, or cannot be written.
pub(crate) fn create(path: &Path) -> Result<impl Write + use<>, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AlreadyExists => "it exists, and nothing is overwritten: name another file",
            _ => "check that the folder exists and is yours",
        };
        Failure::new(
            Exit::Other,
            "export-failed",
            format!("cannot write {}: {error}; {advice}", path.display()),
        )
    })?;
    Ok(io::BufWriter::new(file))
}

/// Cuts what is written into lines and hands them on, but for messages before a place.
struct Cutter {
    lines: Lines,
    begun: Vec<u8>,
    after: u64,
}

/// Where a message stands in the vault.
#[derive(Deserialize)]
struct Place {
    local: u64,
}

impl Cutter {
    fn passes_over(&self, line: &str) -> io::Result<bool> {
        Ok(self.after > 0 && serde_json::from_str::<Place>(line)?.local <= self.after)
    }
}

impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        self.begun.extend_from_slice(&bytes[..taken]);
        if self.begun.len() > MAX_EXPORT_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line of the export is too long"));
        }
        if self.begun.last() == Some(&b'\n') {
            self.begun.pop();
            let line = String::from_utf8(std::mem::take(&mut self.begun)).map_err(io::Error::other)?;
            if !self.passes_over(&line)? {
                self.lines.export_blocking(line).map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Item;

    async fn written(after: u64, pieces: &'static [&'static str]) -> Vec<String> {
        let (lines, mut items) = Lines::channel();
        let write = tokio::spawn(async move {
            let mut cutter = Cutter { lines, begun: Vec::new(), after };
            for piece in pieces {
                cutter.write_all(piece.as_bytes()).unwrap();
            }
        });
        write.await.unwrap();
        let mut seen = Vec::new();
        while let Some(Item::Export(line)) = items.recv().await {
            seen.push(line);
        }
        seen
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whatever_the_pieces_whole_lines_come_out() {
        let seen = written(0, &["{\"a\"", ":1}\n{", "}\n", "\n"]).await;
        assert_eq!(seen, ["{\"a\":1}", "{}", ""]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_stands_before_a_place_is_passed_over() {
        let seen = written(7, &["{\"local\":7}\n{\"local\":8}\n"]).await;
        assert_eq!(seen, ["{\"local\":8}"]);
    }
}
