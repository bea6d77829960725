//! The number window: a device counts its submits without gaps, and a repeat changes nothing.
//!
//! The relay keeps the last number that it took and the body hash of each number in the credit window. A client that
//! lost its connection sends the stored bytes again under the stored number, and gets the earlier answer.

use std::collections::VecDeque;

use posthouse_crypto::sha256;
use posthouse_spec::client::socket::Submit;
use posthouse_spec::limits::SUBMIT_WINDOW;
use posthouse_spec::{Cbor, Number};

/// What a number says of the submit that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberCheck {
    /// The next one: take it.
    New,
    /// Taken before, with the same content: answer as before.
    Repeat,
    /// Taken before, with other content.
    Reused,
    /// A number before it is missing.
    Gap,
}

/// The numbers that one device has used, as far back as the credit window reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberWindow {
    accepted: Number,
    /// Hashes of the newest numbers; the last one belongs to `accepted`.
    hashes: VecDeque<[u8; 32]>,
}

/// The hash by which a repeat is known: of the room, the epoch and the body.
#[must_use]
pub fn body_hash(submit: &Submit) -> [u8; 32] {
    sha256(&submit.to_cbor())
}

impl NumberWindow {
    /// The window as it was stored: the last number taken, and the hashes of the newest ones in ascending order.
    #[must_use]
    pub fn restore(accepted: Number, hashes: impl IntoIterator<Item = [u8; 32]>) -> Self {
        Self { accepted, hashes: hashes.into_iter().collect() }
    }

    /// The last number that was taken; 0 for none.
    #[must_use]
    pub fn accepted(&self) -> Number {
        self.accepted
    }

    /// The last number that has left the window, if any has.
    #[must_use]
    pub fn forgotten(&self) -> Number {
        Number(self.accepted.0.saturating_sub(SUBMIT_WINDOW))
    }

    /// Judges a number. One that has left the window is taken for a repeat: a client sends again only what its
    /// credit window holds, and what lies below was answered long ago.
    #[must_use]
    pub fn check(&self, number: Number, hash: &[u8; 32]) -> NumberCheck {
        if number == self.accepted.next() {
            return NumberCheck::New;
        }
        if number > self.accepted {
            return NumberCheck::Gap;
        }
        let age = usize::try_from(self.accepted.0 - number.0).unwrap_or(usize::MAX);
        match self.hashes.iter().rev().nth(age) {
            Some(known) if known != hash => NumberCheck::Reused,
            _ if number == Number(0) => NumberCheck::Reused,
            _ => NumberCheck::Repeat,
        }
    }

    /// Takes the next number.
    pub fn take(&mut self, hash: [u8; 32]) {
        self.accepted = self.accepted.next();
        self.hashes.push_back(hash);
        while self.hashes.len() as u64 > SUBMIT_WINDOW {
            self.hashes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_once_and_in_order() {
        let mut window = NumberWindow::default();
        assert_eq!(window.check(Number(0), &[0; 32]), NumberCheck::Reused);
        assert_eq!(window.check(Number(2), &[2; 32]), NumberCheck::Gap);
        for n in 1..=1000u64 {
            let hash = sha256(&n.to_be_bytes());
            assert_eq!(window.check(Number(n), &hash), NumberCheck::New);
            window.take(hash);
            assert_eq!(window.check(Number(n), &hash), NumberCheck::Repeat);
            assert_eq!(window.check(Number(n), &[9; 32]), NumberCheck::Reused);
        }
        let oldest = window.forgotten().next();
        assert_eq!(oldest, Number(1000 - SUBMIT_WINDOW + 1));
        assert_eq!(window.check(oldest, &sha256(&oldest.0.to_be_bytes())), NumberCheck::Repeat);
        assert_eq!(window.check(oldest, &[9; 32]), NumberCheck::Reused);
    }
}
