//! Says the story in readable lines.

use std::io::{self, Write as _};
use std::time::Instant;

/// The storyteller.
pub(crate) struct Teller {
    began: Instant,
    out: io::Stdout,
}

impl Teller {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), out: io::stdout() }
    }

    /// A heading.
    pub(crate) fn title(&mut self, text: &str) {
        self.line(&format!("\n{text}\n{}", "-".repeat(text.chars().count())));
    }

    /// A sentence of the story.
    pub(crate) fn say(&mut self, text: &str) {
        self.line(&format!("  {text}"));
    }

    /// Something that was checked.
    pub(crate) fn checked(&mut self, text: &str) {
        self.line(&format!("  ✓ {text}"));
    }

    /// Why the story broke off.
    pub(crate) fn fail(&mut self, text: &str) {
        self.line(&format!("\n  ✗ THE DEMO FAILED: {text}"));
    }

    /// A line as it is.
    pub(crate) fn line(&mut self, text: &str) {
        // The exit code says what a closed terminal cannot show.
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    /// Seconds since the beginning.
    pub(crate) fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }
}
