//! Finding a domain's manifest: by the operator's overrides file, else at the domain's well-known address.
//!
//! What is found here is not believed yet. It came over a channel that may say who a relay is for the first time (the
//! operator's own file, or HTTPS under the domain's name); whether it follows what is pinned is for the caller.

mod address;
mod fetch;
mod overrides;

pub use address::{is_public, loopback};
pub(crate) use fetch::resolve;
pub use fetch::{Discovery, DiscoveryError, Found};
pub use overrides::OverridesError;
