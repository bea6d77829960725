//! Texts that come from standard input.

use std::io::{IsTerminal as _, Write as _};

use posthouse_spec::limits::MAX_TEXT;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};

/// Most texts that are stored before the relay is asked to take them, items.
const MAX_BATCH: usize = 256;
/// Most bytes of them: well below what one line to a running `listen` takes.
const MAX_BATCH_BYTES: usize = 512 * 1024;

/// Most bytes of a recovery code: 24 words with white space.
const MAX_WORDS: u64 = 4096;
/// Words of a recovery code.
const WORDS: usize = 24;

/// Reads the words of a recovery code, from the terminal or whatever stands for it: over as many lines as they take.
///
/// # Errors
/// Nothing can be read.
pub(crate) async fn words() -> Result<Zeroizing<String>, Failure> {
    if std::io::stdin().is_terminal() {
        // Where standard error is closed, there is nobody to ask.
        let _ = writeln!(
            std::io::stderr(),
            "The 24 words of the recovery code, in order, on one line or several:"
        );
    }
    words_of(BufReader::new(tokio::io::stdin())).await
}

async fn words_of(from: impl AsyncBufRead + Unpin) -> Result<Zeroizing<String>, Failure> {
    // Sized for the longest, so that no shorter copy stays behind when it grows.
    let mut words = Zeroizing::new(String::with_capacity(usize::try_from(MAX_WORDS).unwrap_or_default()));
    let mut from = from.take(MAX_WORDS);
    while words.split_whitespace().count() < WORDS {
        let before = words.len();
        from.read_line(&mut words).await.map_err(unreadable)?;
        let nothing_more = words[before..].trim().is_empty();
        if words.len() == before || (nothing_more && !words.trim().is_empty()) {
            break;
        }
    }
    Ok(words)
}

/// Reads everything as one text, without the line's end behind it.
///
/// # Errors
/// It is too long, or no text.
pub(crate) async fn whole(from: impl AsyncBufRead + Unpin) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    from.take(MAX_TEXT as u64 + 2).read_to_end(&mut bytes).await.map_err(unreadable)?;
    text(bytes)
}

/// Texts that were read together.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The texts; none at the end of the input.
    pub(crate) texts: Vec<String>,
    /// What stands behind them and cannot be sent.
    pub(crate) broken: Option<Failure>,
}

/// Reads lines, each of which is a text: as many as have come already, but at least one. Empty lines are passed over.
pub(crate) async fn batch<R: AsyncRead + Unpin>(from: &mut BufReader<R>) -> Batch {
    let (mut texts, mut bytes) = (Vec::new(), 0);
    while texts.is_empty()
        || (!from.buffer().is_empty() && texts.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES)
    {
        match line(from).await {
            Ok(None) => break,
            Ok(Some(line)) if line.is_empty() => {}
            Ok(Some(line)) => {
                bytes += line.len();
                texts.push(line);
            }
            Err(failure) => return Batch { texts, broken: Some(failure) },
        }
    }
    Batch { texts, broken: None }
}

async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<String>, Failure> {
    let mut bytes = Vec::new();
    match from.take(MAX_TEXT as u64 + 2).read_until(b'\n', &mut bytes).await.map_err(unreadable)? {
        0 => Ok(None),
        _ => text(bytes).map(Some),
    }
}

fn text(mut bytes: Vec<u8>) -> Result<String, Failure> {
    for end in *b"\n\r" {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    if bytes.len() > MAX_TEXT {
        let message = format!("a text on standard input is longer than {MAX_TEXT} bytes: send it in parts");
        return Err(Failure::usage("text-too-long", message));
    }
    String::from_utf8(bytes)
        .map_err(|_| Failure::usage("not-text", "standard input is not UTF-8: convert it to UTF-8 first"))
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::new(Exit::Other, "input", format!("cannot read standard input: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_may_stand_on_several_lines() {
        let typed = format!("{}\n{}\nnot these", "a ".repeat(20), "b ".repeat(4));
        assert_eq!(words_of(typed.as_bytes()).await.unwrap().split_whitespace().count(), 24);
        assert_eq!(words_of(&b"\n one two\n\nthree"[..]).await.unwrap().trim(), "one two");
        assert_eq!(words_of(&b""[..]).await.unwrap().as_str(), "");
    }

    #[tokio::test]
    async fn every_line_is_a_text() {
        let mut input = BufReader::new(&b"one\r\n\ntwo\nthree"[..]);
        assert_eq!(batch(&mut input).await.texts, ["one", "two", "three"]);
        assert!(batch(&mut input).await.texts.is_empty());
    }

    #[tokio::test]
    async fn lines_before_a_broken_one_are_kept() {
        let mut input = BufReader::new(&b"one\n\xff\n"[..]);
        let batch = batch(&mut input).await;
        assert_eq!(batch.texts, ["one"]);
        assert_eq!(batch.broken.unwrap().code, "not-text");
    }

    #[tokio::test]
    async fn a_text_may_be_as_long_as_a_message_and_no_longer() {
        let longest = format!("{}\n", "x".repeat(MAX_TEXT));
        assert_eq!(whole(longest.as_bytes()).await.unwrap().len(), MAX_TEXT);
        assert_eq!(whole(&[b'x'; MAX_TEXT + 1][..]).await.unwrap_err().code, "text-too-long");
        let endless = [b'x'; 2 * MAX_TEXT];
        assert_eq!(batch(&mut BufReader::new(&endless[..])).await.broken.unwrap().code, "text-too-long");
        assert_eq!(whole(&b"\xff"[..]).await.unwrap_err().code, "not-text");
    }
}
