//! Invitations as they come: nothing is joined here, and nothing is shown but who asks.

use posthouse_crypto::room::Observer;
use posthouse_crypto::{Account, KnownAccount, Verified, verify};
use posthouse_spec::account::KeyClaim;
use posthouse_spec::client::delivery::WelcomeDelivery;
use posthouse_spec::room::RoomKind;
use posthouse_spec::{Alias, PublicKey};

use super::intake::Intake;
use crate::error::ClientError;
use crate::vault::Tx;
use crate::vault::contacts::{self, Standing};
use crate::vault::requests::{self, Answer, RequestRow};
use crate::vault::{held, rooms};

/// Takes an invitation. It waits for consent, unless who asks is a contact; whether they are who they say is checked
/// before it is joined.
pub(crate) async fn take(intake: &mut Intake<'_>, welcome: &WelcomeDelivery) -> Result<(), ClientError> {
    // Whoever left a room or was removed from it may be invited again.
    let known = rooms::by_id(intake.tx.db()?, &welcome.room).await?.is_some_and(|room| !room.is_over())
        || requests::by_room(intake.tx.db()?, &welcome.room).await?.is_some();
    if known {
        return Ok(());
    }
    let claim = match check(intake, welcome) {
        Ok(claim) => claim,
        Err(why) => {
            let detail = format!("an invitation came that does not hold; it was dropped: {why}");
            intake.notice("bad-invitation", detail, Some(welcome.room));
            return Ok(());
        }
    };
    let (_, standing) = contacts::glance(intake.tx.db()?, &claim.claimant).await?;
    let answer = match standing {
        Standing::Known => Answer::Asking,
        Standing::Contact => Answer::Accepted,
        Standing::Blocked => Answer::Blocked,
    };
    let request = RequestRow {
        room: welcome.room,
        account: claim.claimant,
        alias: claim.alias.clone(),
        kind: kind(welcome),
        received: welcome.received,
        answer,
        verified: false,
        dropped: 0,
        reason: None,
    };
    let kept = (answer != Answer::Blocked).then_some(welcome);
    requests::insert(intake.tx.db()?, &request, kept).await?;
    if answer == Answer::Accepted && is_of_contact(intake, &request, welcome).await? {
        // At once, because what they write elsewhere from now on waits for this room.
        requests::set_verified(intake.tx.db()?, &request.room).await?;
    }
    if answer == Answer::Blocked {
        held::clear(intake.tx.db()?, &welcome.room).await?;
    } else {
        intake.work = true;
    }
    Ok(())
}

/// To what kind of room it is, as far as its group info says; what does not hold shows when the room is joined.
fn kind(welcome: &WelcomeDelivery) -> RoomKind {
    Observer::from_group_info(&welcome.group_info)
        .map_or(RoomKind::Direct, |observer| observer.context().kind)
}

/// Whether they invited us to a direct room already, by an invitation that `known` shows to be theirs. What others claim in
/// their name does not count.
pub(crate) async fn is_invited(tx: &mut Tx<'_>, known: &KnownAccount) -> Result<bool, ClientError> {
    let mut invited = false;
    for request in requests::open(tx.db()?).await? {
        if !request.verified {
            let welcome = requests::welcome(tx.db()?, &request.room).await?;
            if !welcome.is_some_and(|welcome| is_theirs(&known.alias, &known.account, &request, &welcome)) {
                continue;
            }
            requests::set_verified(tx.db()?, &request.room).await?;
        }
        invited |= request.account == known.account.id() && request.kind == RoomKind::Direct;
    }
    Ok(invited)
}

async fn is_of_contact(
    intake: &mut Intake<'_>,
    request: &RequestRow,
    welcome: &WelcomeDelivery,
) -> Result<bool, ClientError> {
    let contact = contacts::by_account(intake.tx.db()?, &request.account).await?;
    Ok(contact.is_some_and(|contact| {
        contact.alias.is_some_and(|alias| is_theirs(&alias, &contact.account, request, welcome))
    }))
}

/// Whether the request is of the account that the alias stands for, and by a device of it.
pub(crate) fn is_theirs(
    alias: &Alias,
    account: &Account,
    request: &RequestRow,
    welcome: &WelcomeDelivery,
) -> bool {
    request.alias == *alias
        && request.account == account.id()
        && welcome.claim.peek().is_ok_and(|claim| account.is_active(&claim.device))
}

/// The claim is signed by the device that it names, and is for a key package of ours.
fn check(intake: &Intake<'_>, welcome: &WelcomeDelivery) -> Result<Verified<KeyClaim>, String> {
    let device = welcome.claim.peek().map_err(|fault| fault.to_string())?.device;
    let claim = verify(&welcome.claim, &PublicKey::from(device)).map_err(|error| error.to_string())?;
    if claim.target != intake.owner.account.id() {
        return Err("it is for another account".to_owned());
    }
    Ok(claim)
}
