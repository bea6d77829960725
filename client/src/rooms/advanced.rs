//! What came of a pass over one room.

use crate::event::Event;

/// What came of a pass over one room.
#[derive(Default)]
pub(crate) struct Advanced {
    /// What happened.
    pub(crate) events: Vec<Event>,
    /// Something is out of reach and may not be later.
    pub(crate) again: bool,
}
