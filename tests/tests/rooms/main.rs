//! Rooms across two relays, told without a network: two stores, two sets of rooms and two hosts in this process, real
//! MLS members, and envelopes that are carried by hand.

mod crossing;
mod deciding;
mod founding;
mod person;
mod relay;
mod replacing;
mod trouble;
mod world;
