//! What the store promises, told against real files.

mod accounts;
mod commits;
mod expiry;
mod inbound;
mod invitations;
mod lanes;
mod mailbags;
mod mailboxes;
mod opening;
mod pins;
mod submits;
mod support;
mod words;
