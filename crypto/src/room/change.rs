//! From a commit that MLS accepts to the change that policy judges. Observers and members take the same way.

use bytes::Bytes;
use openmls::prelude::{LeafNode, Proposal, PublicGroup, QueuedProposal, Sender, StagedCommit};
use posthouse_spec::account::LeafClaim;
use posthouse_spec::policy::{Change, Committer, Member, evaluate};
use posthouse_spec::room::{RejoinClaim, RoomContext};
use posthouse_spec::{Epoch, PublicKey, Signed};

use super::credential::{check_leaf, member, members};
use super::error::LeafClaimFault;
use super::leave::departed;
use super::{RoomError, RosterMember, suite};
use crate::sign::{VerifyError, verify};

/// The room as it stands before a commit.
pub(super) struct Before<'a> {
    /// Its group.
    pub(super) group: &'a PublicGroup,
    /// What it agreed on.
    pub(super) context: &'a RoomContext,
    /// Who is in it.
    pub(super) roster: &'a [RosterMember],
}

impl Before<'_> {
    /// What a commit does, after policy has admitted it. `aad` is the commit's authenticated data.
    pub(super) fn admit(
        &self,
        sender: &Sender,
        aad: &[u8],
        commit: &StagedCommit,
    ) -> Result<Change, RoomError> {
        let mut change = match sender {
            Sender::Member(index) => self.by_member(index.u32(), commit)?,
            Sender::NewMemberCommit => self.by_rejoining(aad, commit)?,
            Sender::External(_) | Sender::NewMemberProposal => {
                return Err(RoomError::Mls("only members and rejoining devices commit".to_owned()));
            }
        };
        for queued in commit.queued_proposals() {
            self.add_proposal(&mut change, sender, queued)?;
        }
        if matches!(sender, Sender::Member(_)) {
            let room = suite::room_id(self.group.group_id())?;
            let removed: Vec<u32> = change.removes.iter().map(|gone| gone.leaf).collect();
            change.left.extend(departed(room, self.roster, aad, &removed)?);
        }
        let suite = suite::suite(self.group.ciphersuite())?;
        evaluate(suite, self.context, &members(self.roster), &change).map_err(RoomError::Policy)?;
        // The context was read from the proposal; this holds that the library made the same of it.
        let after = suite::room_context(commit.group_context().extensions())?;
        if after == *change.context.as_ref().unwrap_or(self.context) {
            Ok(change)
        } else {
            Err(RoomError::Disagreement("room context"))
        }
    }

    fn by_member(&self, index: u32, commit: &StagedCommit) -> Result<Change, RoomError> {
        let by = self.member_at(index)?;
        let mut change = nothing(Committer::Member(by.clone()));
        if let Some(leaf) = commit.update_path_leaf_node() {
            change.updates.push(by);
            change.updated.push(member(index, &*check_leaf(leaf)?));
        }
        Ok(change)
    }

    fn by_rejoining(&self, aad: &[u8], commit: &StagedCommit) -> Result<Change, RoomError> {
        let leaf = commit
            .update_path_leaf_node()
            .ok_or_else(|| RoomError::Mls("an external commit has an update path".to_owned()))?;
        let claim = check_leaf(leaf)?;
        self.check_rejoin(aad, &claim)?;
        let index = self.group.ext_commit_sender_index(commit).map_err(RoomError::mls)?;
        Ok(nothing(Committer::External(member(index.u32(), &claim))))
    }

    /// An external commit is admitted only with the device's own word for this room, this epoch and this leaf.
    fn check_rejoin(&self, aad: &[u8], claim: &LeafClaim) -> Result<(), RoomError> {
        let label = posthouse_spec::labels::REJOIN;
        let signed = Signed::<RejoinClaim>::from_bytes(Bytes::copy_from_slice(aad))
            .map_err(|fault| RoomError::Rejoin(VerifyError::Malformed { label, fault }))?;
        let word = verify(&signed, &PublicKey::from(claim.device)).map_err(RoomError::Rejoin)?;
        let expected = RejoinClaim {
            room: suite::room_id(self.group.group_id())?,
            epoch: Epoch(self.group.group_context().epoch().as_u64()),
            leaf_key: claim.leaf_key,
        };
        if *word == expected { Ok(()) } else { Err(RoomError::RejoinElsewhere) }
    }

    fn add_proposal(
        &self,
        change: &mut Change,
        sender: &Sender,
        queued: &QueuedProposal,
    ) -> Result<(), RoomError> {
        let leaves_by_itself = matches!(queued.proposal(), Proposal::SelfRemove);
        // Policy asks what the committer may do, so each proposal has to be the committer's own; a SelfRemove is
        // somebody else's by its nature.
        if !leaves_by_itself && queued.sender() != sender {
            change.foreign = true;
        }
        match queued.proposal() {
            Proposal::Add(add) => change.adds.push(checked(0, add.key_package().leaf_node())?),
            Proposal::Remove(remove) => change.removes.push(self.member_at(remove.removed().u32())?),
            Proposal::Update(update) => {
                let Sender::Member(index) = queued.sender() else {
                    return Err(RoomError::Mls("only members update their leaf".to_owned()));
                };
                change.updates.push(self.member_at(index.u32())?);
                change.updated.push(checked(index.u32(), update.leaf_node())?);
            }
            Proposal::SelfRemove => {
                let Sender::Member(index) = queued.sender() else {
                    return Err(RoomError::Mls("only members leave".to_owned()));
                };
                change.removes.push(self.member_at(index.u32())?);
                change.left.push(index.u32());
            }
            Proposal::GroupContextExtensions(proposal) => {
                change.context = Some(suite::room_context(proposal.extensions())?);
            }
            Proposal::ExternalInit(_) => {}
            Proposal::PreSharedKey(_) | Proposal::ReInit(_) | Proposal::Custom(_) => change.foreign = true,
        }
        Ok(())
    }

    fn member_at(&self, leaf: u32) -> Result<Member, RoomError> {
        self.roster
            .iter()
            .find(|entry| entry.member.leaf == leaf)
            .map(|entry| entry.member.clone())
            .ok_or_else(|| RoomError::Mls(format!("leaf {leaf} is blank")))
    }
}

fn nothing(committer: Committer) -> Change {
    Change {
        committer,
        adds: Vec::new(),
        removes: Vec::new(),
        left: Vec::new(),
        updates: Vec::new(),
        updated: Vec::new(),
        context: None,
        foreign: false,
    }
}

fn checked(index: u32, leaf: &LeafNode) -> Result<Member, LeafClaimFault> {
    Ok(member(index, &*check_leaf(leaf)?))
}
