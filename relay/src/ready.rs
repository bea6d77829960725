//! What a relay says when it serves: a line on standard output, and the same as JSON in a file.

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// Where a relay serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Its domain.
    pub domain: String,
    /// The base URL of the socket that it listens at.
    pub http: String,
    /// The multiaddresses that its node listens at, QUIC first.
    pub peers: Vec<String>,
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "posthouse-relay ready domain={} http={} peer={}",
            self.domain,
            self.http,
            self.peers.join(",")
        )
    }
}

impl Ready {
    /// Writes the file whole, in place of an earlier one.
    ///
    /// # Errors
    /// What the system said.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_string(self).map_err(std::io::Error::other)?;
        let temporary = path.with_extension("ready-new");
        std::fs::write(&temporary, format!("{text}\n"))?;
        std::fs::rename(&temporary, path)
    }
}
