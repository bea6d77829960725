//! Real networks: namespaces of the kernel with routers, NAT and wires that delay, lose and break.
//!
//! An [`Internet`] is one Ethernet segment in a namespace of its own. [`Site`]s hang on it, each by a [`Wire`]: a public
//! one has an address on it; one at home has a router between, which masquerades and lets nobody in. A [`Station`] is a
//! relay at a site; its people run there too. Wires are tasks of the test, between two TAP devices, because not every
//! kernel has `tc netem`: one mechanism for delay, loss and partition, and its dice are seeded.
//!
//! The addresses look public, so that relays take them for such; but nothing leaves the namespaces, which have no way
//! out. They go when the [`Internet`] is dropped; what a killed run has left is removed by the next one.

mod board;
mod space;
mod station;
mod wire;

pub use space::{Internet, Site};
pub use station::Station;
pub use wire::{Weather, Wire};
