//! What becomes of an item from another relay's messages lane.

use posthouse_spec::peer::deliver::ItemRefusal;
use posthouse_spec::{Domain, Epoch};

use super::Roster;

/// What becomes of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// It goes to the local devices on its epoch's roster.
    Deliver,
    /// It waits until the room reaches this epoch.
    Aside(Epoch),
    /// It is taken off the lane undelivered.
    Refuse(ItemRefusal, &'static str),
}

/// Places a message of `epoch`, where the room stands at `current` (`None`: the room is not known here), and
/// `roster` is the roster of `epoch` if the room has reached it.
#[must_use]
pub fn place_message(
    origin: &Domain,
    own: &Domain,
    epoch: Epoch,
    current: Option<Epoch>,
    roster: &Roster,
) -> Placement {
    if current.is_none_or(|current| epoch > current) {
        return Placement::Aside(epoch);
    }
    on_roster(origin, own, roster)
}

/// Places the end of `epoch`. It waits until this relay has itself left that epoch: so its devices hear of an
/// epoch's ends behind the Decision that ended it.
#[must_use]
pub fn place_end(
    origin: &Domain,
    own: &Domain,
    epoch: Epoch,
    current: Option<Epoch>,
    roster: &Roster,
) -> Placement {
    if current.is_none_or(|current| epoch >= current) {
        return Placement::Aside(epoch.next());
    }
    on_roster(origin, own, roster)
}

fn on_roster(origin: &Domain, own: &Domain, roster: &Roster) -> Placement {
    if !roster.has_relay(own) {
        Placement::Refuse(ItemRefusal::NoRecipient, "nobody of this relay was in the room in that epoch")
    } else if !roster.has_relay(origin) {
        Placement::Refuse(ItemRefusal::Invalid, "the sending relay was not in the room in that epoch")
    } else {
        Placement::Deliver
    }
}

#[cfg(test)]
mod tests {
    use posthouse_spec::{AccountId, DeviceId};

    use super::super::RosterEntry;
    use super::*;

    #[test]
    fn items_ahead_of_the_room_wait_and_strangers_are_refused() {
        let (a, b, c): (Domain, Domain, Domain) =
            ("a.example".parse().unwrap(), "b.example".parse().unwrap(), "c.example".parse().unwrap());
        let entry = |n: u8, home: &Domain| RosterEntry {
            account: AccountId::new([n; 32]),
            device: DeviceId::new([n; 32]),
            home: home.clone(),
        };
        let roster: Roster = [entry(1, &a), entry(2, &b)].into_iter().collect();
        let at = |epoch, current| place_message(&b, &a, Epoch(epoch), current, &roster);
        assert_eq!(at(3, None), Placement::Aside(Epoch(3)));
        assert_eq!(at(3, Some(Epoch(2))), Placement::Aside(Epoch(3)));
        assert_eq!(at(2, Some(Epoch(2))), Placement::Deliver);
        assert_eq!(at(1, Some(Epoch(2))), Placement::Deliver);
        assert!(matches!(
            place_message(&c, &a, Epoch(2), Some(Epoch(2)), &roster),
            Placement::Refuse(ItemRefusal::Invalid, _)
        ));
        assert!(matches!(
            place_message(&b, &c, Epoch(2), Some(Epoch(2)), &roster),
            Placement::Refuse(ItemRefusal::NoRecipient, _)
        ));
        assert_eq!(place_end(&b, &a, Epoch(2), Some(Epoch(2)), &roster), Placement::Aside(Epoch(3)));
        assert_eq!(place_end(&b, &a, Epoch(2), Some(Epoch(3)), &roster), Placement::Deliver);
    }
}
