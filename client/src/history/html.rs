//! An export as a page that people read: one file, which needs nothing else and runs nothing.
//!
//! Whatever others wrote is escaped, stands apart from the direction of writing around it, and loses its control characters.
//! The page forbids itself every source but its own style.

use std::io::{self, Write};

use posthouse_spec::{Alias, Millis};

use super::calendar::Moment;
use crate::group::MessageKind;
use crate::model::{Direction, Message, MessageState};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.45 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:3rem;border-bottom:1px solid #8886;padding-bottom:.3rem}\
h3{font-size:.85rem;font-weight:600;text-align:center;opacity:.7;margin:1.5rem 0 .5rem}\
.m{max-width:80%;width:fit-content;margin:.4rem 0;padding:.4rem .8rem;border-radius:.8rem;background:#8882}\
.own{margin-left:auto;background:#3b82f633}\
.sys{max-width:none;width:auto;text-align:center;background:none;font-style:italic}\
.who,.note{margin:0;font-size:.8rem;opacity:.75}\
.text{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}\
.note{color:#b45309}\
footer{margin-top:3rem;font-size:.8rem;opacity:.7}";

/// A page that is being written.
pub(crate) struct Page<'a> {
    out: &'a mut (dyn Write + Send),
    /// The day of the last message of this conversation.
    day: Option<String>,
    in_conversation: bool,
    messages: u64,
}

impl<'a> Page<'a> {
    /// Begins a page.
    pub(crate) fn begin(out: &'a mut (dyn Write + Send), owner: &Alias, now: Millis) -> io::Result<Self> {
        let owner = escape(&owner.to_string());
        write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>Conversations of {owner}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <h1>Conversations of {owner}</h1>\n<p class=\"who\">Written on {}. All times are UTC.</p>\n",
            Moment::of(now)
        )?;
        Ok(Self { out, day: None, in_conversation: false, messages: 0 })
    }

    /// Begins a conversation.
    pub(crate) fn conversation(&mut self, title: &str) -> io::Result<()> {
        self.close_conversation()?;
        self.in_conversation = true;
        self.day = None;
        writeln!(self.out, "<section>\n<h2>{}</h2>", escape(title))
    }

    /// Writes one message.
    pub(crate) fn message(&mut self, message: &Message) -> io::Result<()> {
        let moment = Moment::of(message.sent);
        let date = moment.date();
        if self.day.as_ref() != Some(&date) {
            writeln!(self.out, "<h3>{date}</h3>")?;
            self.day = Some(date);
        }
        let news = message.kind == MessageKind::Room;
        let class = match (message.direction, &message.text) {
            (_, None) => "m sys",
            _ if news => "m sys",
            (Direction::Out, _) => "m own",
            (Direction::In, _) => "m",
        };
        writeln!(self.out, "<div class=\"{class}\">")?;
        // What happened in a room says itself who did it.
        let who = if news { String::new() } else { format!("<bdi>{}</bdi> · ", escape(&who(message))) };
        writeln!(self.out, "<p class=\"who\">{who}{}</p>", moment.time())?;
        match (&message.text, &message.reason) {
            (Some(text), _) => writeln!(self.out, "<p class=\"text\" dir=\"auto\">{}</p>", escape(text))?,
            (None, Some(reason)) => writeln!(self.out, "<p class=\"text\">{}</p>", escape(reason))?,
            (None, None) => writeln!(self.out, "<p class=\"text\">(of a kind that is not shown)</p>")?,
        }
        let note = note(message);
        if !note.is_empty() {
            writeln!(self.out, "<p class=\"note\">{}</p>", escape(&note))?;
        }
        self.messages += 1;
        writeln!(self.out, "</div>")
    }

    /// Ends the page; returns how many messages it has.
    pub(crate) fn end(mut self) -> io::Result<u64> {
        self.close_conversation()?;
        let messages = self.messages;
        writeln!(self.out, "<footer>{messages} messages, written by posthouse</footer>\n</body>\n</html>")?;
        self.out.flush()?;
        Ok(messages)
    }

    fn close_conversation(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.in_conversation) { writeln!(self.out, "</section>") } else { Ok(()) }
    }
}

fn who(message: &Message) -> String {
    match (message.direction, &message.sender, message.account) {
        (Direction::Out, ..) => "you".to_owned(),
        (_, Some(alias), _) => alias.to_string(),
        (_, None, Some(account)) => account.to_string(),
        (_, None, None) => "somebody".to_owned(),
    }
}

/// What is to be known of a message beside what it says.
fn note(message: &Message) -> String {
    let mut notes = Vec::new();
    match message.state {
        MessageState::Queued | MessageState::Sealed => notes.push("not sent yet".to_owned()),
        MessageState::Failed => notes.push("not delivered".to_owned()),
        MessageState::Undecryptable => notes.push("could not be opened".to_owned()),
        MessageState::Accepted | MessageState::Received => {}
    }
    if message.text.is_some() {
        notes.extend(message.reason.clone());
    }
    if message.imported {
        notes.push("imported from a file; nothing proves who wrote it".to_owned());
    }
    notes.join("; ")
}

/// Text of others as HTML, between tags or in an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            c if is_control(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Control characters, and those that turn the direction of writing around.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_others_wrote_becomes_markup() {
        let hostile = "<script>alert(1)</script>\"'&\u{202e}\u{1b}[2J\r\n";
        let safe = escape(hostile);
        assert!(!safe.contains(['<', '>', '"', '\'', '\u{202e}', '\u{1b}', '\r']), "{safe}");
        assert!(safe.ends_with('\n'));
    }
}
