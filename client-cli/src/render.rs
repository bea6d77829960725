//! Lines as people read them.
//!
//! What others wrote is shown without its control characters, so that nobody can play with a reader's terminal.

mod history;

use std::fmt::Write as _;

use posthouse_client::{Direction, Message, MessageKind, MessageState, Moment, Notice, Request};
use posthouse_spec::Millis;
use posthouse_spec::room::RoomKind;

use crate::line::{Delivery, Line, Registered, SentLine, SentState, Standing};
use crate::render_room::{self, name};
use crate::style::{Style, clean, indented};

/// Words of the recovery code on one line.
const WORDS_A_LINE: usize = 6;

/// A trouble, for standard error.
pub(crate) fn complaint(kind: &str, message: &str, style: Style) -> String {
    let label = format!("{kind}:");
    let label = if kind == "error" { style.red(&label) } else { style.yellow(&label) };
    format!("{label} {}", clean(message))
}

/// A line, without the end of line.
pub(crate) fn line(line: &Line, style: Style) -> String {
    match line {
        Line::Registered(registered) => self::registered(registered, style),
        Line::Sent(sent) => self::sent(sent, style),
        Line::Message(message) => self::message(message, style),
        Line::Room(room) => render_room::room(room, style),
        Line::RoomCreated(created) => render_room::created(created, style),
        Line::RoomDetails(details) => render_room::details(details, style),
        Line::RoomProfile(profile) => render_room::profile(profile, style),
        Line::RoomLeft { .. } => "left".to_owned(),
        Line::Identity(who) => {
            let mut text = format!(
                "{}\naccount  {}\ndevice   {}\nrelay    {}",
                style.bold(&who.alias.to_string()),
                who.account,
                who.device,
                who.relay_url
            );
            if who.restored.is_some() {
                text.push_str(&style.yellow("\nhistory restored; this device is not enrolled yet"));
            }
            text
        }
        Line::SafetyNumber(safety) => format!(
            "Your safety number with {}:\n\n{}\n\nCompare it with theirs, in person or on the phone. If the two are the same, nobody stands between you.",
            style.bold(&safety.alias.to_string()),
            digits(&safety.number)
        ),
        Line::Request(request) => self::request(request, style),
        Line::Contact(contact) => {
            let who = style.bold(&name(&contact.peer));
            match contact.state {
                Standing::Accepted => format!("{who} is a contact now"),
                Standing::Blocked => format!("{who} is blocked"),
            }
        }
        Line::Exported { file, messages } => format!("{messages} messages written to {}", clean(file)),
        Line::More { before, after } => {
            let (option, place) = if before.is_some() { ("--before", before) } else { ("--after", after) };
            style.dim(&format!("there may be more: add {option} {}", place.unwrap_or_default()))
        }
        Line::Retention { with, days, deleted } => history::retention(with, *days, *deleted),
        Line::Imported { file, added, known, skipped } => {
            history::imported(&clean(file), *added, *known, *skipped)
        }
        Line::Backup(backup) => history::backup(backup, &clean(&backup.file), style),
        Line::Listening { owner: true } => {
            style.dim("listening; other commands go through this one, Ctrl-C ends it")
        }
        Line::Listening { owner: false } => style.dim("following the running `listen`; Ctrl-C ends this one"),
        Line::Connected { relay_url } => style.dim(&format!("connected to {}", clean(relay_url))),
        Line::Disconnected { reason, retry_in_ms } => {
            let again = retry_in_ms.div_ceil(1000);
            style.yellow(&format!("disconnected: {}; trying again in {again} s", clean(reason)))
        }
        Line::CaughtUp => style.dim("up to date"),
        Line::Delivery(delivery) => self::delivery(delivery, style),
        Line::RoomChanged { room, peer, name } => {
            let named = name.as_ref().filter(|name| !name.is_empty()).map(|name| clean(name));
            let with = peer.as_ref().map(|peer| format!("with {peer}"));
            let which = named.or(with).unwrap_or_else(|| room.to_string());
            style.dim(&format!("the room {which} has changed"))
        }
        Line::Change(change) => render_room::change(change, style),
        Line::Notice(notice) => self::notice(notice, style),
        Line::Warning { message, .. } => complaint("warning", message, style),
    }
}

fn registered(registered: &Registered, style: Style) -> String {
    let words: Vec<&str> = registered.recovery_code.split_whitespace().collect();
    let lines: Vec<String> =
        words.chunks(WORDS_A_LINE).map(|words| format!("    {}", words.join(" "))).collect();
    format!(
        "{} is registered at {}.\n\nYour recovery code:\n\n{}\n\n\
         Write these {} words on paper and keep them where you keep what must not be lost. They are shown only now.\n\
         Whoever has them can take over the account, and without them a lost device cannot be replaced.",
        style.bold(&registered.alias.to_string()),
        clean(&registered.relay_url),
        style.bold(&lines.join("\n")),
        words.len(),
    )
}

fn sent(sent: &SentLine, style: Style) -> String {
    match sent.state {
        SentState::Accepted => "accepted".to_owned(),
        SentState::Queued => style.yellow("queued"),
        SentState::Failed => style.red("failed"),
    }
}

fn message(message: &Message, style: Style) -> String {
    let mut line = style.dim(&time(message.sent));
    let place = message.room_name.as_ref().filter(|name| !name.is_empty()).map(|name| clean(name));
    if let Some(place) = &place {
        // Writing to a string cannot fail.
        let _ = write!(line, "  {}", style.dim(place));
    }
    if message.kind == MessageKind::Room {
        let _ = write!(
            line,
            "  {}",
            style.dim(&format!("* {}", clean(message.text.as_deref().unwrap_or_default())))
        );
        return line;
    }
    let peer = message.peer.as_ref().map(ToString::to_string);
    let sender = match (&message.sender, message.account) {
        (Some(alias), _) => alias.to_string(),
        (None, Some(account)) => account.to_string(),
        (None, None) => "somebody".to_owned(),
    };
    let who = match (message.direction, peer) {
        (Direction::Out, Some(peer)) => format!("you to {peer}"),
        (Direction::Out, None) => "you".to_owned(),
        (Direction::In, _) => sender,
    };
    let _ = write!(line, "  {}: ", style.bold(&who));
    match (&message.text, message.state) {
        (Some(text), _) => line.push_str(&indented(text)),
        (None, MessageState::Undecryptable) => line.push_str(&style.yellow("(could not be opened)")),
        (None, _) => line.push_str(&style.dim("(of a kind that this version does not show)")),
    }
    let note = match message.state {
        MessageState::Queued | MessageState::Sealed => Some("queued"),
        MessageState::Failed => Some("failed"),
        _ => None,
    };
    match (note, &message.reason) {
        (Some(note), Some(reason)) => {
            let _ = write!(line, "  {}", style.yellow(&format!("[{note}: {}]", clean(reason))));
        }
        (Some(note), None) => {
            let _ = write!(line, "  {}", style.yellow(&format!("[{note}]")));
        }
        (None, _) => {}
    }
    if message.imported {
        let _ = write!(line, "  {}", style.dim("[imported]"));
    }
    line
}

fn request(request: &Request, style: Style) -> String {
    let waiting = match request.waiting {
        0 => String::new(),
        1 => ", 1 message waits".to_owned(),
        more => format!(", {more} messages wait"),
    };
    let doubt = if request.verified { "" } else { " (their relay has not confirmed the name yet)" };
    let wish = match request.kind {
        RoomKind::Group => "invites you to a group",
        RoomKind::Announcement => "invites you to a room for announcements",
        RoomKind::Direct | RoomKind::Own => "wants to talk",
    };
    let mut line = format!(
        "{}{doubt} {wish}{waiting}: `posthouse accept {}` or `posthouse block {}`",
        style.bold(&request.alias.to_string()),
        request.alias,
        request.alias
    );
    if let Some(reason) = &request.reason {
        let _ = write!(line, "\n    {}", style.yellow(&clean(reason)));
    }
    line
}

fn delivery(delivery: &Delivery, style: Style) -> String {
    let what = format!("message {} {}", delivery.local, delivery.state.name());
    match &delivery.reason {
        Some(reason) => style.yellow(&format!("{what}: {}", clean(reason))),
        None => style.dim(&what),
    }
}

fn notice(notice: &Notice, style: Style) -> String {
    style.yellow(&clean(&notice.detail))
}

/// Groups of digits, four on a line, as they are read aloud.
fn digits(number: &str) -> String {
    let groups: Vec<&str> = number.split_whitespace().collect();
    groups.chunks(4).map(|groups| format!("    {}", groups.join(" "))).collect::<Vec<_>>().join("\n")
}

/// A time in UTC.
fn time(at: Millis) -> String {
    Moment::of(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        assert_eq!(complaint("error", "no", Style::new(false)), "error: no");
        assert_eq!(complaint("error", "no", Style::new(true)), "\x1b[31merror:\x1b[0m no");
    }
}
