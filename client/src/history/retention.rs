//! Deleting what is older than its conversation is kept: when the vault is opened, when a sync begins, and every hour while it
//! goes on. In bounded batches, so that nothing else waits long.

use std::time::Duration;

use crate::clock;
use crate::error::ClientError;
use crate::vault::{Vault, retention};

/// The longest time for which a conversation can be kept before its messages go, days: a hundred years.
pub(crate) const MAX_DAYS: u64 = 36_500;
/// Most batches that are deleted in a row; the rest goes the next time.
const MAX_BATCHES: u32 = 256;
/// How often a sync that goes on looks again.
const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

/// Deletes what is too old; returns how many messages.
pub(crate) async fn delete_old(vault: &Vault) -> Result<u64, ClientError> {
    let mut deleted = 0;
    for _ in 0..MAX_BATCHES {
        let mut tx = vault.begin().await?;
        let batch = retention::delete_batch(tx.db()?, clock::now()).await?;
        tx.commit().await?;
        deleted += batch;
        if batch < u64::from(retention::BATCH) {
            break;
        }
    }
    Ok(deleted)
}

/// Deletes what is too old, again and again. It ends only with trouble.
pub(crate) async fn watch(vault: &Vault) -> Result<(), ClientError> {
    loop {
        delete_old(vault).await?;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}
