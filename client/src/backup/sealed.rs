//! A backup's segments as a writer and a reader, in constant memory.

use std::io::{self, BufRead, Read, Write};

use posthouse_crypto::stream::{Place, SEGMENT, SEGMENT_TAG, StreamKey};
use zeroize::Zeroizing;

/// Seals what is written.
pub(super) struct SealedWriter<W> {
    out: W,
    key: StreamKey,
    number: u64,
    segment: Zeroizing<Vec<u8>>,
}

impl<W: Write> SealedWriter<W> {
    /// Begins: writes what commits to the key.
    pub(super) fn begin(mut out: W, key: StreamKey) -> io::Result<Self> {
        out.write_all(key.commitment())?;
        Ok(Self { out, key, number: 0, segment: Zeroizing::new(Vec::with_capacity(SEGMENT)) })
    }

    /// Ends: what was written before is not complete without it.
    pub(super) fn end(mut self) -> io::Result<W> {
        self.put(Place::Last(self.number))?;
        Ok(self.out)
    }

    fn put(&mut self, place: Place) -> io::Result<()> {
        let sealed = self.key.seal(place, &self.segment).ok_or(io::ErrorKind::InvalidInput)?;
        self.out.write_all(&sealed)?;
        self.segment.clear();
        self.number += 1;
        Ok(())
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full segment waits until it is known whether another one follows.
        if self.segment.len() == SEGMENT && !bytes.is_empty() {
            self.put(Place::Inner(self.number))?;
        }
        let taken = bytes.len().min(SEGMENT - self.segment.len());
        self.segment.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens what is read.
pub(super) struct SealedReader<R> {
    from: R,
    key: StreamKey,
    number: u64,
    segment: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
}

impl<R: BufRead> SealedReader<R> {
    /// Begins: `None` where the key is not the one that the file was sealed with, or what stands before was altered.
    pub(super) fn begin(mut from: R, key: StreamKey) -> io::Result<Option<Self>> {
        let mut commitment = [0; posthouse_crypto::stream::COMMITMENT];
        from.read_exact(&mut commitment)?;
        let same = commitment == *key.commitment();
        let segment = Zeroizing::new(Vec::new());
        Ok(same.then_some(Self { from, key, number: 0, segment, at: 0, ended: false }))
    }

    fn next_segment(&mut self) -> io::Result<()> {
        let mut sealed = Vec::with_capacity(SEGMENT + SEGMENT_TAG);
        (&mut self.from).take((SEGMENT + SEGMENT_TAG) as u64).read_to_end(&mut sealed)?;
        let at_end = self.from.fill_buf()?.is_empty();
        let number = self.number;
        let (place, other) = match at_end {
            true => (Place::Last(number), Place::Inner(number)),
            false => (Place::Inner(number), Place::Last(number)),
        };
        let Some(segment) = self.key.open(place, &sealed) else {
            let told = number + 1;
            let why = match (self.key.open(other, &sealed), at_end) {
                (Some(_), true) => format!("it was cut off behind segment {told}"),
                (Some(_), false) => format!("something was added behind its last segment, {told}"),
                (None, true) => format!("segment {told} was altered or cut off"),
                (None, false) => format!("segment {told} was altered"),
            };
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        self.segment = segment;
        self.at = 0;
        self.number += 1;
        self.ended = at_end;
        Ok(())
    }
}

impl<R: BufRead> Read for SealedReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.segment.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_segment()?;
        }
        let taken = into.len().min(self.segment.len() - self.at);
        into[..taken].copy_from_slice(&self.segment[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> StreamKey {
        StreamKey::derive("test", b"salt", &[9; 32])
    }

    fn seal(plain: &[u8]) -> Vec<u8> {
        let mut writer = SealedWriter::begin(Vec::new(), key()).unwrap();
        writer.write_all(plain).unwrap();
        writer.end().unwrap()
    }

    fn open(sealed: &[u8]) -> Result<Vec<u8>, String> {
        let reader = SealedReader::begin(sealed, key()).map_err(|error| error.to_string())?;
        let mut plain = Vec::new();
        let mut reader = reader.ok_or("another key")?;
        reader.read_to_end(&mut plain).map_err(|error| error.to_string())?;
        Ok(plain)
    }

    #[test]
    fn every_length_comes_back() {
        for length in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 3 * SEGMENT + 5] {
            let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            assert!(open(&seal(&plain)).unwrap() == plain, "{length}");
        }
    }

    #[test]
    fn what_was_done_to_it_is_told_by_the_segment() {
        let sealed = seal(&vec![7; 3 * SEGMENT]);
        let (step, start) = (SEGMENT + SEGMENT_TAG, 32);
        for segment in 0..3 {
            let mut altered = sealed.clone();
            altered[start + segment * step + 100] ^= 1;
            let why = open(&altered).unwrap_err();
            assert!(why.contains(&format!("segment {} was altered", segment + 1)), "{why}");
        }
        assert_eq!(open(&sealed[..start + step]).unwrap_err(), "it was cut off behind segment 1");
        assert_eq!(open(&sealed[..start + 2 * step]).unwrap_err(), "it was cut off behind segment 2");
        assert_eq!(open(&sealed[..start + step + 9]).unwrap_err(), "segment 2 was altered or cut off");
        let mut longer = sealed.clone();
        longer.push(0);
        assert_eq!(open(&longer).unwrap_err(), "something was added behind its last segment, 3");
        let mut swapped = sealed.clone();
        swapped[start..start + 2 * step].rotate_left(step);
        assert_eq!(open(&swapped).unwrap_err(), "segment 1 was altered");
        let mut other = sealed.clone();
        other[0] ^= 1;
        assert_eq!(open(&other).unwrap_err(), "another key");
        assert!(open(&sealed[..10]).is_err());
    }
}
