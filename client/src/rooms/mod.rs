//! Rooms: what comes into them, how they are joined, and how a direct one is founded.

pub(crate) mod decided;
pub(crate) mod fit;
pub(crate) mod founding;
pub(crate) mod intake;
pub(crate) mod join;
pub(crate) mod opening;
pub(crate) mod welcome;
