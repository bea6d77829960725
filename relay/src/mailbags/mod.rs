//! Mailbags: envelopes for a relay that is down, held for it by another one.
//!
//! `hold` answers as a holder: it keeps what others leave for the relays that the operator names, and opens nothing.
//! `leave` is the origin's side: when a relay has been out of reach for a while, it seals what waits on its lanes and leaves
//! it with that relay's holders; `plan` decides what goes where, and is pure. `collect` is the destination's side: at its
//! return it takes each bag, opens it with its `key`, checks the envelope (`check`; `vouch` finds the manifest that counts),
//! hands it to the inbox as a lane would, and has it dropped once it is durable. The lane's cursor drops what came both ways,
//! and the origin's outbox forgets nothing before the destination itself acknowledges it on the lane. `work` puts the three
//! together for one relay.

mod check;
mod collect;
mod hold;
mod key;
mod leave;
pub mod plan;
mod vouch;
mod work;

pub use check::{BadBag, BagRule};
pub use collect::Collector;
pub use hold::Holder;
pub use key::{KEY_FILE, MailbagKeyError, MailbagKeys};
pub use leave::Leaver;
pub use work::Mailbags;
