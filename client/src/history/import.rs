//! Reading the JSON lines of an export back.
//!
//! What a file says is hearsay: nothing in it proves who wrote what. So each message is marked as imported for good, and
//! where the same one came through the vault, that one stands.

use std::io::{BufRead, Read as _};

use posthouse_spec::limits::MAX_TEXT;
use posthouse_spec::{AccountId, Millis};

use super::error::BadLine;
use crate::model::{Direction, Message};

/// Longest line of an import, bytes: a message of the largest text with every byte escaped, and its other fields.
const MAX_LINE: u64 = 512 * 1024;
/// Longest reason that a message may have, bytes.
const MAX_REASON: usize = 4096;
/// The end of the year 9999, milliseconds.
const MAX_TIME: Millis = Millis(253_402_300_799_999);
/// Bad lines that are told one by one.
pub(crate) const TOLD_LINES: usize = 10;

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// Messages that are new here.
    pub added: u64,
    /// Messages that were here already.
    pub known: u64,
    /// Bad lines that were left out.
    pub skipped: u64,
    /// The first of them.
    pub bad: Vec<BadLine>,
}

/// Reads messages line by line, in bounded memory.
pub(crate) struct Lines<'a, R> {
    from: R,
    owner: &'a AccountId,
    number: u64,
}

/// What a line holds.
pub(crate) type Line = Result<Box<Message>, BadLine>;

impl<'a, R: BufRead> Lines<'a, R> {
    /// Reads for the vault of this account.
    pub(crate) fn new(from: R, owner: &'a AccountId) -> Self {
        Self { from, owner, number: 0 }
    }

    /// The next line that is not empty; `None` at the end.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let mut line = Vec::new();
            if (&mut self.from).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            if line.last() != Some(&b'\n') && line.len() as u64 == MAX_LINE {
                self.pass_over_rest()?;
                return Ok(Some(Err(BadLine { number, why: format!("it is longer than {MAX_LINE} bytes") })));
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return Ok(Some(parse(&line, self.owner).map_err(|why| BadLine { number, why })));
        }
    }

    fn pass_over_rest(&mut self) -> std::io::Result<()> {
        loop {
            let buffer = self.from.fill_buf()?;
            let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.from.consume(used);
            if ended {
                return Ok(());
            }
        }
    }
}

/// Reads one line and checks what no message of this account can be.
fn parse(line: &[u8], owner: &AccountId) -> Result<Box<Message>, String> {
    let message: Message = serde_json::from_slice(line).map_err(|error| {
        // The line of the file is told beside it; the error's own line is always 1.
        let text = error.to_string();
        format!("it is no message ({})", text.split(" at line ").next().unwrap_or(&text))
    })?;
    if message.text.as_ref().is_some_and(|text| text.len() > MAX_TEXT) {
        return Err(format!("its text is longer than {MAX_TEXT} bytes"));
    }
    if message.reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON) {
        return Err(format!("its reason is longer than {MAX_REASON} bytes"));
    }
    if message.sent > MAX_TIME || message.received.is_some_and(|received| received > MAX_TIME) {
        return Err("its time is after the year 9999".to_owned());
    }
    if message.direction == Direction::Out && message.account != Some(*owner) {
        return Err("another account than this vault's wrote it as its own".to_owned());
    }
    if message.direction == Direction::In && message.account == Some(*owner) {
        return Err("it came from somebody else, but names this vault's account".to_owned());
    }
    if message.peer_account == Some(*owner) {
        return Err("it names a conversation of this account with itself".to_owned());
    }
    Ok(Box::new(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> Vec<Line> {
        let owner = AccountId::new([1; 32]);
        let mut lines = Lines::new(bytes, &owner);
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn garbage_is_named_by_its_line() {
        let long = "x".repeat(2 * usize::try_from(MAX_LINE).unwrap());
        let text = format!("\n{{}}\n{long}\n[1,2]\n\u{0}\n{{\"local\":");
        let lines = read_all(text.as_bytes());
        let numbers: Vec<u64> = lines.iter().map(|line| line.as_ref().unwrap_err().number).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6]);
        assert!(lines[1].as_ref().unwrap_err().why.contains("longer"));
        assert_eq!(read_all(&[0xff; 64])[0].as_ref().unwrap_err().number, 1);
        assert!(read_all("[".repeat(4000).as_bytes())[0].is_err());
    }
}
