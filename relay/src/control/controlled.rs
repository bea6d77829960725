//! The relay that is controlled.

use std::sync::Arc;

use posthouse_spec::Millis;
use tokio_util::sync::CancellationToken;

use crate::canaries::Canaries;
use crate::keyring::Keyring;
use crate::peers::rules::Rules;
use crate::ready::Ready;
use crate::state::App;

/// What the routes of the control socket work on; clones share it.
#[derive(Clone)]
pub struct Controlled {
    /// The relay's handles.
    pub app: App,
    /// The operator's rules on other relays.
    pub rules: Rules,
    /// Canaries under way.
    pub canaries: Canaries,
    /// The relay's own keys.
    pub keyring: Keyring,
    /// Where it serves.
    pub ready: Arc<Ready>,
    /// When it was started.
    pub started: Millis,
    /// Ends what takes long, at the relay's shutdown.
    pub stop: CancellationToken,
}
