//! Contents that are for programs: what a room is called, and that somebody leaves it.
//!
//! They are media types of this protocol inside MIMI content, with a record as their bytes. A client that does not know one
//! shows nothing but that there was something.

use super::{Disposition, MimiContent, NestedPart, PartBody};
use crate::cbor::{Cbor, Malformed, Octets, Text};
use crate::limits::{MAX_PICTURE, MAX_ROOM_DESCRIPTION, MAX_ROOM_NAME};
use crate::record;
use crate::room::LeaveClaim;
use crate::sign1::Signed;

/// The media type of a [`RoomInfo`].
pub const ROOM_INFO: &str = "application/vnd.posthouse.room-info+cbor";
/// The media type of a signed [`LeaveClaim`].
pub const LEAVE: &str = "application/vnd.posthouse.leave+cbor";

record! {
    /// What a room is called and looks like. It is content, so that no relay sees it.
    pub struct RoomInfo {
        /// One more than that of the info that it replaces: the highest one stands; of two alike, the one with the larger
        /// message id.
        1 => version: u64,
        /// The name.
        2 => name: Text<MAX_ROOM_NAME>,
        /// What the room is about; empty for nothing.
        3 => description: Text<MAX_ROOM_DESCRIPTION>,
        /// A small picture: a PNG, JPEG or WebP.
        4 => picture: Option<Octets<MAX_PICTURE>>,
    }
}

impl MimiContent {
    /// One part that is not shown as it is.
    fn special(salt: [u8; 16], media_type: &str, content: Vec<u8>) -> Self {
        let body = PartBody::Single { content_type: media_type.to_owned(), content };
        let part = NestedPart { disposition: Disposition::UNSPECIFIED, language: String::new(), body };
        Self::of(salt, part)
    }

    fn bytes_of(&self, media_type: &str) -> Option<&[u8]> {
        match &self.part.body {
            PartBody::Single { content_type, content } if content_type == media_type => Some(content),
            _ => None,
        }
    }

    /// What the room is called from now on.
    #[must_use]
    pub fn room_info(salt: [u8; 16], info: &RoomInfo) -> Self {
        Self::special(salt, ROOM_INFO, info.to_cbor())
    }

    /// The room's info, if the message is one; malformed ones are an error.
    #[must_use]
    pub fn as_room_info(&self) -> Option<Result<RoomInfo, Malformed>> {
        self.bytes_of(ROOM_INFO).map(RoomInfo::from_cbor)
    }

    /// An account leaves.
    #[must_use]
    pub fn leave(salt: [u8; 16], claim: &Signed<LeaveClaim>) -> Self {
        Self::special(salt, LEAVE, claim.to_cbor())
    }

    /// The claim by which an account leaves, if the message is one; it is not verified.
    #[must_use]
    pub fn as_leave(&self) -> Option<Result<Signed<LeaveClaim>, Malformed>> {
        self.bytes_of(LEAVE).map(Signed::from_cbor)
    }
}
