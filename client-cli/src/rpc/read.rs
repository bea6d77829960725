//! Lines of input, of bounded length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// Longest line of input, bytes: a batch of the largest texts has room in it, and an open `listen` takes what it asks.
pub(crate) const MAX_LINE: usize = 1024 * 1024;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line that was longer than [`MAX_LINE`] and was skipped.
    TooLong,
    /// The end of the input.
    End,
}

/// Reads the next line that is not empty.
///
/// # Errors
/// The input fails.
pub(crate) async fn next(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Next> {
    let (mut line, mut too_long) = (Vec::new(), false);
    loop {
        let piece = from.fill_buf().await?;
        let ended = piece.is_empty();
        let end = piece.iter().position(|byte| *byte == b'\n');
        let text = &piece[..end.unwrap_or(piece.len())];
        too_long |= line.len() + text.len() > MAX_LINE;
        if too_long {
            line.clear();
        } else {
            line.extend_from_slice(text);
        }
        let taken = end.map_or(piece.len(), |end| end + 1);
        from.consume(taken);
        if end.is_none() && !ended {
            continue;
        }
        if too_long {
            return Ok(Next::TooLong);
        }
        if !line.trim_ascii().is_empty() {
            return Ok(Next::Line(line));
        }
        if ended {
            return Ok(Next::End);
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    #[tokio::test]
    async fn lines_come_one_by_one_and_the_last_needs_no_end() {
        let mut input = BufReader::with_capacity(3, &b"one\n\n \r\ntwo\r\nthree"[..]);
        for line in ["one", "two\r", "three"] {
            assert_eq!(next(&mut input).await.unwrap(), Next::Line(line.into()));
        }
        assert_eq!(next(&mut input).await.unwrap(), Next::End);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_the_next_one_read() {
        let input =
            [vec![b'a'; MAX_LINE], vec![b'\n'], vec![b'a'; 2 * MAX_LINE], b"\nnext".to_vec()].concat();
        let mut input = BufReader::new(&input[..]);
        assert_eq!(next(&mut input).await.unwrap(), Next::Line(vec![b'a'; MAX_LINE]));
        assert_eq!(next(&mut input).await.unwrap(), Next::TooLong);
        assert_eq!(next(&mut input).await.unwrap(), Next::Line(b"next".into()));
    }
}
