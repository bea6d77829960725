//! What happened in a room, as lines of its history, in the words of whoever reads them.

use std::collections::BTreeMap;

use posthouse_spec::{AccountId, RoomId};

use super::intake::Intake;
use crate::error::ClientError;
use crate::group::RoomNews;
use crate::vault::contacts;
use crate::vault::lines::{self, Line};

/// Digits of an account's id that stand for somebody whose alias is not known.
const DIGITS: usize = 8;

/// Puts a line into the history of a room.
pub(crate) async fn put(
    intake: &mut Intake<'_>,
    room: &RoomId,
    by: Option<AccountId>,
    news: &RoomNews,
) -> Result<(), ClientError> {
    let text = in_words(intake, news).await?;
    let own = by == Some(intake.owner.account.id());
    let line = Line { room, by: by.as_ref(), own, news, text: &text };
    let now = intake.now;
    let local = lines::insert(intake.tx.db()?, &line, now).await?;
    Ok(intake.tell_message(local).await?)
}

/// Says lines anew that name somebody whose alias is known now.
pub(crate) async fn rename(intake: &mut Intake<'_>, account: &AccountId) -> Result<(), ClientError> {
    for (local, news) in lines::naming(intake.tx.db()?, account).await? {
        let text = in_words(intake, &news).await?;
        lines::set_text(intake.tx.db()?, local, &text).await?;
    }
    Ok(())
}

async fn in_words(intake: &mut Intake<'_>, news: &RoomNews) -> Result<String, ClientError> {
    let mut names = BTreeMap::new();
    for account in news.accounts() {
        let name = name(intake, &account).await?;
        names.insert(account, name);
    }
    Ok(news.line(&|account| names.get(account).cloned().unwrap_or_default()))
}

/// How somebody is called here.
pub(crate) async fn name(intake: &mut Intake<'_>, account: &AccountId) -> Result<String, ClientError> {
    if *account == intake.owner.account.id() {
        return Ok("you".to_owned());
    }
    let (alias, _) = contacts::glance(intake.tx.db()?, account).await?;
    Ok(alias.map_or_else(
        || {
            let digits: String = account.to_string().chars().take(DIGITS).collect();
            format!("somebody ({digits}\u{2026})")
        },
        |alias| alias.to_string(),
    ))
}
