//! Rooms of many, their members and their changes, as people read them.

use std::fmt::Write as _;

use posthouse_client::{ChangeState, ChangeStatus, PeerRef, RoomMember, RoomRules, RoomState, RoomSummary};
use posthouse_spec::room::RoomKind;

use crate::line::{ProfileLine, RoomCreated, RoomDetails};
use crate::style::{Style, clean, indented};

/// How somebody is called.
pub(crate) fn name(peer: &PeerRef) -> String {
    peer.alias.as_ref().map_or_else(|| peer.account.to_string(), ToString::to_string)
}

/// A room in a list.
pub(crate) fn room(room: &RoomSummary, style: Style) -> String {
    let mut line = head(room, style);
    // Writing to a string cannot fail.
    let _ = write!(line, "\n    {}", foot(room, style));
    line
}

fn head(room: &RoomSummary, style: Style) -> String {
    let named = room.name.as_ref().filter(|name| !name.is_empty()).map(|name| clean(name));
    let with = named.unwrap_or_else(|| room.peer.as_ref().map_or_else(|| room.room.to_string(), name));
    let what = match room.kind {
        RoomKind::Group => "group",
        RoomKind::Announcement => "announcements",
        RoomKind::Direct => "direct room",
        RoomKind::Own => "own devices",
    };
    let mut line = format!("{}  {what}", style.bold(&with));
    if room.kind != RoomKind::Direct {
        let people = if room.members == 1 { "person" } else { "people" };
        let _ = write!(line, ", {} {people}", room.members);
    }
    if room.unread > 0 {
        let _ = write!(line, ", {} unread", room.unread);
    }
    if let Some(days) = room.retention_days {
        let _ = write!(line, ", kept {days} days");
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
    line
}

fn foot(room: &RoomSummary, style: Style) -> String {
    style.dim(&format!("{} epoch {} suite {} hub {}", room.room, room.epoch, room.suite, room.hub))
}

/// All of one room.
pub(crate) fn details(details: &RoomDetails, style: Style) -> String {
    let mut lines = vec![head(&details.room, style)];
    if !details.description.is_empty() {
        lines.push(format!("    {}", indented(&details.description)));
    }
    lines.push(format!("    {}", foot(&details.room, style)));
    lines.extend(details.rules.as_ref().map(|rules| format!("    {}", style.dim(&self::rules(rules)))));
    lines.extend(details.people.iter().map(|member| self::member(member, style)));
    for banned in details.rules.iter().flat_map(|rules| &rules.banned) {
        lines.push(format!("  {:8}{}", "banned", name(banned)));
    }
    lines.extend(details.changes.iter().map(|change| format!("  {}", self::change(change, style))));
    lines.join("\n")
}

fn rules(rules: &RoomRules) -> String {
    format!("the least role that writes: {}, adds: {}, changes: {}", rules.write, rules.add, rules.change)
}

fn member(member: &RoomMember, style: Style) -> String {
    let who = member.alias.as_ref().map_or_else(|| member.account.to_string(), ToString::to_string);
    let own = if member.own { " (you)" } else { "" };
    let devices =
        if member.devices == 1 { "1 device".to_owned() } else { format!("{} devices", member.devices) };
    let mut line = format!("  {:8}{}{own}  ", member.role.name(), style.bold(&who));
    line.push_str(&style.dim(&format!("at {}, {devices}", member.home)));
    if member.leaving {
        line.push_str(&style.yellow(", leaving"));
    }
    if let Some(reason) = &member.reason {
        let _ = write!(line, ": {}", clean(reason));
    }
    line
}

/// A wanted change.
pub(crate) fn change(change: &ChangeStatus, style: Style) -> String {
    let what = clean(&change.change.to_string());
    let mut line = match change.state {
        ChangeState::Done => style.dim(&format!("done: {what}")),
        ChangeState::Refused => style.red(&format!("refused: {what}")),
        ChangeState::Waiting | ChangeState::Deciding => style.yellow(&format!("kept: {what}")),
    };
    if let Some(reason) = &change.reason {
        let _ = write!(line, ": {}", clean(reason));
    }
    line
}

/// A room that was made.
pub(crate) fn created(created: &RoomCreated, style: Style) -> String {
    let what = if created.announcement { "room for announcements" } else { "group" };
    let mut lines = vec![format!("{}  a new {what}", style.bold(&clean(&created.name)))];
    lines.push(format!("    {}", style.dim(&created.room.to_string())));
    lines.extend(created.changes.iter().map(|change| format!("  {}", self::change(change, style))));
    lines.join("\n")
}

/// What a room says of itself now.
pub(crate) fn profile(line: &ProfileLine, style: Style) -> String {
    let profile = &line.profile;
    let mut text = format!("the room says of itself: {}", style.bold(&clean(&profile.name)));
    if !profile.description.is_empty() {
        let _ = write!(text, "\n    {}", indented(&profile.description));
    }
    if let Some(picture) = &profile.picture {
        let _ = write!(text, "\n    a picture of {} bytes", picture.0.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use posthouse_client::RoomChange;
    use posthouse_spec::RoomId;

    use super::*;

    #[test]
    fn a_change_says_what_became_of_it_and_why() {
        let told = |state, reason: Option<&str>| {
            let change = RoomChange::Add { alias: "bob@b.example".parse().unwrap() };
            let room = RoomId::new([1; 32]);
            let status = ChangeStatus { id: 1, room, change, state, reason: reason.map(str::to_owned) };
            super::change(&status, Style::new(false))
        };
        assert_eq!(told(ChangeState::Done, None), "done: add bob@b.example");
        assert_eq!(
            told(ChangeState::Waiting, Some("waiting for b.example")),
            "kept: add bob@b.example: waiting for b.example"
        );
        assert_eq!(told(ChangeState::Refused, Some("no\x1b")), "refused: add bob@b.example: no\u{fffd}");
    }
}
