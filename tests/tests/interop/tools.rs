//! What these tests need of the machine: Node.js with its packages, and Python with its.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use posthouse_tests::{Ship, tools};
use tokio::process::Command;

const NODE: &str = "Node.js 20.19 or newer: on Debian and Ubuntu `apt-get install nodejs npm`";
const PYTHON: &str = "Python 3: on Debian and Ubuntu `apt-get install python3 python3-venv`";
const PACKAGES: &str = "`npm ci` in tests/interop";
const VENV: &str = "`python3 -m venv target/interop-venv`, then \
    `target/interop-venv/bin/pip install -r tests/interop/requirements.txt`";
/// The oldest Node.js that runs the packages.
const OLDEST_NODE: (u32, u32) = (20, 19);

/// The programs, with everything that they need.
pub(crate) struct Tools {
    pub(crate) node: PathBuf,
    python: PathBuf,
}

impl Tools {
    /// Finds them all. `None` means that the test is to be skipped, which has been said by then.
    pub(crate) fn find() -> Result<Option<Self>> {
        let Some(node) = tools::require("node", NODE)? else { return Ok(None) };
        let version = said_by(&node, &["--version"]).unwrap_or_default();
        if version_of(&version) < Some(OLDEST_NODE) {
            tools::missing(&format!("a Node.js newer than {}", version.trim()), NODE)?;
            return Ok(None);
        }
        if !Self::folder().join("node_modules/libp2p/package.json").exists() {
            tools::missing("what the other relay is made of, tests/interop/node_modules,", PACKAGES)?;
            return Ok(None);
        }
        let venv = Ship::workspace().join("target/interop-venv/bin/python3");
        let python = if venv.exists() { Some(venv) } else { tools::require("python3", PYTHON)? };
        let Some(python) = python else { return Ok(None) };
        if said_by(&python, &["-c", "import cbor2, pycose"]).is_none() {
            tools::missing("the Python package pycose", VENV)?;
            return Ok(None);
        }
        Ok(Some(Self { node, python }))
    }

    /// The folder of the other relay.
    pub(crate) fn folder() -> PathBuf {
        Ship::workspace().join("tests/interop")
    }

    /// Has an envelope and the manifest of its origin checked, and what is left of them with a byte changed.
    pub(crate) async fn check_envelope(
        &self,
        manifest: &Path,
        envelope: &Path,
        origin: &str,
        destination: &str,
    ) -> Result<()> {
        let mut command = Command::new(&self.python);
        command.current_dir(Self::folder()).arg("check_envelope.py").args([manifest, envelope]);
        command.args(["--origin", origin, "--destination", destination]);
        let output = command.output().await.context("running check_envelope.py")?;
        if !output.status.success() {
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            bail!("check_envelope.py: {out}{err}");
        }
        Ok(())
    }
}

/// What a program prints, if it ends well.
fn said_by(program: &Path, args: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The numbers of a version such as `v20.20.2`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
