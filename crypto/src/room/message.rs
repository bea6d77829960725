//! Reading what an MLS message is before anything is believed of it.

use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::{
    ContentType, GroupEpoch, GroupId, KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, PublicMessageIn,
};
#[cfg(feature = "member")]
use openmls::prelude::{PrivateMessageIn, Welcome};
use posthouse_spec::limits::{MAX_BODY, MAX_HANDSHAKE, MAX_KEY_PACKAGE};
use posthouse_spec::{Epoch, RoomId};

use super::{RoomError, suite};

/// What an MLS message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// A public commit.
    Commit,
    /// A public proposal.
    Proposal,
    /// A sealed message.
    Application,
}

/// What the outside of an MLS message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageInfo {
    /// The room.
    pub room: RoomId,
    /// The epoch in which it was made.
    pub epoch: Epoch,
    /// What it carries.
    pub kind: MessageKind,
}

/// Reads the outside of an MLSMessage; nothing is verified.
///
/// # Errors
/// The bytes are no handshake in the clear and no sealed message.
pub fn inspect(message: &[u8]) -> Result<MessageInfo, RoomError> {
    let expected = "a public handshake or a sealed message of a room";
    match read(message, MAX_HANDSHAKE, expected)? {
        MlsMessageBodyIn::PublicMessage(message) => {
            let kind = match message.content_type() {
                ContentType::Commit => MessageKind::Commit,
                ContentType::Proposal => MessageKind::Proposal,
                // RFC 9420, section 6.2: application data is never sent in the clear.
                ContentType::Application => return Err(RoomError::Malformed { expected }),
            };
            info(message.group_id(), message.epoch(), kind)
        }
        MlsMessageBodyIn::PrivateMessage(message) => {
            if message.content_type() != ContentType::Application {
                return Err(RoomError::Malformed { expected });
            }
            check_len("sealed message", tls_len(&message), MAX_BODY)?;
            info(message.group_id(), message.epoch(), MessageKind::Application)
        }
        _ => Err(RoomError::Malformed { expected }),
    }
}

fn tls_len(message: &impl openmls::prelude::tls_codec::Size) -> usize {
    message.tls_serialized_len()
}

fn info(group: &GroupId, epoch: GroupEpoch, kind: MessageKind) -> Result<MessageInfo, RoomError> {
    Ok(MessageInfo { room: suite::room_id(group)?, epoch: Epoch(epoch.as_u64()), kind })
}

fn check_len(what: &'static str, len: usize, limit: usize) -> Result<(), RoomError> {
    if len > limit { Err(RoomError::TooLarge { what, len, limit }) } else { Ok(()) }
}

fn read(bytes: &[u8], limit: usize, expected: &'static str) -> Result<MlsMessageBodyIn, RoomError> {
    check_len(expected, bytes.len(), limit)?;
    MlsMessageIn::tls_deserialize_exact(bytes)
        .map(MlsMessageIn::extract)
        .map_err(|_| RoomError::Malformed { expected })
}

/// A commit in the clear.
pub(super) fn read_commit(bytes: &[u8]) -> Result<PublicMessageIn, RoomError> {
    let expected = "a commit";
    match read(bytes, MAX_HANDSHAKE, expected)? {
        MlsMessageBodyIn::PublicMessage(message) if message.content_type() == ContentType::Commit => {
            Ok(message)
        }
        _ => Err(RoomError::Malformed { expected }),
    }
}

/// A sealed message.
#[cfg(feature = "member")]
pub(super) fn read_sealed(bytes: &[u8]) -> Result<PrivateMessageIn, RoomError> {
    let expected = "a sealed message";
    match read(bytes, MAX_BODY, expected)? {
        MlsMessageBodyIn::PrivateMessage(message) if message.content_type() == ContentType::Application => {
            Ok(message)
        }
        _ => Err(RoomError::Malformed { expected }),
    }
}

/// A group info.
pub(super) fn read_group_info(bytes: &[u8]) -> Result<VerifiableGroupInfo, RoomError> {
    let expected = "a group info";
    match read(bytes, MAX_HANDSHAKE, expected)? {
        MlsMessageBodyIn::GroupInfo(group_info) => Ok(group_info),
        _ => Err(RoomError::Malformed { expected }),
    }
}

/// A key package.
pub(super) fn read_key_package(bytes: &[u8]) -> Result<KeyPackageIn, RoomError> {
    let expected = "a key package";
    match read(bytes, MAX_KEY_PACKAGE, expected)? {
        MlsMessageBodyIn::KeyPackage(key_package) => Ok(key_package),
        _ => Err(RoomError::Malformed { expected }),
    }
}

/// A Welcome.
#[cfg(feature = "member")]
pub(super) fn read_welcome(bytes: &[u8]) -> Result<Welcome, RoomError> {
    let expected = "a Welcome";
    match read(bytes, MAX_HANDSHAKE, expected)? {
        MlsMessageBodyIn::Welcome(welcome) => Ok(welcome),
        _ => Err(RoomError::Malformed { expected }),
    }
}
