//! The overrides file: domains whose manifest is fetched from a URL of the operator's choice.
//!
//! A TOML file, one line a domain: `"b.localhost" = "http://127.0.0.1:6480"`. It is read again at each look-up, so
//! that a change needs no restart. Whoever writes it is trusted as the configuration is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use posthouse_spec::Domain;

/// The largest overrides file, bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Why the overrides file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverridesError {
    /// It cannot be read.
    #[error("the overrides file {path} cannot be read: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// It is not TOML of the right form.
    #[error(
        "the overrides file {path} is no table of domains and URLs, such as \"b.example\" = \"https://b.internal\": {why}"
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and what.
        why: String,
    },
}

/// The base URL that the file names for a domain.
pub(super) async fn look_up(path: &Path, domain: &Domain) -> Result<Option<String>, OverridesError> {
    let unreadable =
        |why: &dyn std::fmt::Display| OverridesError::Unreadable { path: path.into(), why: why.to_string() };
    let size = tokio::fs::metadata(path).await.map_err(|e| unreadable(&e))?.len();
    if size > MAX_FILE {
        return Err(unreadable(&format!("it has {size} bytes, the limit is {MAX_FILE}")));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(|e| unreadable(&e))?;
    let table: BTreeMap<String, String> = toml::from_str(&text)
        .map_err(|e| OverridesError::Form { path: path.into(), why: e.message().to_owned() })?;
    Ok(table.get(domain.as_str()).cloned())
}
