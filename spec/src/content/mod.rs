//! What people say to each other: MIMI content (draft-ietf-mimi-content, CBOR), padded.
//!
//! This version makes and renders text; every other part of the format is read, kept, and shown as what it is, so that
//! no newer message breaks a room. The message id is the number of the hash (SHA-256) and the first 31 bytes of the hash
//! of [`message_id_input`], which crypto computes.

mod special;

use crate::cbor::{Cbor, Malformed, Reader, Writer};
use crate::ids::{AccountId, MessageId, RoomId};
use crate::limits::{MAX_DEPTH, MAX_TEXT};

pub use special::{LEAVE, ROOM_INFO, RoomInfo};

/// The number of SHA-256 in the named-information registry, the first byte of a [`MessageId`].
pub const MESSAGE_ID_SHA256: u8 = 1;
/// The media type of a text.
pub const TEXT_PLAIN: &str = "text/plain;charset=utf-8";

/// What a part is for (`baseDispos`); other numbers are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disposition(pub u64);

impl Disposition {
    /// For the program, not to be shown as it is.
    pub const UNSPECIFIED: Self = Self(0);
    /// To be shown.
    pub const RENDER: Self = Self(1);
    /// A reaction to another message.
    pub const REACTION: Self = Self(2);
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedPart {
    /// What it is for.
    pub disposition: Disposition,
    /// Its language (RFC 5646), or empty.
    pub language: String,
    /// What it holds.
    pub body: PartBody,
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartBody {
    /// Nothing: as the whole of a message that replaces another one, a deletion.
    Null,
    /// One body.
    Single {
        /// Its media type.
        content_type: String,
        /// Its bytes.
        content: Vec<u8>,
    },
    /// A cardinality that this version does not render (external, multi, or newer): its canonical bytes, kept.
    Other(Vec<Vec<u8>>),
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MimiContent {
    /// Random; makes the message id unique.
    pub salt: [u8; 16],
    /// The message that this one replaces.
    pub replaces: Option<MessageId>,
    /// A topic within the room, or empty.
    pub topic: Vec<u8>,
    /// When it ought to disappear: whether relative to reading it, and in how many seconds (else since 1970).
    pub expires: Option<(bool, u32)>,
    /// The message that this one answers.
    pub in_reply_to: Option<MessageId>,
    /// The extensions map's canonical bytes.
    pub extensions: Vec<u8>,
    /// The content itself.
    pub part: NestedPart,
}

/// An empty CBOR map.
const NO_EXTENSIONS: [u8; 1] = [0xa0];

impl MimiContent {
    /// A text message.
    ///
    /// # Errors
    /// [`Malformed::TooLong`] above [`MAX_TEXT`] bytes.
    pub fn text(salt: [u8; 16], text: &str) -> Result<Self, Malformed> {
        if text.len() > MAX_TEXT {
            return Err(Malformed::TooLong { what: "text message", len: text.len(), limit: MAX_TEXT });
        }
        let body =
            PartBody::Single { content_type: TEXT_PLAIN.to_owned(), content: text.as_bytes().to_vec() };
        Ok(Self::of(salt, NestedPart { disposition: Disposition::RENDER, language: String::new(), body }))
    }

    /// A message of one part that refers to no other.
    fn of(salt: [u8; 16], part: NestedPart) -> Self {
        Self {
            salt,
            replaces: None,
            topic: Vec::new(),
            expires: None,
            in_reply_to: None,
            extensions: NO_EXTENSIONS.to_vec(),
            part,
        }
    }

    /// The text, if the message is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.part.body {
            PartBody::Single { content_type, content } if content_type.starts_with("text/plain") => {
                std::str::from_utf8(content).ok()
            }
            _ => None,
        }
    }
}

/// Where the salt stands in every encoded content: behind the heads of the array and of the salt itself.
const SALT: std::ops::Range<usize> = 2..18;

/// The bytes whose SHA-256 makes the message id (section 3.3 of the draft): sender URI and room URI, each behind its
/// length in two bytes; the content; and its salt again, so that no hash can be extended to that of a longer message.
#[must_use]
pub fn message_id_input(sender: &AccountId, room: &RoomId, content: &[u8]) -> Vec<u8> {
    let sender = format!("posthouse:account/{sender}");
    let room = format!("posthouse:room/{room}");
    let mut input = Vec::with_capacity(sender.len() + room.len() + content.len() + 4 + SALT.len());
    for uri in [sender, room] {
        input.extend_from_slice(&(uri.len() as u16).to_be_bytes());
        input.extend_from_slice(uri.as_bytes());
    }
    input.extend_from_slice(content);
    input.extend_from_slice(content.get(SALT).unwrap_or_default());
    input
}

fn write_option_id(id: Option<&MessageId>, w: &mut Writer) {
    match id {
        Some(id) => id.write(w),
        None => w.null(),
    }
}

fn read_option_id(r: &mut Reader<'_>) -> Result<Option<MessageId>, Malformed> {
    if r.take_null()? { Ok(None) } else { MessageId::read(r).map(Some) }
}

impl Cbor for MimiContent {
    fn write(&self, w: &mut Writer) {
        w.array(7);
        w.bytes(&self.salt);
        write_option_id(self.replaces.as_ref(), w);
        w.bytes(&self.topic);
        match self.expires {
            Some((relative, seconds)) => {
                w.array(2);
                w.bool(relative);
                w.uint(u64::from(seconds));
            }
            None => w.null(),
        }
        write_option_id(self.in_reply_to.as_ref(), w);
        w.raw(&self.extensions);
        self.part.write(w);
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        if r.array("MimiContent", 7)? != 7 {
            return Err(Malformed::BadValue("a MIMI content has seven parts"));
        }
        let salt = r.bytes("salt", 16)?.try_into().map_err(|_| Malformed::BadValue("a salt of 16 bytes"))?;
        let replaces = read_option_id(r)?;
        let topic = r.bytes("topic", 4096)?.to_vec();
        let expires = if r.take_null()? {
            None
        } else if r.array("expiration", 2)? == 2 {
            Some((r.bool()?, u32::read(r)?))
        } else {
            return Err(Malformed::BadValue("an expiration is [relative, seconds]"));
        };
        let in_reply_to = read_option_id(r)?;
        let extensions = r.raw_map()?.to_vec();
        let part = NestedPart::read(r)?;
        Ok(Self { salt, replaces, topic, expires, in_reply_to, extensions, part })
    }
}

impl Cbor for NestedPart {
    fn write(&self, w: &mut Writer) {
        w.array(match &self.body {
            PartBody::Null => 3,
            PartBody::Single { .. } => 5,
            PartBody::Other(values) => 2 + values.len(),
        });
        w.uint(self.disposition.0);
        w.text(&self.language);
        match &self.body {
            PartBody::Null => w.uint(0),
            PartBody::Single { content_type, content } => {
                w.uint(1);
                w.text(content_type);
                w.bytes(content);
            }
            PartBody::Other(values) => {
                for value in values {
                    w.raw(value);
                }
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let len = r.array("NestedPart", 3 + 2 * MAX_DEPTH)?;
        if len < 3 {
            return Err(Malformed::BadValue("a part has a disposition, a language and a body"));
        }
        let disposition = Disposition(r.uint()?);
        let language = r.text("language", 64)?.to_owned();
        let start = r.clone();
        let body = match (r.uint()?, len) {
            (0, 3) => PartBody::Null,
            (1, 5) => PartBody::Single {
                content_type: r.text("content type", 255)?.to_owned(),
                content: r.bytes("content", crate::limits::MAX_BODY)?.to_vec(),
            },
            (0 | 1, _) => return Err(Malformed::BadValue("a part's length fits its cardinality")),
            _ => {
                *r = start;
                let mut values = Vec::new();
                for _ in 2..len {
                    values.push(r.raw_value()?.to_vec());
                }
                PartBody::Other(values)
            }
        };
        Ok(Self { disposition, language, body })
    }
}

/// The smallest padded size, bytes.
const MIN_PADDED: usize = 256;
/// Up to here sizes are powers of two; above, Padmé, bytes.
const MAX_BUCKET: usize = 4096;

/// The size that content of `len` bytes is padded to: buckets of 256 B to 4 KiB, Padmé above (Nikitin and others,
/// "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019).
#[must_use]
pub fn padded_len(len: usize) -> usize {
    if len <= MAX_BUCKET {
        return len.next_power_of_two().max(MIN_PADDED);
    }
    let exponent = usize::BITS - 1 - len.leading_zeros();
    let significant = u32::BITS - exponent.leading_zeros();
    let mask = (1usize << (exponent - significant)) - 1;
    (len + mask) & !mask
}

/// Pads content: its bytes, a `0x80`, and zeros (ISO/IEC 7816-4).
#[must_use]
pub fn pad(content: &[u8]) -> Vec<u8> {
    let mut padded = Vec::with_capacity(padded_len(content.len() + 1));
    padded.extend_from_slice(content);
    padded.push(0x80);
    padded.resize(padded_len(content.len() + 1), 0);
    padded
}

/// Takes the padding off.
///
/// # Errors
/// [`Malformed::BadValue`] where the marker is missing.
pub fn unpad(padded: &[u8]) -> Result<&[u8], Malformed> {
    match padded.iter().rposition(|byte| *byte != 0) {
        Some(end) if padded[end] == 0x80 => Ok(&padded[..end]),
        _ => Err(Malformed::BadValue("padding ends with 0x80 and zeros")),
    }
}
