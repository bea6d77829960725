//! Tickets: the one-time permits by which a Welcome reaches a device.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use posthouse_spec::account::{Invited, KeyClaim};
use posthouse_spec::cbor::List;
use posthouse_spec::client::Delivery;
use posthouse_spec::client::delivery::WelcomeDelivery;
use posthouse_spec::room::{Decided, WelcomeBundle};
use posthouse_spec::{
    AccountId, Cbor, DeviceId, Domain, Epoch, KeyPackageHash, Millis, RoomId, Signed, Ticket,
};
use sqlx::SqliteConnection;

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::tx::Tx;
use crate::mailbox::MailboxKey;
use crate::rooms::{TicketState, fits_ticket};

/// A Welcome that is to be handed out behind the decision that it goes with.
#[derive(Debug, Clone)]
pub(crate) struct Invitation {
    pub(crate) room: RoomId,
    /// The epoch that the commit ended.
    pub(crate) epoch: Epoch,
    pub(crate) decided: Decided,
    pub(crate) bundle: WelcomeBundle,
    /// Who may have claimed the key packages: the committer where that is known, else everybody in the room.
    pub(crate) claimants: BTreeSet<AccountId>,
}

struct Kept {
    state: TicketState,
    claim: Vec<u8>,
}

async fn find(conn: &mut SqliteConnection, ticket: &Ticket) -> Result<Option<Kept>, StoreError> {
    let row = sqlx::query(
        "SELECT claimant, account, device, key_package, used_room, used_epoch, claim FROM tickets WHERE ticket = ?",
    )
    .bind(ticket.as_bytes().as_slice())
    .fetch_optional(conn)
    .await
    .map_err(StoreError::sql("find a ticket"))?;
    let Some(row) = row else { return Ok(None) };
    let used = match (row.blob_or_null(4)?, row.row_id_or_null(5)?) {
        (Some(room), Some(epoch)) => {
            let room = RoomId::from_slice(&room).ok_or_else(|| StoreError::damaged("a room id's length"))?;
            Some((room, Epoch(epoch.unsigned_abs())))
        }
        _ => None,
    };
    let state = TicketState {
        claimant: row.fixed(0, AccountId::from_slice)?,
        account: row.fixed(1, AccountId::from_slice)?,
        device: row.fixed(2, DeviceId::from_slice)?,
        key_package: row.fixed(3, KeyPackageHash::from_slice)?,
        used,
    };
    Ok(Some(Kept { state, claim: row.blob(6)? }))
}

async fn missing(
    conn: &mut SqliteConnection,
    own: &Domain,
    room: RoomId,
    epoch: Epoch,
    invited: &[Invited],
    claimants: &BTreeSet<AccountId>,
) -> Result<Vec<DeviceId>, StoreError> {
    let mut without = Vec::new();
    for invited in invited.iter().filter(|invited| invited.domain == *own) {
        let kept = find(conn, &invited.ticket).await?;
        if !kept.is_some_and(|kept| fits_ticket(&kept.state, invited, claimants, room, epoch)) {
            without.push(invited.device);
        }
    }
    Ok(without)
}

impl Tx {
    /// The devices of an invitation that live here and have no fitting ticket.
    pub(crate) async fn without_ticket(&mut self, of: &Invitation) -> Result<Vec<DeviceId>, StoreError> {
        let invited = &of.bundle.invited;
        missing(&mut self.conn, &self.own, of.room, of.epoch, invited, &of.claimants).await
    }

    /// Hands a Welcome to the invited devices that live here, and uses up their tickets. Devices without a fitting
    /// ticket get nothing and are named in the answer; a blocked claimant is not told that nothing came of it.
    pub(crate) async fn invite(
        &mut self,
        now: Millis,
        invitation: &Invitation,
    ) -> Result<Vec<DeviceId>, StoreError> {
        let mut without = Vec::new();
        let mut by_claim: BTreeMap<(AccountId, Vec<u8>), Vec<Invited>> = BTreeMap::new();
        let mut claimant_of = HashMap::new();
        let own = self.own.clone();
        for invited in invitation.bundle.invited.iter().filter(|invited| invited.domain == own) {
            let kept = find(&mut self.conn, &invited.ticket).await?;
            let fits = |kept: &Kept| {
                fits_ticket(&kept.state, invited, &invitation.claimants, invitation.room, invitation.epoch)
            };
            let Some(kept) = kept.filter(fits) else {
                without.push(invited.device);
                continue;
            };
            if kept.state.used.is_some() {
                // This very Welcome has come before, by another way.
                continue;
            }
            self.use_ticket(&invited.ticket, invitation.room, invitation.epoch).await?;
            claimant_of.insert(invited.account, kept.state.claimant);
            by_claim.entry((invited.account, kept.claim)).or_default().push(invited.clone());
        }
        for ((account, claim), invited) in by_claim {
            let blocked = match claimant_of.get(&account) {
                Some(claimant) => self.has_blocked(&account, claimant).await?,
                None => false,
            };
            if !blocked {
                self.hand_out(now, invitation, claim, invited).await?;
            }
        }
        Ok(without)
    }

    async fn use_ticket(&mut self, ticket: &Ticket, room: RoomId, epoch: Epoch) -> Result<(), StoreError> {
        sqlx::query("UPDATE tickets SET used_room = ?, used_epoch = ? WHERE ticket = ?")
            .bind(room.as_bytes().as_slice())
            .bind(sql(epoch.0))
            .bind(ticket.as_bytes().as_slice())
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("use a ticket"))?;
        Ok(())
    }

    async fn hand_out(
        &mut self,
        now: Millis,
        invitation: &Invitation,
        claim: Vec<u8>,
        invited: Vec<Invited>,
    ) -> Result<(), StoreError> {
        let damaged = |e: posthouse_spec::Malformed| StoreError::damaged(e.to_string());
        let mailboxes = invited.iter().map(|i| MailboxKey { account: i.account, device: i.device }).collect();
        let welcome = WelcomeDelivery {
            room: invitation.room,
            claim: Signed::<KeyClaim>::from_bytes(claim.into()).map_err(damaged)?,
            decided: invitation.decided.clone(),
            welcome: invitation.bundle.welcome.clone(),
            group_info: invitation.bundle.group_info.clone(),
            invited: List::new(invited).map_err(damaged)?,
            received: now,
        };
        let body = Delivery::Welcome(welcome).to_cbor();
        let item = self.raw_delivery(now, invitation.room, body.into());
        self.deliver_all(mailboxes, item).await
    }
}
