//! Rejoining: how a device that cannot follow a room any more comes back into it.
//!
//! It makes an external commit (RFC 9420, section 12.4.3.2) on the room's current group info. Its old leaf goes by
//! the same commit, because the new one has the same signature key: that key is kept apart from the group's state,
//! which may be lost. The device signs its word for it, without which nobody admits the commit.

use openmls::prelude::{LeafNodeParameters, MlsGroup};
use openmls_traits::OpenMlsProvider as _;
use posthouse_spec::Millis;
use posthouse_spec::policy::{Change, Committer};
use posthouse_spec::room::RejoinClaim;

use super::commit::Proposed;
use super::leaf::{LeafIdentity, LeafSigner, claimed, to_bytes};
use super::notes::Notes;
use super::room::Room;
use super::{Keys, config};
use crate::room::{Observer, RoomError, RosterMember, message, suite};

impl Room {
    /// Makes the external commit with which this device comes back, on the room's current GroupInfo. What the keys
    /// hold of the room is replaced at once; until the decision comes and [`Room::merge_own`] is called, the room
    /// neither seals nor opens. Where another commit is decided, rejoin again on the group info behind it.
    ///
    /// # Errors
    /// The group info does not hold, the device has no leaf in it, or that leaf's private key is lost. Then the
    /// room is as it was, and somebody has to remove the old leaf and invite the device again.
    pub fn rejoin(
        keys: &mut Keys,
        id: &LeafIdentity<'_>,
        group_info: &[u8],
        now: Millis,
    ) -> Result<(Self, Proposed), RoomError> {
        let observer = Observer::from_group_info(group_info)?;
        let old = own_entry(&observer, id).ok_or(RoomError::NotMember)?;
        keys.attempt(|keys| {
            let leaf = claimed(LeafSigner::find(keys, old.claim.leaf_key.as_bytes())?, id, now);
            let (room, epoch, leaf_key) = (observer.room(), observer.epoch(), leaf.signer.public());
            let word = id.device.sign(&RejoinClaim { room, epoch, leaf_key });
            delete_old(keys, &observer)?;
            let provider = keys.provider()?;
            let (group, bundle) = MlsGroup::external_commit_builder()
                .with_config(config::joining())
                .with_aad(word.as_bytes().to_vec())
                .skip_lifetime_validation()
                .build_group(&provider, message::read_group_info(group_info)?, leaf.credential)
                .map_err(RoomError::mls)?
                .leaf_node_parameters(
                    LeafNodeParameters::builder().with_capabilities(config::capabilities()).build(),
                )
                .load_psks(provider.storage())
                .map_err(RoomError::mls)?
                .create_group_info(false)
                .build(provider.rand(), provider.crypto(), &leaf.signer, |_| true)
                .map_err(RoomError::mls)?
                .finalize(&provider)
                .map_err(RoomError::mls)?;
            let commit = to_bytes(bundle.commit())?;
            // Others will judge it in the same way; so it is known now whether they admit it.
            let hash = observer.judge(&commit)?.commit;
            let group_info =
                group.export_group_info(provider.crypto(), &leaf.signer, true).map_err(RoomError::mls)?;
            let notes = Notes { pending: Some(hash), rejoining: true, ..Notes::new(epoch.next()) };
            notes.save(keys, &room);
            let room = Self::of(group, notes, Some(leaf.signer))?;
            let group_info = to_bytes(&group_info)?;
            Ok((room, Proposed { commit, welcome: None, group_info, hash, epoch }))
        })
    }

    /// The decision for one's own rejoining has come.
    pub(super) fn rejoined(&mut self, keys: &mut Keys) -> Result<Change, RoomError> {
        let own = self.own_leaf().ok_or(RoomError::NotMember)?;
        self.notes.settle();
        self.notes.rejoining = false;
        self.notes.save(keys, &self.id);
        Ok(Change {
            committer: Committer::External(own),
            adds: Vec::new(),
            removes: Vec::new(),
            left: Vec::new(),
            updates: Vec::new(),
            updated: Vec::new(),
            context: None,
            foreign: false,
        })
    }
}

fn own_entry(observer: &Observer, id: &LeafIdentity<'_>) -> Option<RosterMember> {
    let device = id.device.device_id();
    observer
        .members()
        .into_iter()
        .find(|entry| entry.member.device == device && entry.member.account == id.account)
}

/// What is kept of the room may be damaged: that is one reason to rejoin. So what cannot be read is overwritten.
fn delete_old(keys: &mut Keys, observer: &Observer) -> Result<(), RoomError> {
    if let Ok(Some(mut old)) = MlsGroup::load(keys.store(), &suite::group_id(&observer.room())) {
        old.delete(keys.store()).map_err(RoomError::mls)?;
    }
    Ok(())
}
