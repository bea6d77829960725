//! Blocks: whom an account wants to hear nothing of.

use posthouse_spec::AccountId;

use super::service::{Accounts, store_failed};
use crate::error::ApiResult;

impl Accounts {
    /// Blocks an account for another, or no longer.
    ///
    /// # Errors
    /// The store fails.
    pub async fn set_block(&self, by: &AccountId, account: &AccountId, blocked: bool) -> ApiResult<()> {
        self.0.store.set_block(by, account, blocked).await.map_err(store_failed("keeping a block"))
    }
}
