//! The relay that floods in the scenario `flood`, in a process of its own.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result};
use libp2p::identity::{PublicKey, ed25519};
use posthouse_hostile::peer::Identity;
use posthouse_hostile::{burden, flood};
use posthouse_spec::Signed;
use posthouse_spec::manifest::{Manifest, WELL_KNOWN_PATH};
use serde_json::json;

use crate::args::Deluge;

/// Says where its manifest is, as a line of an overrides file, waits for a line, floods for so many seconds, and says what it did.
pub(crate) fn run(relay: &str, deluge: Deluge, seconds: u64) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        // Each has a name of its own: what the one before did is remembered.
        let evil = Identity::publish(&format!("evil{}.localhost", std::process::id())).await?;
        say(&format!("\"{}\" = \"{}\"", evil.domain, evil.url))?;
        io::stdin().read_line(&mut String::new()).context("waiting for the word to begin")?;
        let manifest = reqwest::get(format!("{relay}{WELL_KNOWN_PATH}")).await?.bytes().await?;
        let manifest = Signed::<Manifest>::from_bytes(manifest)?.peek()?;
        let node = manifest.nodes.first().context("the relay has no node")?;
        let key = PublicKey::from(ed25519::PublicKey::try_from_bytes(node.key.as_bytes())?);
        let peer = key.to_peer_id();
        let addresses: Vec<String> = manifest.addresses.iter().map(|at| format!("{at}/p2p/{peer}")).collect();
        let time = Duration::from_secs(seconds);
        let done = match deluge {
            Deluge::Junk => flood::flood(&evil, &manifest.domain, &addresses, time).await,
            Deluge::Valid => burden::burden(&evil, &manifest.domain, &addresses, time).await,
        };
        say(&json!({ "tried": done.tried, "refused": done.refused }).to_string())
    })
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
