//! The pure rules of rooms: who gets an item, what becomes of one that comes from another relay, and whether an
//! invitation fits the commit that it goes with.

mod invitation;
mod placement;
mod roster;

pub use invitation::{BadInvitation, TicketState, check_invited, fits_ticket, no_ticket};
pub use placement::{Placement, place_end, place_message};
pub use roster::{FanOut, Roster, RosterChange, RosterEntry};
