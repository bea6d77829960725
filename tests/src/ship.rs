//! The programs, built as they ship.
//!
//! Features unify when a workspace is built at once, which would give the relay the member side of MLS and another
//! SQLite. So each program is built alone, in a target folder of its own, by whoever comes first: a file lock keeps
//! test programs that run at the same time from doing it twice.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

/// The two programs.
#[derive(Debug, Clone)]
pub struct Ship {
    /// `posthouse-relay`.
    pub relay: PathBuf,
    /// `posthouse`.
    pub client: PathBuf,
}

impl Ship {
    /// Builds both programs, or finds them built. They are optimised if the harness is.
    ///
    /// # Errors
    /// The build fails, or the target folder cannot be written.
    pub fn build() -> Result<&'static Self> {
        static SHIP: OnceLock<std::result::Result<Ship, String>> = OnceLock::new();
        SHIP.get_or_init(|| Self::build_now().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Builds the relay alone, for whoever runs no client.
    ///
    /// # Errors
    /// The build fails, or the target folder cannot be written.
    pub fn build_relay() -> Result<PathBuf> {
        let target = target();
        let _lock = lock(&target)?;
        build_package("posthouse-relay", &target)?;
        Ok(Self::in_folder(&target).relay)
    }

    /// Whether both programs were built before, if not necessarily from today's sources.
    #[must_use]
    pub fn is_built() -> bool {
        let ship = Self::in_folder(&target());
        ship.relay.exists() && ship.client.exists()
    }

    /// The root of the workspace.
    #[must_use]
    pub fn workspace() -> PathBuf {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.parent().unwrap_or(here).to_owned()
    }

    fn build_now() -> Result<Self> {
        let target = target();
        let _lock = lock(&target)?;
        for package in ["posthouse-relay", "posthouse"] {
            build_package(package, &target)?;
        }
        let ship = Self::in_folder(&target);
        for program in [&ship.relay, &ship.client] {
            if !program.exists() {
                bail!("cargo built no {}; build it by hand and see", program.display());
            }
        }
        Ok(ship)
    }

    fn in_folder(target: &Path) -> Self {
        let folder = target.join(if OPTIMISED { "release" } else { "debug" });
        let program = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        Self { relay: program("posthouse-relay"), client: program("posthouse") }
    }
}

/// A harness without debug assertions measures, and wants programs as fast as itself.
const OPTIMISED: bool = !cfg!(debug_assertions);

fn target() -> PathBuf {
    Ship::workspace().join("target").join("ship")
}

/// Keeps other processes from building there for as long as it is held.
fn lock(target: &Path) -> Result<File> {
    fs::create_dir_all(target).with_context(|| format!("creating {}", target.display()))?;
    let path = target.join(".build-lock");
    let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    lock.lock().with_context(|| format!("locking {}", path.display()))?;
    Ok(lock)
}

fn build_package(package: &str, target: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    // What cargo says to the program that it runs would look like a changed environment to build scripts.
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_")
                || name.starts_with("CARGO_MANIFEST_")
                || matches!(name, "CARGO_CRATE_NAME" | "CARGO_BIN_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR")
        });
        if told || name == "LD_LIBRARY_PATH" {
            command.env_remove(&name);
        }
    }
    command
        .current_dir(Ship::workspace())
        .args(["build", "--quiet", "--package", package, "--target-dir"])
        .arg(target);
    if OPTIMISED {
        command.arg("--release");
    }
    let output = command.output().with_context(|| format!("running {}", cargo.display()))?;
    if !output.status.success() {
        bail!("building {package} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
