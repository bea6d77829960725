//! `register`: an account, a vault, and the recovery code.

use posthouse_client::{Client, ClientError, Profile, Unlock, VaultError};

use crate::args::{Global, RegisterArgs};
use crate::failure::Failure;
use crate::line::{Line, Registered};
use crate::output::Output;
use crate::unlock;

pub(crate) async fn run(
    args: &RegisterArgs,
    global: &Global,
    profile: &Profile,
    output: &mut Output,
) -> Result<(), Failure> {
    let begun = Client::exists(profile);
    let attempt = async |unlock: Unlock| {
        let invite = args.invite.as_ref().map(|token| token.as_str());
        Client::register(profile, unlock, &args.alias, args.relay.as_deref(), invite).await
    };
    let registered = match unlock::given(global) {
        Some(unlock) => attempt(unlock).await?,
        None => match attempt(Unlock::Keyring).await {
            Err(ClientError::Vault(VaultError::NoKeyring(_) | VaultError::OtherUnlock(_))) => {
                let passphrase = if begun { unlock::ask() } else { unlock::choose() };
                attempt(passphrase?).await?
            }
            other => other?,
        },
    };
    let who = registered.client.whoami().await?;
    output.line(&Line::Registered(Registered {
        alias: who.alias,
        account: who.account,
        device: who.device,
        relay_url: who.relay_url,
        recovery_code: registered.recovery_code.to_string(),
    }))?;
    registered.client.recovery_code_shown().await?;
    Ok(registered.client.close().await?)
}
