//! Where the control socket lies, and how it is reached where the path is longer than the system lets a socket's be.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The socket's name in the data folder.
pub const SOCKET: &str = "control.sock";
/// The longest path of a socket that the system takes, bytes.
pub(super) const MAX_PATH: usize = 107;

/// A path that the system takes for the socket of a data folder; good for as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    _folder: Option<File>,
}

impl Place {
    /// The socket of a data folder. Where its path is too long, it is reached through the open folder.
    pub(super) fn of(data: &Path) -> io::Result<Self> {
        let path = data.join(SOCKET);
        if path.as_os_str().len() <= MAX_PATH {
            return Ok(Self { path, _folder: None });
        }
        let folder = File::open(data)?;
        let path = through(&folder)?.join(SOCKET);
        Ok(Self { path, _folder: Some(folder) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(target_os = "linux")]
fn through(folder: &File) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd as _;
    Ok(format!("/proc/self/fd/{}", folder.as_raw_fd()).into())
}

#[cfg(not(target_os = "linux"))]
fn through(_: &File) -> io::Result<PathBuf> {
    let why = format!("the path of a socket may have {MAX_PATH} bytes here; choose a shorter data folder");
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}
