//! Whether an invitation fits the commit that it goes with, and whether a ticket lets it pass.

use std::collections::BTreeSet;

use posthouse_spec::account::Invited;
use posthouse_spec::room::WelcomeBundle;
use posthouse_spec::{AccountId, DeviceId, Domain, Epoch, KeyPackageHash, RoomId};

use super::RosterEntry;

/// Why an invitation does not fit its commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadInvitation {
    /// The commit adds devices and comes without a Welcome.
    #[error("the commit adds {0} devices and comes without the Welcome for them")]
    Missing(usize),
    /// There is a Welcome and nobody is added.
    #[error("a Welcome comes with a commit that adds nobody")]
    Needless,
    /// The lists of added and invited devices differ.
    #[error("the devices that the commit adds are not those that the Welcome invites: {0} differ")]
    Differs(usize),
}

/// What is kept of a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketState {
    /// Who claimed.
    pub claimant: AccountId,
    /// The account that was claimed.
    pub account: AccountId,
    /// Its device.
    pub device: DeviceId,
    /// The key package that was handed out.
    pub key_package: KeyPackageHash,
    /// The room and the ended epoch for which the ticket was used.
    pub used: Option<(RoomId, Epoch)>,
}

/// What to do about devices without tickets, in words.
#[must_use]
pub fn no_ticket(without: &[DeviceId]) -> String {
    let named: Vec<String> = without.iter().map(ToString::to_string).collect();
    format!(
        "no valid ticket for device {}: claim its key package anew, and invite it with that one's ticket",
        named.join(", ")
    )
}

/// Checks that a commit's bundle invites exactly the devices that the commit adds.
///
/// # Errors
/// What differs.
pub fn check_invited(added: &[RosterEntry], bundle: Option<&WelcomeBundle>) -> Result<(), BadInvitation> {
    let Some(bundle) = bundle else {
        return if added.is_empty() { Ok(()) } else { Err(BadInvitation::Missing(added.len())) };
    };
    if added.is_empty() {
        return Err(BadInvitation::Needless);
    }
    let added: BTreeSet<(AccountId, DeviceId, &Domain)> =
        added.iter().map(|entry| (entry.account, entry.device, &entry.home)).collect();
    let invited: BTreeSet<(AccountId, DeviceId, &Domain)> =
        bundle.invited.iter().map(|i| (i.account, i.device, &i.domain)).collect();
    let differ = added.symmetric_difference(&invited).count();
    if differ == 0 && invited.len() == bundle.invited.len() {
        Ok(())
    } else {
        Err(BadInvitation::Differs(differ))
    }
}

/// Whether a ticket lets a Welcome pass, which ends `epoch` of `room` and which one of `members` has sent. A ticket
/// that was used for this very Welcome still fits, so that a repeat is none.
#[must_use]
pub fn fits_ticket(
    ticket: &TicketState,
    invited: &Invited,
    members: &BTreeSet<AccountId>,
    room: RoomId,
    epoch: Epoch,
) -> bool {
    ticket.account == invited.account
        && ticket.device == invited.device
        && ticket.key_package == invited.key_package
        && members.contains(&ticket.claimant)
        && ticket.used.is_none_or(|used| used == (room, epoch))
}

#[cfg(test)]
mod tests {
    use posthouse_spec::Ticket;
    use posthouse_spec::cbor::{List, Octets};

    use super::*;

    fn invited(n: u8) -> Invited {
        Invited {
            account: AccountId::new([n; 32]),
            device: DeviceId::new([n; 32]),
            domain: "b.example".parse().unwrap(),
            key_package: KeyPackageHash::new([n; 32]),
            ticket: Ticket::new([n; 32]),
        }
    }

    fn added(n: u8) -> RosterEntry {
        let invited = invited(n);
        RosterEntry { account: invited.account, device: invited.device, home: invited.domain }
    }

    #[test]
    fn a_bundle_invites_exactly_those_who_are_added() {
        let bundle = |of: &[u8]| WelcomeBundle {
            welcome: Octets::default(),
            group_info: Octets::default(),
            invited: List::new(of.iter().map(|n| invited(*n)).collect()).unwrap(),
        };
        assert_eq!(check_invited(&[], None), Ok(()));
        assert_eq!(check_invited(&[added(1)], None), Err(BadInvitation::Missing(1)));
        assert_eq!(check_invited(&[], Some(&bundle(&[1]))), Err(BadInvitation::Needless));
        assert_eq!(check_invited(&[added(1), added(2)], Some(&bundle(&[2, 1]))), Ok(()));
        assert_eq!(check_invited(&[added(1)], Some(&bundle(&[1, 2]))), Err(BadInvitation::Differs(1)));
        assert_eq!(check_invited(&[added(1)], Some(&bundle(&[1, 1]))), Err(BadInvitation::Differs(0)));
    }

    #[test]
    fn a_ticket_is_for_one_claimant_one_key_package_and_one_welcome() {
        let (room, other) = (RoomId::new([7; 32]), RoomId::new([8; 32]));
        let members = BTreeSet::from([AccountId::new([9; 32])]);
        let ticket = TicketState {
            claimant: AccountId::new([9; 32]),
            account: AccountId::new([1; 32]),
            device: DeviceId::new([1; 32]),
            key_package: KeyPackageHash::new([1; 32]),
            used: None,
        };
        let fits = |ticket: &TicketState, of: u8| fits_ticket(ticket, &invited(of), &members, room, Epoch(0));
        assert!(fits(&ticket, 1));
        assert!(!fits(&ticket, 2));
        assert!(!fits(&TicketState { claimant: AccountId::new([1; 32]), ..ticket.clone() }, 1));
        assert!(fits(&TicketState { used: Some((room, Epoch(0))), ..ticket.clone() }, 1));
        assert!(!fits(&TicketState { used: Some((room, Epoch(1))), ..ticket.clone() }, 1));
        assert!(!fits(&TicketState { used: Some((other, Epoch(0))), ..ticket }, 1));
    }
}
