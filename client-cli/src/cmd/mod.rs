//! The commands, one file each. All but `register`, `backup restore`, `completions` and `man` ask something of an open vault, here
//! or in a running `listen`.

pub(crate) mod accept;
pub(crate) mod backup;
pub(crate) mod block;
pub(crate) mod completions;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod inbox;
pub(crate) mod listen;
pub(crate) mod man;
pub(crate) mod mark_read;
pub(crate) mod register;
pub(crate) mod requests;
pub(crate) mod retention;
pub(crate) mod room;
pub(crate) mod rooms;
pub(crate) mod search;
pub(crate) mod send;
pub(crate) mod verify;
pub(crate) mod whoami;

use std::pin::Pin;

use posthouse_client::Search;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::request::{Lines, Order, Request};

/// A command at work.
type Work<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// Does what is asked of an open vault.
///
/// # Errors
/// What the command says; lines that were handed on before stay true.
pub(crate) async fn execute(desk: &Desk, order: Order, lines: &Lines) -> Result<(), Failure> {
    let pace = order.pace;
    match order.request {
        Request::Send { to, texts } => send::execute(desk, &to, &texts, pace, lines).await,
        Request::Listen => listen::follow(desk, lines).await,
        Request::Inbox { mark_read } => inbox::execute(desk, mark_read, pace, lines).await,
        Request::MarkRead { locals } => mark_read::execute(desk, &locals).await,
        Request::Rooms => rooms::execute(desk, pace, lines).await,
        Request::History { with, limit, before, after } => {
            let page = posthouse_client::Page { after, before, limit };
            history::execute(desk, &with, page, pace, lines).await
        }
        Request::Whoami => whoami::execute(desk, lines).await,
        Request::Verify { alias } => verify::execute(desk, &alias, lines).await,
        Request::Requests => requests::execute(desk, pace, lines).await,
        Request::Accept { alias } => accept::execute(desk, &alias, pace, lines).await,
        Request::Block { alias } => block::execute(desk, &alias, pace, lines).await,
        Request::Search { text, with, since, until, before, after, limit } => {
            let search = Search { text, within: None, since, until, before, after, limit: Some(limit) };
            boxed(search::execute(desk, search, with, pace, lines)).await
        }
        Request::Retention { with, keep } => boxed(retention::execute(desk, &with, keep, pace, lines)).await,
        Request::Export { format, file, after } => {
            boxed(export::execute(desk, format, file, after, lines)).await
        }
        Request::Import { file, skip_bad } => boxed(import::execute(desk, file, skip_bad, lines)).await,
        Request::BackupCreate { file } => boxed(backup::create(desk, file, lines)).await,
        Request::BackupVerify { file } => boxed(backup::verify(desk, file, lines)).await,
        Request::LearnWords { words } => boxed(backup::learn(desk, words)).await,
        Request::Room(request) => room::execute(desk, request, pace, lines).await,
    }
}

/// Keeps large work off the stack of whoever waits for it.
fn boxed<'a>(work: impl Future<Output = Result<(), Failure>> + Send + 'a) -> Work<'a> {
    Box::pin(work)
}
