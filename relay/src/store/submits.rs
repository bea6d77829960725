//! Submits: a device's message becomes one item, a row in each other local mailbox, and a row on each lane.

use posthouse_spec::client::Refusal;
use posthouse_spec::client::delivery::Failure;
use posthouse_spec::client::socket::Submit;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::{Domain, Millis};

use super::cache::RoomEntry;
use super::error::StoreError;
use super::handle::Store;
use super::items::{ItemKind, NewItem, Submitter};
use super::tx::Tx;
use super::types::{LaneId, SubmitOutcome};
use crate::mailbox::{MailboxKey, NumberCheck, body_hash};
use crate::rooms::FanOut;

impl Store {
    /// Takes a device's message. Calls of one device take effect in the order in which they are made; many may wait at
    /// once, and share a commit.
    ///
    /// # Errors
    /// The store failed, and nothing was changed.
    pub fn submit(
        &self,
        now: Millis,
        who: MailboxKey,
        submit: Submit,
    ) -> impl Future<Output = Result<SubmitOutcome, StoreError>> + Send + 'static {
        let hash = body_hash(&submit);
        self.queue(move |tx| Box::pin(async move { tx.submit(now, who, submit, hash).await }))
    }
}

fn refused(reason: Refusal, detail: impl Into<String>) -> Result<SubmitOutcome, StoreError> {
    Ok(SubmitOutcome::Refused(reason, detail.into()))
}

impl Tx {
    async fn submit(
        &mut self,
        now: Millis,
        who: MailboxKey,
        submit: Submit,
        hash: [u8; 32],
    ) -> Result<SubmitOutcome, StoreError> {
        let Some(device) = self.device(&who).await? else {
            return refused(
                Refusal::NotMember,
                "this device has no mailbox here: it was revoked, or is unknown",
            );
        };
        let (id, accepted) = (device.id, device.window.accepted());
        match device.window.check(submit.number, &hash) {
            NumberCheck::New => {}
            NumberCheck::Repeat => return Ok(SubmitOutcome::Accepted),
            NumberCheck::Reused => {
                let why = format!("number {} was used for another message: give each its own", submit.number);
                return refused(Refusal::NumberReused, why);
            }
            NumberCheck::Gap => {
                let why = format!(
                    "number {} came where {} is next: send that one first",
                    submit.number,
                    accepted.next()
                );
                return refused(Refusal::NumberGap, why);
            }
        }
        let own = self.own.clone();
        let Some(room) = self.room(submit.room).await? else {
            return refused(Refusal::UnknownRoom, format!("this relay does not know room {}", submit.room));
        };
        if let Err((reason, why)) = may_submit(room, &who, &own, &submit) {
            return refused(reason, why);
        }
        let mut plan = room.roster.fan_out(&own, &who);
        plan.local.retain(|mailbox| !room.muted.contains(&mailbox.account));
        let hub = room.hub.clone();
        let submitter = Submitter { device: id, number: submit.number };
        let mark = if plan.relays.is_empty() { None } else { self.mark(&submit.room, submitter) };
        let item = NewItem {
            kind: ItemKind::Message,
            room: submit.room,
            hub,
            epoch: submit.epoch,
            origin: own,
            received: now,
            submitter: Some(submitter),
            relays: None,
            mark,
            body: submit.body.into_bytes(),
        };
        if !self.fan_out(now, plan, item, submitter).await? {
            let why = "nobody who would get this has room for it: send it again when they have caught up";
            return refused(Refusal::Quota, why);
        }
        if let Some(device) = self.device(&who).await? {
            device.window.take(hash);
        }
        self.pending.submits.push((id, submit.number, hash));
        self.pending.devices.insert(who);
        Ok(SubmitOutcome::Accepted)
    }

    /// Puts a message where the plan says. `false`: there are recipients, and all of them are local and full. Where only
    /// some are full, the others get it and the sender is told.
    async fn fan_out(
        &mut self,
        now: Millis,
        plan: FanOut,
        item: NewItem,
        submitter: Submitter,
    ) -> Result<bool, StoreError> {
        let (room, bytes) = (item.room, item.body.len() as u64);
        let local = self.existing(plan.local).await?;
        let mut open = Vec::with_capacity(local.len());
        for who in &local {
            if self.has_space(who, room, bytes).await? {
                open.push(*who);
            }
        }
        let full = local.len() - open.len();
        let (relays, behind) = self.admitting(plan.relays, bytes).await?;
        if open.is_empty() && relays.is_empty() {
            return Ok(full == 0 && behind.is_empty());
        }
        let id = self.put_item(item);
        for who in &open {
            self.deliver(who, id, room, bytes).await?;
        }
        for relay in &relays {
            self.send(relay, LaneClass::Messages, id).await?;
        }
        for relay in behind {
            let why = "too much waits for that relay already, which has not come for it: send it again later";
            self.notice(now, submitter, room, relay, Failure::Quota, why).await?;
        }
        if full > 0 {
            let own = self.own.clone();
            let why = format!("{full} mailboxes at this relay are full");
            self.notice(now, submitter, room, own, Failure::Quota, &why).await?;
        }
        Ok(true)
    }
}

impl Tx {
    /// Parts relays into those to which one more message may be sent, and those for which too much waits.
    async fn admitting(
        &mut self,
        relays: Vec<Domain>,
        bytes: u64,
    ) -> Result<(Vec<Domain>, Vec<Domain>), StoreError> {
        let quota = self.outbox_quota;
        let (mut open, mut behind) = (Vec::with_capacity(relays.len()), Vec::new());
        for peer in relays {
            let lane = LaneId { peer, class: LaneClass::Messages };
            let admits = quota.admits(self.lane(&lane).await?.backlog(), bytes);
            if admits { &mut open } else { &mut behind }.push(lane.peer);
        }
        Ok((open, behind))
    }
}

fn may_submit(
    room: &RoomEntry,
    who: &MailboxKey,
    own: &Domain,
    submit: &Submit,
) -> Result<(), (Refusal, String)> {
    if !room.roster.has(who, own) {
        return Err((Refusal::NotMember, format!("this device is not in room {}", submit.room)));
    }
    if submit.epoch != room.epoch {
        let why = format!(
            "the message is of epoch {} and the room is in {}: catch up, seal it again, send it again",
            submit.epoch, room.epoch
        );
        return Err((Refusal::StaleEpoch, why));
    }
    if room.context.role(&who.account) < room.context.policy.write {
        return Err((Refusal::Policy, format!("only a {} may write here", room.context.policy.write)));
    }
    Ok(())
}
