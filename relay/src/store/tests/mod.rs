//! What the store promises, told against real files.

mod accounts;
mod commits;
mod expiry;
mod inbound;
mod invitations;
mod lanes;
mod mailboxes;
mod opening;
mod submits;
mod support;
mod words;
