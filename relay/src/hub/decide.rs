//! The hub decides: one commit for each epoch of a room, checked in the order sender, epoch, rate, content.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use posthouse_crypto::room::{Observer, RoomError};
use posthouse_crypto::{SigningKey, commit_hash, verify};
use posthouse_federation::host::MAX_LANE_ITEM;
use posthouse_spec::account::Invited;
use posthouse_spec::cbor::List;
use posthouse_spec::client::Refusal;
use posthouse_spec::envelope::{Item, WelcomeItem};
use posthouse_spec::limits::SNAPSHOT_INTERVAL;
use posthouse_spec::policy::Committer;
use posthouse_spec::room::{CommitClaim, CommitUpload, Decided, Decision, WelcomeBundle};
use posthouse_spec::{
    AccountId, Ballot, Cbor, DeviceId, Domain, Epoch, KeyPackageHash, ManifestSeq, Millis, PublicKey, RoomId,
};

use super::found::state;
use super::handle::Rooms;
use super::observers::{Slot, blocking};
use super::types::RoomRefused;
use crate::mailbox::MailboxKey;
use crate::rooms::{RosterEntry, check_invited, no_ticket};
use crate::store::{Advance, Invitation, RoomRow, StepOutcome};

/// How often the manifest is asked for that names the ordering key: the key may be replaced in between.
const SIGNING_TRIES: usize = 3;

/// A commit that has passed every check, with the room behind it.
struct Passed {
    observer: Observer,
    snapshot: bool,
    committer: AccountId,
}

fn refuse<T>(reason: Refusal, detail: impl Into<String>) -> Result<T, RoomRefused> {
    Err(RoomRefused::new(reason, detail))
}

impl Rooms {
    /// Takes a token of a device's rate in a room.
    pub(super) fn allow(&self, now: Millis, device: DeviceId, room: RoomId) -> Result<(), RoomRefused> {
        let mut buckets = self.inner.commits.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take((device, room), now).map_err(|wait| {
            let why = format!("this device changes this room too often: try again in {wait} ms");
            RoomRefused::new(Refusal::RateLimited, why)
        })
    }

    /// Decides a commit of a device that lives at `home`. A repeat gets the earlier decision.
    pub(super) async fn decide(
        &self,
        now: Millis,
        home: &Domain,
        account: Option<AccountId>,
        upload: CommitUpload,
    ) -> Result<Decided, RoomRefused> {
        let claim = upload.claim.peek().map_err(|e| RoomRefused::new(Refusal::Malformed, e.to_string()))?;
        let mut slot = self.inner.observers.lock(claim.room).await;
        let Some(row) = self.inner.store.room(claim.room).await?.filter(|row| row.hub == self.inner.own)
        else {
            return refuse(Refusal::UnknownRoom, format!("this relay does not order room {}", claim.room));
        };
        let sender = self.check_sender(&row, home, account, &upload, &claim).await?;
        if let Some(earlier) = self.check_epoch(&row, &claim).await? {
            return Ok(earlier);
        }
        self.allow(now, sender.device, claim.room)?;
        let passed = self.judge(&mut slot, &row, &sender, &upload).await?;
        let decided = self.sign(&claim, &upload).await?;
        let (advance, observer) = self.step(&row, &decided, &claim, passed, upload.welcome).await?;
        match self.inner.store.advance_room(now, advance).await? {
            StepOutcome::Done { .. } => {
                slot.keep(observer);
                Ok(decided)
            }
            StepOutcome::NoTicket { without } => refuse(Refusal::NoTicket, no_ticket(&without)),
            StepOutcome::Moved | StepOutcome::Repeat => {
                refuse(Refusal::StaleEpoch, "the room moved on meanwhile: catch up and try again")
            }
        }
    }

    /// The sender is on the roster, at the relay that asks, and has signed for the whole commit.
    async fn check_sender(
        &self,
        row: &RoomRow,
        home: &Domain,
        account: Option<AccountId>,
        upload: &CommitUpload,
        claim: &CommitClaim,
    ) -> Result<MailboxKey, RoomRefused> {
        let device = DeviceId::new(*upload.claim.kid().as_bytes());
        let roster = self.inner.store.roster(claim.room, row.epoch).await?;
        let entry = roster.entry(&device).filter(|entry| entry.home == *home);
        let Some(entry) = entry.filter(|entry| account.is_none_or(|account| account == entry.account)) else {
            return refuse(Refusal::NotMember, "the device that signed this commit is not in the room");
        };
        verify(&upload.claim, &PublicKey::from(device)).map_err(|e| {
            RoomRefused::new(Refusal::InvalidSignature, format!("the device's word for the commit: {e}"))
        })?;
        if claim.commit != commit_hash(&upload.commit) {
            return refuse(
                Refusal::InvalidSignature,
                "the device has signed for another commit than the one it sent",
            );
        }
        Ok(entry.mailbox())
    }

    /// The commit ends the current epoch; or it is the one that ended an earlier one, and is decided already.
    async fn check_epoch(&self, row: &RoomRow, claim: &CommitClaim) -> Result<Option<Decided>, RoomRefused> {
        if claim.epoch == row.epoch {
            return Ok(None);
        }
        if claim.epoch > row.epoch {
            let why = format!("the commit would end epoch {}, and the room is in {}", claim.epoch, row.epoch);
            return refuse(Refusal::StaleEpoch, why);
        }
        let logged = self.inner.store.decided(claim.room, claim.epoch).await?;
        match logged {
            Some(logged) if logged.commit == claim.commit => Ok(Some(logged.decided)),
            logged => {
                let why = format!(
                    "another commit has ended epoch {}, and the room is in {}: apply what was decided, and make yours anew",
                    claim.epoch, row.epoch
                );
                Err(RoomRefused::new(Refusal::StaleEpoch, why).with(logged.map(|logged| logged.decided)))
            }
        }
    }

    async fn judge(
        &self,
        slot: &mut Slot,
        row: &RoomRow,
        sender: &MailboxKey,
        upload: &CommitUpload,
    ) -> Result<Passed, RoomRefused> {
        let claim = upload.claim.peek().map_err(|e| RoomRefused::new(Refusal::Malformed, e.to_string()))?;
        let observer = slot.take(&self.inner.store, claim.room, row.epoch).await?;
        let (sender, upload) = (*sender, upload.clone());
        // A tree that fails on the way is dropped, and restored from the store for the next commit.
        blocking(move || judge(observer, &sender, &upload)).await?
    }

    async fn sign(&self, claim: &CommitClaim, upload: &CommitUpload) -> Result<Decided, RoomRefused> {
        let (manifest, ordering) = self.signing().await?;
        let decision = Decision {
            room: claim.room,
            epoch: claim.epoch,
            ballot: Ballot(0),
            commit: claim.commit,
            manifest,
        };
        Ok(Decided { decision: ordering.sign(&decision), commit: upload.commit.clone() })
    }

    /// The newest manifest's position, and the ordering key that it names.
    async fn signing(&self) -> Result<(ManifestSeq, Arc<SigningKey>), RoomRefused> {
        for _ in 0..SIGNING_TRIES {
            let manifest = self.inner.manifests.manifest(&self.inner.own).await;
            let manifest = manifest.map_err(|e| RoomRefused::new(Refusal::Internal, e.0))?;
            if let Some(key) = self.inner.ordering.named(&manifest.ordering) {
                return Ok((manifest.seq, key));
            }
        }
        refuse(Refusal::Internal, "the relay's ordering key is not the one that its manifest names")
    }

    /// Everything that the decision brings: the new state, the relays that are told, and the Welcomes.
    async fn step(
        &self,
        row: &RoomRow,
        decided: &Decided,
        claim: &CommitClaim,
        passed: Passed,
        bundle: Option<WelcomeBundle>,
    ) -> Result<(Advance, Observer), RoomRefused> {
        let own = &self.inner.own;
        let Passed { observer, snapshot, committer } = passed;
        let (state, observer) = blocking(move || (state(&observer, snapshot), observer)).await?;
        let old = self.inner.store.roster(claim.room, row.epoch).await?;
        let welcome_to = match &bundle {
            Some(bundle) => welcomes(own, claim.room, decided, bundle)?,
            None => Vec::new(),
        };
        let mut decided_to: BTreeSet<Domain> = old.other_relays(own).into_iter().collect();
        decided_to.extend(state.roster.other_relays(own));
        decided_to.retain(|relay| welcome_to.iter().all(|(invited, _)| invited != relay));
        let invitation = bundle.map(|bundle| Invitation {
            room: claim.room,
            epoch: claim.epoch,
            decided: decided.clone(),
            bundle,
            claimants: BTreeSet::from([committer]),
        });
        let advance = Advance {
            state,
            decided: decided.clone(),
            commit: claim.commit,
            invitation,
            decided_to: decided_to.into_iter().collect(),
            welcome_to,
            strict: true,
            place: None,
        };
        Ok((advance, observer))
    }
}

/// Judges the commit and applies it, and checks that it comes from its sender and that the Welcome fits it.
fn judge(mut observer: Observer, sender: &MailboxKey, upload: &CommitUpload) -> Result<Passed, RoomRefused> {
    let judged = observer.judge(&upload.commit)?;
    let (Committer::Member(by) | Committer::External(by)) = &judged.change.committer;
    let committer = RosterEntry::from(by);
    if committer.mailbox() != *sender {
        return refuse(
            Refusal::InvalidSignature,
            "the commit was made by another leaf than that of the device which signed for it",
        );
    }
    let added: Vec<RosterEntry> = judged.change.adds.iter().map(RosterEntry::from).collect();
    let bundle = upload.welcome.as_ref();
    check_invited(&added, bundle).map_err(|e| RoomRefused::new(Refusal::InvalidCommit, e.to_string()))?;
    let key_packages: BTreeMap<DeviceId, KeyPackageHash> =
        added.iter().map(|entry| entry.device).zip(judged.key_packages.iter().copied()).collect();
    let other = |invited: &&Invited| key_packages.get(&invited.device) != Some(&invited.key_package);
    if bundle.is_some_and(|bundle| bundle.invited.iter().any(|invited| other(&invited))) {
        return refuse(
            Refusal::InvalidCommit,
            "the Welcome names other key packages than those that the commit adds",
        );
    }
    observer.apply(judged)?;
    if let Some(bundle) = bundle {
        observer.agrees_with(&bundle.group_info)?;
    }
    let snapshot = snapshot_due(observer.epoch());
    Ok(Passed { observer, snapshot, committer: committer.account })
}

/// Whether the tree is to be kept at this epoch.
pub(super) fn snapshot_due(epoch: Epoch) -> bool {
    epoch.0.is_multiple_of(SNAPSHOT_INTERVAL)
}

/// The Welcome items for other relays: each names the devices that live there, and nobody else.
fn welcomes(
    own: &Domain,
    room: RoomId,
    decided: &Decided,
    bundle: &WelcomeBundle,
) -> Result<Vec<(Domain, Bytes)>, RoomRefused> {
    let mut by_relay: BTreeMap<&Domain, Vec<Invited>> = BTreeMap::new();
    for invited in bundle.invited.iter().filter(|invited| invited.domain != *own) {
        by_relay.entry(&invited.domain).or_default().push(invited.clone());
    }
    let mut items = Vec::with_capacity(by_relay.len());
    for (relay, invited) in by_relay {
        let bundle = bundle_for(bundle, invited)?;
        let item =
            Item::Welcome(WelcomeItem { room, hub: own.clone(), decided: decided.clone(), bundle }).to_cbor();
        if item.len() > MAX_LANE_ITEM {
            return Err(RoomError::TooLarge {
                what: "the commit with its Welcome",
                len: item.len(),
                limit: MAX_LANE_ITEM,
            }
            .into());
        }
        items.push((relay.clone(), item.into()));
    }
    Ok(items)
}

fn bundle_for(bundle: &WelcomeBundle, invited: Vec<Invited>) -> Result<WelcomeBundle, RoomRefused> {
    let invited = List::new(invited).map_err(|e| RoomRefused::new(Refusal::Malformed, e.to_string()))?;
    Ok(WelcomeBundle { welcome: bundle.welcome.clone(), group_info: bundle.group_info.clone(), invited })
}
