//! `backup`: from what was typed to what is done. Writing and checking are asked of the open vault; bringing one back makes a
//! vault, and checking with the 24 words needs none.

use std::path::{Path, PathBuf};

use posthouse_client::{Client, ClientError, Profile, Report, Unlock, VaultError};

use crate::args::Global;
use crate::args::history::BackupCommand;
use crate::cmd::backup::line;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::line::Done;
use crate::output::Output;
use crate::place::Place;
use crate::request::{Order, Pace, Request, Words};
use crate::unlock;

/// Does what was typed.
pub(crate) async fn run(
    command: &BackupCommand,
    global: &Global,
    profile: &Profile,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        BackupCommand::Create { file } => {
            let file = absolute(file)?;
            let mut place = Place::find(profile, global).await?;
            let mut done =
                ask(&mut place, Request::BackupCreate { file: file.clone() }, global, output).await;
            if done.as_ref().is_err_and(|failure| failure.code == "no-backup-key") {
                done = async {
                    let words = Words(input::words().await?.to_string());
                    ask(&mut place, Request::LearnWords { words }, global, output).await?;
                    ask(&mut place, Request::BackupCreate { file }, global, output).await
                }
                .await;
            }
            done.and(place.leave().await)
        }
        BackupCommand::Verify { file, words: true } => {
            let words = input::words().await?;
            let report = Client::verify_backup_with_words(file, &words).await?;
            output.line(&line(Done::Verified, file, report))
        }
        BackupCommand::Verify { file, words: false } => {
            let mut place = Place::find(profile, global).await?;
            let request = Request::BackupVerify { file: absolute(file)? };
            let done = ask(&mut place, request, global, output).await;
            done.and(place.leave().await)
        }
        BackupCommand::Restore { file } => {
            let report = restore(file, global, profile).await?;
            output.line(&line(Done::Restored, file, report))
        }
    }
}

async fn restore(file: &Path, global: &Global, profile: &Profile) -> Result<Report, Failure> {
    let begun = Client::exists(profile);
    let words = input::words().await?;
    let attempt = async |unlock: Unlock| Client::restore_backup(profile, unlock, file, &words).await;
    Ok(match unlock::given(global) {
        Some(unlock) => attempt(unlock).await?,
        None => match attempt(Unlock::Keyring).await {
            Err(ClientError::Vault(VaultError::NoKeyring(_) | VaultError::OtherUnlock(_))) => {
                let passphrase = if begun { unlock::ask() } else { unlock::choose() };
                attempt(passphrase?).await?
            }
            other => other?,
        },
    })
}

async fn ask(
    place: &mut Place,
    request: Request,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let pace = Pace { timeout_ms: global.timeout * 1000, offline: true };
    place.run(Order { request, pace }, output, |item, output| output.item(item)).await
}

/// The path as the process that owns the vault finds it, which may run in another folder.
pub(crate) fn absolute(file: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(file).map_err(|error| {
        let message = format!("cannot tell where {} is: {error}", file.display());
        Failure::new(Exit::Other, "file-failed", message)
    })
}
