//! Messages: sealing and opening.

use bytes::Bytes;
use openmls::prelude::{Credential, ProcessedMessageContent, Sender};
use posthouse_spec::account::LeafClaim;
use posthouse_spec::content::{pad, padded_len, unpad};
use posthouse_spec::limits::MAX_BODY;
use posthouse_spec::policy::Member;
use posthouse_spec::{Epoch, Signed};

use super::Keys;
use super::leaf::to_bytes;
use super::room::Room;
use crate::room::credential::member;
use crate::room::error::LeafClaimFault;
use crate::room::observer::check_place;
use crate::room::{RoomError, message, suite};

/// What MLS adds to padded content at most: framing, signature, sender data and tags, bytes.
const SEAL_OVERHEAD: usize = 512;

/// A message that was opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// Who sent it.
    pub sender: Member,
    /// What they sent, unpadded.
    pub content: Vec<u8>,
    /// The epoch in which it was sealed.
    pub epoch: Epoch,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({} secret bytes from {:?}, epoch {})", self.content.len(), self.sender, self.epoch)
    }
}

impl Room {
    /// Pads and seals content for the room. The result must be durable, together with the keys' writes, before it
    /// is sent: the ratchet never gives the same key twice.
    ///
    /// # Errors
    /// This device is no longer in the room, or the content is too large.
    pub fn seal(&mut self, keys: &mut Keys, content: &[u8]) -> Result<Vec<u8>, RoomError> {
        self.check_active()?;
        let len = padded_len(content.len().saturating_add(1)).saturating_add(SEAL_OVERHEAD);
        if len > MAX_BODY {
            return Err(RoomError::TooLarge { what: "sealed message", len, limit: MAX_BODY });
        }
        let padded = zeroize::Zeroizing::new(pad(content));
        let signer = self.signer.as_ref().ok_or(RoomError::NotMember)?;
        let sealed = self.group.create_message(&keys.provider()?, signer, &padded).map_err(RoomError::mls)?;
        to_bytes(&sealed)
    }

    /// Opens a sealed message, of this epoch or of a past one that is not forgotten.
    ///
    /// # Errors
    /// [`RoomError::WrongEpoch`] where its epoch is still to come: keep it aside and try again behind the commit.
    /// [`RoomError::OwnMessage`] where this device sealed it. [`RoomError::DoesNotOpen`] for good where it was opened
    /// before, its epoch is forgotten, or it was altered.
    pub fn open(&mut self, keys: &mut Keys, body: &[u8]) -> Result<Opened, RoomError> {
        self.check_active()?;
        let message = message::read_sealed(body)?;
        let epoch = Epoch(message.epoch().as_u64());
        let room = suite::room_id(message.group_id())?;
        if epoch > self.epoch() || room != self.id {
            check_place(self.id, self.epoch(), room, epoch)?;
        }
        if epoch < self.epoch() && !self.notes.opens(epoch) {
            return Err(RoomError::DoesNotOpen(format!("the secrets of epoch {epoch} are forgotten")));
        }
        let processed = keys.attempt(|keys| {
            let provider = keys.provider()?;
            self.group
                .process_message(&provider, message)
                .map_err(|error| RoomError::DoesNotOpen(error.to_string()))
        })?;
        let sender = self.sender(epoch, processed.sender(), processed.credential())?;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(content) => {
                let padded = zeroize::Zeroizing::new(content.into_bytes());
                let content = unpad(&padded).map_err(RoomError::BadContent)?.to_vec();
                Ok(Opened { sender, content, epoch })
            }
            ProcessedMessageContent::OwnPrivateMessage => Err(RoomError::OwnMessage),
            _ => Err(RoomError::Malformed { expected: "a sealed message" }),
        }
    }

    /// Who stands in the leaf that sent a message. MLS has authenticated the credential; its claim was checked when
    /// the leaf came into the room.
    fn sender(&self, epoch: Epoch, sender: &Sender, credential: &Credential) -> Result<Member, RoomError> {
        let Sender::Member(index) = sender else {
            return Err(RoomError::Malformed { expected: "a message from a member" });
        };
        let leaf = index.u32();
        let current = self.roster.iter().find(|entry| epoch == self.epoch() && entry.member.leaf == leaf);
        if let Some(entry) = current {
            return Ok(entry.member.clone());
        }
        let content = Bytes::copy_from_slice(credential.serialized_content());
        let claim = Signed::<LeafClaim>::from_bytes(content).and_then(|signed| signed.peek());
        Ok(member(leaf, &claim.map_err(LeafClaimFault::Malformed)?))
    }
}
