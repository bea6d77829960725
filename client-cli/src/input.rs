//! Texts that come from standard input.

use posthouse_spec::limits::MAX_TEXT;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

use crate::failure::{Exit, Failure};

/// Most texts that are stored before the relay is asked to take them, items.
const MAX_BATCH: usize = 256;
/// Most bytes of them: well below what one line to a running `listen` takes.
const MAX_BATCH_BYTES: usize = 512 * 1024;

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
