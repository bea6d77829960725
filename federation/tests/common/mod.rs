//! A small town of relays in one process: real nodes on loopback, with all that a relay stores held in memory.

#![allow(
    clippy::allow_attributes,
    reason = "which of these are needed depends on the test file that includes this"
)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here is the test itself")]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses a part of the town")]

mod attacker;
mod memory;
mod town;

pub use attacker::{Attacker, frame, wrapped};
pub use memory::{Backup, Memory};
pub use town::{Relay, Town, wall_clock};

use std::future::Future;
use std::time::Duration;

/// How long any awaited event may take before the test fails, generous for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Fails the test if something awaited does not happen.
pub async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}
