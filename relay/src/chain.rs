//! The links of the relay's own chain of manifests, for whoever has to follow it from an earlier one or to check what was
//! signed under one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use posthouse_spec::limits::MAX_MANIFEST;
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{ManifestSeq, Signed};

use crate::manifest::file;

/// The chain in a data folder. Clones share it.
#[derive(Debug, Clone)]
pub struct Chain(Arc<PathBuf>);

impl Chain {
    /// The chain of the data folder `data`.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self(Arc::new(data.to_owned()))
    }

    /// The manifest at a position, if there was one.
    ///
    /// # Errors
    /// The file cannot be read, or is no manifest.
    pub async fn link(&self, seq: ManifestSeq) -> io::Result<Option<Signed<Manifest>>> {
        let damaged = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let path = file(&self.0, seq);
        match tokio::fs::read(&path).await {
            Ok(bytes) if bytes.len() > MAX_MANIFEST => {
                Err(damaged(format!("{} is too long", path.display())))
            }
            Ok(bytes) => Signed::from_bytes(bytes.into())
                .map(Some)
                .map_err(|fault| damaged(format!("{} is damaged ({fault})", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
