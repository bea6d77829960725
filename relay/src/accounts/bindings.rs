//! Alias bindings after the ordering key was replaced: what the key before it has signed is signed anew as it is handed
//! out, because whoever gets a binding checks it with the ordering key of the newest manifest alone.

use posthouse_crypto::{IdentityError, KnownAccount, Verified, VerifyError, verify_record};
use posthouse_spec::account::{AccountRecord, AliasBinding};
use posthouse_spec::manifest::Manifest;
use posthouse_spec::{Alias, Domain, Signed};

use super::service::Accounts;
use crate::error::{ApiError, ApiResult};

impl Accounts {
    /// The same binding, by the ordering key of now.
    pub(super) fn bound_now(&self, binding: Signed<AliasBinding>) -> ApiResult<Signed<AliasBinding>> {
        let key = self.0.ordering.current();
        if binding.kid() == key.public() {
            return Ok(binding);
        }
        let bound =
            binding.peek().map_err(|fault| ApiError::internal("reading a stored alias binding", &fault))?;
        Ok(key.sign(&bound))
    }

    /// The record with its binding by the ordering key of now.
    pub(super) fn recorded_now(&self, record: AccountRecord) -> ApiResult<AccountRecord> {
        Ok(AccountRecord { binding: self.bound_now(record.binding)?, chain: record.chain })
    }

    /// Checks what another relay says of an account of its own, by its manifest, which is handed on. Where another key has
    /// signed than the one that is known here, the relay may have replaced it: its manifest is looked up anew, once.
    pub(super) async fn check_record(
        &self,
        home: &Domain,
        record: &AccountRecord,
        alias: &Alias,
    ) -> ApiResult<Result<(KnownAccount, Verified<Manifest>), IdentityError>> {
        let mut manifest = self.0.network.manifest(home).await?;
        let mut checked = verify_record(record, Some(alias), &manifest.ordering);
        if let Err(IdentityError::Binding(VerifyError::WrongSigner { .. })) = &checked {
            manifest = self.0.network.newest_manifest(home).await?;
            checked = verify_record(record, Some(alias), &manifest.ordering);
        }
        Ok(checked.map(|known| (known, manifest)))
    }
}
