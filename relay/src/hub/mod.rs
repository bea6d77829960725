//! The rooms of this relay at work: it decides commits where it is the hub, follows the hub where another relay is, and
//! keeps the observer of every room in step with the store.
//!
//! What happens to one room happens in turn: whoever judges or moves it holds its slot (`observers`), which also holds
//! its public tree while that is in memory. MLS work runs on blocking threads. The store's transaction is what counts:
//! it moves the room only from the epoch that the commit ends, and brings everything with it that the step brings.
//!
//! Bottom up: `types` is what is asked and answered; `observers` restores a room's tree; `handle` holds the rooms;
//! `manifests` finds a hub's ordering key; `found` and `decide` are the hub's side; `follow` and `welcome` take what a hub has
//! decided; `fetch` asks it for what is missing; `control` is its lane, `commit` the local devices' way to it, and
//! `answer` what other relays ask.

mod answer;
mod commit;
mod control;
mod decide;
mod fetch;
mod follow;
mod found;
mod handle;
mod manifests;
mod observers;
mod types;
mod welcome;

pub use control::ControlError;
pub use handle::Rooms;
pub use types::{HubLink, LinkError, ManifestLookup, RoomInfo, RoomRefused};
