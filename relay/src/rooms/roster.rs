//! Who is in a room at one epoch, as this relay derived it from the room's tree.

use std::collections::BTreeSet;

use posthouse_spec::policy::Member;
use posthouse_spec::{AccountId, DeviceId, Domain};

use crate::mailbox::MailboxKey;

/// One device on a roster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RosterEntry {
    /// The account.
    pub account: AccountId,
    /// The device.
    pub device: DeviceId,
    /// The relay that delivers to it.
    pub home: Domain,
}

impl RosterEntry {
    /// The device's mailbox, at its home.
    #[must_use]
    pub fn mailbox(&self) -> MailboxKey {
        MailboxKey { account: self.account, device: self.device }
    }
}

impl From<&Member> for RosterEntry {
    fn from(member: &Member) -> Self {
        Self { account: member.account, device: member.device, home: member.home.clone() }
    }
}

/// The devices of one epoch, in a fixed order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster(BTreeSet<RosterEntry>);

/// Where a message goes from the relay of its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FanOut {
    /// Local mailboxes.
    pub local: Vec<MailboxKey>,
    /// Other relays, once each however many members live there.
    pub relays: Vec<Domain>,
}

/// What moves from one epoch's roster to the next one's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RosterChange {
    /// On the new roster only.
    pub joined: Vec<RosterEntry>,
    /// On the old roster only.
    pub left: Vec<RosterEntry>,
}

impl FromIterator<RosterEntry> for Roster {
    fn from_iter<I: IntoIterator<Item = RosterEntry>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl Roster {
    /// Every device.
    pub fn entries(&self) -> impl Iterator<Item = &RosterEntry> {
        self.0.iter()
    }

    /// The entry of a device, if it is on the roster.
    #[must_use]
    pub fn entry(&self, device: &DeviceId) -> Option<&RosterEntry> {
        self.0.iter().find(|entry| entry.device == *device)
    }

    /// Whether this device of this account is on the roster.
    #[must_use]
    pub fn has(&self, who: &MailboxKey, home: &Domain) -> bool {
        self.0.contains(&RosterEntry { account: who.account, device: who.device, home: home.clone() })
    }

    /// Whether any device of an account is on the roster.
    #[must_use]
    pub fn has_account(&self, account: &AccountId) -> bool {
        self.0.iter().any(|entry| entry.account == *account)
    }

    /// Whether a relay has a device on the roster.
    #[must_use]
    pub fn has_relay(&self, relay: &Domain) -> bool {
        self.0.iter().any(|entry| entry.home == *relay)
    }

    /// The relays on the roster, sorted, once each.
    #[must_use]
    pub fn relays(&self) -> Vec<Domain> {
        let relays: BTreeSet<&Domain> = self.0.iter().map(|entry| &entry.home).collect();
        relays.into_iter().cloned().collect()
    }

    /// The relays on the roster without this one.
    #[must_use]
    pub fn other_relays(&self, own: &Domain) -> Vec<Domain> {
        self.relays().into_iter().filter(|relay| relay != own).collect()
    }

    /// The mailboxes of a relay's devices on the roster.
    #[must_use]
    pub fn mailboxes(&self, relay: &Domain) -> Vec<MailboxKey> {
        self.0.iter().filter(|entry| entry.home == *relay).map(RosterEntry::mailbox).collect()
    }

    /// Where a local device's message goes.
    #[must_use]
    pub fn fan_out(&self, own: &Domain, sender: &MailboxKey) -> FanOut {
        let local = self.mailboxes(own).into_iter().filter(|mailbox| mailbox != sender).collect();
        FanOut { local, relays: self.other_relays(own) }
    }

    /// What moves from this roster to the next one.
    #[must_use]
    pub fn change_to(&self, next: &Self) -> RosterChange {
        RosterChange {
            joined: next.0.difference(&self.0).cloned().collect(),
            left: self.0.difference(&next.0).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(account: u8, device: u8, home: &str) -> RosterEntry {
        RosterEntry {
            account: AccountId::new([account; 32]),
            device: DeviceId::new([device; 32]),
            home: home.parse().unwrap(),
        }
    }

    #[test]
    fn a_message_goes_once_to_each_other_relay_and_to_no_sender() {
        let own: Domain = "a.example".parse().unwrap();
        let (alice, laptop) = (entry(1, 1, "a.example"), entry(1, 2, "a.example"));
        let roster: Roster =
            [alice.clone(), laptop.clone(), entry(2, 3, "b.example"), entry(3, 4, "b.example")]
                .into_iter()
                .collect();
        let plan = roster.fan_out(&own, &alice.mailbox());
        assert_eq!(plan.local, [laptop.mailbox()]);
        assert_eq!(plan.relays, ["b.example".parse().unwrap()]);
    }

    #[test]
    fn a_change_names_what_is_on_one_side_only() {
        let old: Roster = [entry(1, 1, "a.example"), entry(2, 3, "b.example")].into_iter().collect();
        let new: Roster = [entry(1, 1, "a.example"), entry(2, 3, "c.example")].into_iter().collect();
        let change = old.change_to(&new);
        assert_eq!(change.joined, [entry(2, 3, "c.example")]);
        assert_eq!(change.left, [entry(2, 3, "b.example")]);
    }
}
