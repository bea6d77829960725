//! Stories of the client without a network: real vaults, real MLS, and a hub and a relay that the test plays.

mod asking;
mod backup;
mod consent;
mod group;
mod group_history;
mod groups;
mod history;
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
