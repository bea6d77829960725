//! Files of the vault: private to their owner, and either whole or absent.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::error::VaultError;

/// Turns an I/O error into one that names the file.
pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> VaultError {
    let path = path.to_owned();
    move |source| VaultError::File { doing, path, source }
}

/// Makes a folder that only its owner can enter.
pub(crate) fn make_dir(path: &Path) -> Result<(), VaultError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed("make the folder", path))
}

/// Opens a file to be written that only its owner can read; `new` refuses one that is there.
pub(crate) fn open_private(path: &Path, new: bool) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if new {
        options.create_new(true)
    } else {
        options.create(true).truncate(false)
    };
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a file so that after a crash it is there as a whole or not at all.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), VaultError> {
    let draft = path.with_extension("draft");
    let _ = std::fs::remove_file(&draft);
    let mut file = open_private(&draft, true).map_err(failed("make", &draft))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed("write", &draft))?;
    std::fs::rename(&draft, path).map_err(failed("write", path))?;
    if let Some(dir) = path.parent() {
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("write", dir))?;
    }
    Ok(())
}

/// Reads a file of at most `limit` bytes; a longer one is cut there.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut content)?;
    Ok(content)
}
