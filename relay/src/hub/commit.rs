//! A local device's commit: decided here where this relay is the hub, else by the hub, and in either case applied here
//! before the device hears of it.

use posthouse_crypto::commit_hash;
use posthouse_spec::client::Refusal;
use posthouse_spec::peer::{RoomRequest, RoomResponse};
use posthouse_spec::room::{CommitUpload, Decided, WelcomeBundle};
use posthouse_spec::{Domain, Millis, RoomId};

use super::follow::{FollowFault, Followed, News};
use super::handle::Rooms;
use super::types::RoomRefused;
use crate::mailbox::MailboxKey;

impl Rooms {
    /// Has a commit of a local device decided: here if this relay is the hub, else by the hub. It is applied here before
    /// this returns. A repeat gets the same decision.
    ///
    /// # Errors
    /// Why it was refused; for a stale epoch, with what was decided instead.
    pub async fn commit(
        &self,
        now: Millis,
        who: MailboxKey,
        upload: CommitUpload,
    ) -> Result<Decided, RoomRefused> {
        let claim = upload.claim.peek().map_err(|e| RoomRefused::new(Refusal::Malformed, e.to_string()))?;
        if upload.claim.kid().as_bytes() != who.device.as_bytes() {
            let why = "the commit is signed for by another device than the one that sends it";
            return Err(RoomRefused::new(Refusal::InvalidSignature, why));
        }
        let Some(row) = self.active_row(claim.room, None).await? else {
            return Err(RoomRefused::new(
                Refusal::UnknownRoom,
                format!("this relay does not know room {}", claim.room),
            ));
        };
        if row.hub == self.inner.own {
            let own = self.inner.own.clone();
            return self.decide(now, &own, Some(who.account), upload).await;
        }
        let roster = self.inner.store.roster(claim.room, row.epoch).await?;
        if !roster.has(&who, &self.inner.own) {
            return Err(RoomRefused::new(Refusal::NotMember, "this device is not in the room"));
        }
        self.forward(now, claim.room, &row.hub, upload).await
    }

    async fn forward(
        &self,
        now: Millis,
        room: RoomId,
        hub: &Domain,
        upload: CommitUpload,
    ) -> Result<Decided, RoomRefused> {
        let (hash, bundle) = (commit_hash(&upload.commit), upload.welcome.clone());
        let away = |why: String| {
            let why = format!(
                "the room's hub {hub} cannot decide now: {why}; the commit may be sent again as it is"
            );
            RoomRefused::new(Refusal::RelayUnreachable, why)
        };
        let answer = self.ask(hub, RoomRequest::Commit(upload)).await.map_err(|error| away(error.0))?;
        match answer {
            RoomResponse::Decided(decided) if commit_hash(&decided.commit) == hash => {
                self.take(now, room, hub, decided.clone(), bundle)
                    .await
                    .map_err(|fault| away(fault.to_string()))?;
                Ok(decided)
            }
            RoomResponse::Refused(no) => {
                let mut refused = RoomRefused::new(no.reason, no.detail.as_str());
                if let Some(decided) = no.decided {
                    // A device never sees a decision before its relay has applied it.
                    match self.take(now, room, hub, decided.clone(), None).await {
                        Ok(()) => refused = refused.with(Some(decided)),
                        Err(fault) => {
                            tracing::warn!(%room, %hub, %fault, "the decision that came with a refusal is not taken")
                        }
                    }
                }
                Err(refused)
            }
            RoomResponse::Rejected(no) => Err(away(format!("it says {}: {}", no.rule, no.detail))),
            _ => Err(away("it gave an answer to another question".into())),
        }
    }

    /// Applies a decision that the hub has just given, after whatever is missing before it.
    async fn take(
        &self,
        now: Millis,
        room: RoomId,
        hub: &Domain,
        decided: Decided,
        bundle: Option<WelcomeBundle>,
    ) -> Result<(), FollowFault> {
        let gone = || FollowFault::Later("the room is not ordered by that relay any more".into());
        let news = News { room, decided, bundle, place: None };
        let mut slot = self.inner.observers.lock(room).await;
        let mut row = self.active_row(room, Some(hub)).await?.ok_or_else(gone)?;
        let mut followed = self.follow(now, &mut slot, &row, news.clone()).await?;
        if followed == Followed::Ahead {
            row = self.fetch(now, &mut slot, room).await?;
            followed = self.follow(now, &mut slot, &row, news).await?;
        }
        match followed {
            Followed::Applied { without } if without.is_empty() => Ok(()),
            Followed::Applied { without } => {
                tracing::warn!(%room, devices = without.len(), "local devices were invited without a ticket");
                Ok(())
            }
            Followed::Ahead => Err(FollowFault::Later("the hub lacks decisions before this one".into())),
        }
    }
}
