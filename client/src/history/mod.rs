//! Lasting history: finding, keeping and carrying away what was said.
//!
//! The vault holds every message and an index of their texts ([`search`]). A conversation is kept for ever, or for as many
//! days as its owner says ([`retention`]). An export leaves the vault as JSON lines, or as a page for people ([`html`]);
//! an [`import`] brings the lines back, and marks what they say as hearsay. Backups, which carry more and need no trust in
//! the file, are a module of their own.

pub(crate) mod calendar;
pub(crate) mod error;
pub(crate) mod html;
pub(crate) mod import;
pub(crate) mod retention;
pub(crate) mod search;
