//! `posthouse-relay invite`: a token that lets people register.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use posthouse_crypto::sha256;
use posthouse_spec::Millis;
use rand::Rng as _;

use crate::config::Settings;
use crate::keys::Keys;
use crate::manifest;
use crate::store::Store;

/// Length of a token, bytes before encoding.
const TOKEN: usize = 20;
/// A day, milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Makes a token and keeps its hash in the store. The relay may run beside it.
pub(super) async fn invite(
    settings: &Settings,
    uses: u32,
    expires_days: u32,
    now: Millis,
) -> anyhow::Result<String> {
    if Keys::read(&settings.data)?.is_none() {
        anyhow::bail!(
            "{} is no relay's data folder, and a token is good for one relay only; name its folder with --data, or its configuration with --config",
            settings.data.display()
        );
    }
    if manifest::newest(&settings.data, &settings.domain)?.is_some() {
        Store::must_exist(&settings.data)?;
    }
    let mut secret = [0; TOKEN];
    rand::rng().fill_bytes(&mut secret);
    let token = URL_SAFE_NO_PAD.encode(secret);
    let expires = now.after(u64::from(expires_days) * DAY_MS);
    Store::add_invite_beside(&settings.data, now, sha256(token.as_bytes()), uses, expires)
        .await
        .with_context(|| format!("keeping an invite in {}", settings.data.display()))?;
    Ok(token)
}
