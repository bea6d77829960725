//! The commands, one file each. All but `register`, `completions` and `man` ask something of an open vault, here or in a
//! running `listen`.

pub(crate) mod accept;
pub(crate) mod block;
pub(crate) mod completions;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod inbox;
pub(crate) mod listen;
pub(crate) mod man;
pub(crate) mod mark_read;
pub(crate) mod register;
pub(crate) mod requests;
pub(crate) mod room;
pub(crate) mod rooms;
pub(crate) mod send;
pub(crate) mod verify;
pub(crate) mod whoami;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::request::{Lines, Order, Request};

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
        Request::History { with, limit, before } => {
            let page = posthouse_client::Page { after: None, before, limit };
            history::execute(desk, &with, page, pace, lines).await
        }
        Request::Whoami => whoami::execute(desk, lines).await,
        Request::Verify { alias } => verify::execute(desk, &alias, lines).await,
        Request::Requests => requests::execute(desk, pace, lines).await,
        Request::Accept { alias } => accept::execute(desk, &alias, pace, lines).await,
        Request::Block { alias } => block::execute(desk, &alias, pace, lines).await,
        Request::Room(request) => room::execute(desk, request, pace, lines).await,
        Request::Export { after } => export::execute(desk, after, lines).await,
    }
}
