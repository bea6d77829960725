//! Rooms: what comes into them, how they are joined, founded, changed and left.

pub(crate) mod advanced;
pub(crate) mod aftermath;
pub(crate) mod changing;
pub(crate) mod claim;
pub(crate) mod commit;
pub(crate) mod content;
pub(crate) mod create;
pub(crate) mod decided;
pub(crate) mod fit;
pub(crate) mod founding;
pub(crate) mod identity;
pub(crate) mod info;
pub(crate) mod intake;
pub(crate) mod join;
pub(crate) mod leaving;
pub(crate) mod news;
pub(crate) mod opening;
pub(crate) mod over;
pub(crate) mod plan;
pub(crate) mod publish;
pub(crate) mod resolve;
pub(crate) mod welcome;
