//! Lines as people read them.
//!
//! What others wrote is shown without its control characters, so that nobody can play with a reader's terminal.

use std::fmt::Write as _;

use posthouse_client::{
    ChangeState, ChangeStatus, Direction, Message, MessageState, Notice, PeerRef, Request, RoomState,
    RoomSummary,
};
use posthouse_spec::Millis;

use crate::line::{Delivery, Line, Registered, SentLine, SentState, Standing};

/// Words of the recovery code on one line.
const WORDS_A_LINE: usize = 6;

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    colours: bool,
}

impl Style {
    pub(crate) fn new(colours: bool) -> Self {
        Self { colours }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    fn red(self, text: &str) -> String {
        self.paint("31", text)
    }
}

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
        Line::Room(room) => self::room(room, style),
        Line::Identity(who) => {
            format!(
                "{}\naccount  {}\ndevice   {}\nrelay    {}",
                style.bold(&who.alias.to_string()),
                who.account,
                who.device,
                who.relay_url
            )
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
        Line::RoomChanged { room, peer } => {
            let with = peer.as_ref().map_or_else(|| room.to_string(), ToString::to_string);
            style.dim(&format!("the room with {with} has changed"))
        }
        Line::Change(change) => self::change(change, style),
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
    // Writing to a string cannot fail.
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
    line
}

fn change(change: &ChangeStatus, style: Style) -> String {
    let what = clean(&change.change.to_string());
    let mut line = match change.state {
        ChangeState::Done => style.dim(&format!("done: {what}")),
        ChangeState::Refused => style.red(&format!("not done: {what}")),
        ChangeState::Waiting | ChangeState::Deciding => style.yellow(&format!("not yet: {what}")),
    };
    if let Some(reason) = &change.reason {
        let _ = write!(line, ": {}", clean(reason));
    }
    line
}

fn room(room: &RoomSummary, style: Style) -> String {
    let named = room.name.as_ref().filter(|name| !name.is_empty()).map(|name| clean(name));
    let with = named.unwrap_or_else(|| room.peer.as_ref().map_or_else(|| room.room.to_string(), name));
    let mut line = format!("{}  {} room", style.bold(&with), room.kind);
    match room.unread {
        0 => {}
        unread => {
            let _ = write!(line, ", {unread} unread");
        }
    }
    match room.state {
        RoomState::Active => {}
        RoomState::Founding => line.push_str(&style.yellow(", being founded")),
        RoomState::Broken => line.push_str(&style.red(", broken")),
        RoomState::Left => line.push_str(&style.dim(", left")),
        RoomState::Removed => line.push_str(&style.dim(", removed from it")),
    }
    if let Some(reason) = &room.reason {
        let _ = write!(line, ": {}", clean(reason));
    }
    let _ = write!(
        line,
        "\n    {}",
        style.dim(&format!("{} epoch {} suite {} hub {}", room.room, room.epoch, room.suite, room.hub))
    );
    line
}

fn request(request: &Request, style: Style) -> String {
    let waiting = match request.waiting {
        0 => String::new(),
        1 => ", 1 message waits".to_owned(),
        more => format!(", {more} messages wait"),
    };
    let doubt = if request.verified { "" } else { " (their relay has not confirmed the name yet)" };
    let mut line = format!(
        "{}{doubt} wants to talk{waiting}: `posthouse accept {}` or `posthouse block {}`",
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

fn name(peer: &PeerRef) -> String {
    peer.alias.as_ref().map_or_else(|| peer.account.to_string(), ToString::to_string)
}

/// Groups of digits, four on a line, as they are read aloud.
fn digits(number: &str) -> String {
    let groups: Vec<&str> = number.split_whitespace().collect();
    groups.chunks(4).map(|groups| format!("    {}", groups.join(" "))).collect::<Vec<_>>().join("\n")
}

/// Text of others on one line.
fn clean(text: &str) -> String {
    text.chars().map(|c| if is_control(c) { '\u{fffd}' } else { c }).collect()
}

/// Text of others; its lines stay lines, and are set in so that none looks like a message of its own.
fn indented(text: &str) -> String {
    text.lines().map(|line| clean(&line.replace('\t', "    "))).collect::<Vec<_>>().join("\n    ")
}

/// Characters that a terminal obeys, those that end a line unseen, and those that turn the direction of writing around.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time in UTC.
fn time(at: Millis) -> String {
    let minutes = at.0 / 60_000;
    let (days, minute) = (minutes / 1440, minutes % 1440);
    // Howard Hinnant, "chrono-compatible low-level date algorithms": civil_from_days, for days since 1970.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}Z", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_dates() {
        assert_eq!(time(Millis(0)), "1970-01-01 00:00Z");
        assert_eq!(time(Millis(951_782_400_000)), "2000-02-29 00:00Z");
        assert_eq!(time(Millis(1_795_174_500_000)), "2026-11-20 11:35Z");
    }

    #[test]
    fn nobody_plays_with_the_terminal() {
        assert_eq!(clean("\x1b[2Jhello\r"), "\u{fffd}[2Jhello\u{fffd}");
        assert_eq!(clean("\u{9b}1m\u{202e}\u{2028}\u{61c}"), "\u{fffd}1m\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(indented("one\r\n\x1b[1mtwo"), "one\n    \u{fffd}[1mtwo");
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        assert_eq!(complaint("error", "no", Style::new(false)), "error: no");
        assert_eq!(complaint("error", "no", Style::new(true)), "\x1b[31merror:\x1b[0m no");
    }
}
