//! Marks: what a relay puts on its own messages so that word of them finds its way back to the sender.
//!
//! A message that was acknowledged has left its origin's outbox, and yet may expire at its destination weeks later. The mark
//! names the sending device and its number, sealed so that only the origin can read it: to every other relay it is
//! noise that tells nothing about which member has sent the message.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, AeadInOut as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use posthouse_spec::{RoomId, labels};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Length of the random part in front, bytes.
const NONCE_LEN: usize = 24;
/// What is inside, bytes: two numbers of eight.
const INSIDE_LEN: usize = 16;
/// What proves it, bytes.
const TAG_LEN: usize = 16;
/// The label, in front of the room.
const LABEL: &[u8] = labels::MARK_KEY.as_bytes();

/// The key of one relay's marks. It never leaves the relay's store.
pub struct MarkKey(Zeroizing<[u8; 32]>);

/// Whom a mark names: numbers that mean something to its relay alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked {
    /// The device's row.
    pub device: u64,
    /// The device's own number of the message.
    pub number: u64,
}

impl fmt::Debug for MarkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MarkKey(..)")
    }
}

impl MarkKey {
    /// The key that was stored as these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.0).into())
    }

    /// The mark of a message in `room`; nothing only if the cipher fails, which it does for no input of this length.
    pub fn seal(&self, room: &RoomId, marked: Marked, rng: &mut impl CryptoRng) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        // In place, because every message to another relay gets a mark.
        let mut mark = Vec::with_capacity(NONCE_LEN + INSIDE_LEN + TAG_LEN);
        mark.extend_from_slice(&nonce);
        mark.extend_from_slice(&marked.device.to_be_bytes());
        mark.extend_from_slice(&marked.number.to_be_bytes());
        let inside = mark.get_mut(NONCE_LEN..)?;
        let tag =
            self.cipher().encrypt_inout_detached(&nonce.into(), &associated(room), inside.into()).ok()?;
        mark.extend_from_slice(&tag);
        Some(mark)
    }

    /// Whom a mark names, if this relay made it for a message in `room`.
    #[must_use]
    pub fn open(&self, room: &RoomId, mark: &[u8]) -> Option<Marked> {
        let (nonce, sealed) = mark.split_first_chunk::<NONCE_LEN>()?;
        let aad = associated(room);
        let inside = self.cipher().decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad }).ok()?;
        let inside: [u8; INSIDE_LEN] = inside.try_into().ok()?;
        let (device, number) = inside.split_first_chunk::<8>()?;
        Some(Marked {
            device: u64::from_be_bytes(*device),
            number: u64::from_be_bytes(number.try_into().ok()?),
        })
    }
}

/// Binds a mark to its room, under its label.
fn associated(room: &RoomId) -> [u8; LABEL.len() + 32] {
    let mut bytes = [0; LABEL.len() + 32];
    bytes[..LABEL.len()].copy_from_slice(LABEL);
    bytes[LABEL.len()..].copy_from_slice(room.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use posthouse_spec::limits::MAX_MARK;

    use super::*;

    const ROOM: RoomId = RoomId::new([7; 32]);
    const MARKED: Marked = Marked { device: 3, number: 41 };

    #[test]
    fn a_mark_is_read_by_its_relay_and_for_its_room_alone() {
        let key = MarkKey::from_bytes(&[1; 32]);
        let mark = key.seal(&ROOM, MARKED, &mut rand::rng()).expect("it seals");
        assert!(mark.len() <= MAX_MARK);
        assert_eq!(key.open(&ROOM, &mark), Some(MARKED));
        assert_eq!(key.open(&RoomId::new([8; 32]), &mark), None);
        assert_eq!(MarkKey::from_bytes(&[2; 32]).open(&ROOM, &mark), None);
        for at in 0..mark.len() {
            let mut altered = mark.clone();
            altered[at] ^= 1;
            assert_eq!(key.open(&ROOM, &altered), None, "byte {at}");
        }
        assert_eq!(key.open(&ROOM, &mark[..20]), None);
        assert_eq!(key.open(&ROOM, &[]), None);
    }

    #[test]
    fn two_marks_of_one_message_have_nothing_in_common() {
        let key = MarkKey::from_bytes(&[1; 32]);
        let mark = || key.seal(&ROOM, MARKED, &mut rand::rng()).expect("it seals");
        assert_ne!(mark(), mark());
    }
}
