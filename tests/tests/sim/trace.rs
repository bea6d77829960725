//! What happened, line by line: hashed, so that two runs of one seed can be compared, and printed where one seed is replayed.

use posthouse_crypto::sha256;

/// What becomes of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracing {
    /// Nothing: the fast way.
    Off,
    /// They are hashed.
    Hash,
    /// They are hashed and printed.
    Print,
}

/// The lines so far.
#[derive(Debug)]
pub(crate) struct Trace {
    mode: Tracing,
    hash: [u8; 32],
    pub(crate) lines: u64,
}

impl Trace {
    pub(crate) fn new(mode: Tracing) -> Self {
        Self { mode, hash: [0; 32], lines: 0 }
    }

    pub(crate) fn line(&mut self, now: u64, text: impl FnOnce() -> String) {
        if self.mode == Tracing::Off {
            return;
        }
        let line = format!("{:>9}.{:03} {}", now / 1000, now % 1000, text());
        if self.mode == Tracing::Print {
            println!("{line}");
        }
        let chained = [&self.hash[..], line.as_bytes()].concat();
        self.hash = sha256(&chained);
        self.lines += 1;
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hash
    }
}
