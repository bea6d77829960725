//! Finding a domain's manifest: by the operator's overrides file, else at the domain's well-known address.
//!
//! What is found here is not believed yet. It came over a channel that may say who a relay is for the first time (the
//! operator's own file, or HTTPS under the domain's name); whether it follows what is pinned is for the caller.

mod address;
mod error;
mod fetch;
mod overrides;
mod resolve;
mod way;

pub use address::{is_public, loopback};
pub use error::DiscoveryError;
pub use fetch::{Discovery, Found};
pub use overrides::OverridesError;
pub(crate) use resolve::resolve;
