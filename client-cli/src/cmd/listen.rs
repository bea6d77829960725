//! `listen`: tells what happens, as it happens. The first one on a vault owns it and serves other commands; any further
//! one follows it.

use posthouse_client::{Event, MessageState, Notice};
use tokio::sync::broadcast::error::RecvError;

use crate::desk::{Desk, Link};
use crate::failure::{Exit, Failure};
use crate::line::{Delivery, Line};
use crate::request::Lines;

/// Tells what happens at a live desk to somebody who came later, until they go.
pub(crate) async fn follow(desk: &Desk, lines: &Lines) -> Result<(), Failure> {
    let live = desk
        .is_live()
        .ok_or_else(|| Failure::new(Exit::Other, "not-live", "nothing is live here: run `listen` again"))?;
    let mut events = live.events();
    lines.line(Line::Listening { owner: false }).await?;
    let link = live.link().borrow().clone();
    if let Link::Up { relay_url, caught_up } = link {
        lines.line(Line::Connected { relay_url }).await?;
        if caught_up {
            lines.line(Line::CaughtUp).await?;
        }
    }
    tokio::select! {
        told = tell(&mut events, lines) => told,
        () = lines.closed() => Ok(()),
    }
}

/// Tells every event until the live sync ends.
pub(crate) async fn tell(
    events: &mut tokio::sync::broadcast::Receiver<Event>,
    lines: &Lines,
) -> Result<(), Failure> {
    loop {
        match events.recv().await {
            Ok(event) => lines.line(line_of(event)).await?,
            Err(RecvError::Lagged(missed)) => lines.line(Line::Notice(missed_events(missed))).await?,
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

fn missed_events(missed: u64) -> Notice {
    Notice {
        code: "events-missed".to_owned(),
        detail: format!(
            "{missed} events came faster than they were read; nothing is lost, see `inbox` and `history`"
        ),
        alias: None,
        room: None,
    }
}

fn line_of(event: Event) -> Line {
    let delivery =
        |local, state, room, code, reason| Line::Delivery(Delivery { local, state, room, code, reason });
    match event {
        Event::Connected { relay_url } => Line::Connected { relay_url },
        Event::Disconnected { reason, retry_in_ms } => Line::Disconnected { reason, retry_in_ms },
        Event::CaughtUp => Line::CaughtUp,
        Event::Message(message) => Line::Message(message),
        Event::Request(request) => Line::Request(request),
        Event::Sealed { local, room } => delivery(local, MessageState::Sealed, Some(room), None, None),
        Event::Accepted { local, room } => delivery(local, MessageState::Accepted, Some(room), None, None),
        Event::Failed { local, code, reason } => {
            delivery(local, MessageState::Failed, None, Some(code), Some(reason))
        }
        Event::RoomChanged { room, peer, name } => Line::RoomChanged { room, peer, name },
        Event::Change(change) => Line::Change(change),
        Event::Notice(notice) => Line::Notice(notice),
    }
}
