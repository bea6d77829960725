//! Stories of the client without a network: real vaults, real MLS, and a hub and a relay that the test plays.

mod asking;
mod consent;
mod group;
mod groups;
mod hub;
mod keys;
mod members;
mod person;
mod plan;
mod receiving;
mod sending;
mod trust;
mod vault;
mod world;
