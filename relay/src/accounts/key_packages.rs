//! Key packages: what others need to invite a device, kept here until it is claimed.

use bytes::Bytes;
use posthouse_crypto::room::inspect_key_package;
use posthouse_crypto::{Account, room};
use posthouse_spec::Millis;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::http::{Base64, KeyPackageUpload};
use posthouse_spec::limits::{MAX_KEY_PACKAGE, MAX_UPLOAD};
use posthouse_spec::room::Suite;

use super::service::{Accounts, store_failed};
use crate::error::{ApiError, ApiResult};
use crate::mailbox::MailboxKey;
use crate::store::{KeyPackageStock, StockedKeyPackage};

/// Key packages that were checked.
#[derive(Debug)]
struct Upload {
    suite: Suite,
    key_packages: Vec<StockedKeyPackage>,
    last_resort: Option<StockedKeyPackage>,
}

impl Accounts {
    /// Keeps key packages of a device, and says how many there are now.
    ///
    /// # Errors
    /// One of them does not hold; then none is kept.
    pub async fn upload(&self, who: MailboxKey, request: KeyPackageUpload) -> ApiResult<KeyPackageStock> {
        let account = self
            .0
            .store
            .account(&who.account)
            .await
            .map_err(store_failed("looking up an account"))?
            .ok_or_else(|| ApiError::new(Refusal::UnknownAccount, "the session's account is gone"))?;
        let now = self.now();
        // A full upload is a hundred signatures and more: too long for a thread that serves others.
        let upload = tokio::task::spawn_blocking(move || check(&account, who, request, now))
            .await
            .map_err(|error| ApiError::internal("checking key packages", &error))??;
        self.0
            .store
            .upload(who, upload.suite, upload.key_packages, upload.last_resort)
            .await
            .map_err(store_failed("keeping key packages"))
    }

    /// How many key packages of a device are left.
    ///
    /// # Errors
    /// The store fails.
    pub async fn stock(&self, who: MailboxKey) -> ApiResult<KeyPackageStock> {
        self.0.store.stock(who).await.map_err(store_failed("counting key packages"))
    }
}

fn check(account: &Account, who: MailboxKey, request: KeyPackageUpload, now: Millis) -> ApiResult<Upload> {
    let suite = Suite::from_code(u64::from(request.suite)).ok_or_else(|| {
        ApiError::malformed(
            "the upload",
            format!("suite {:#06x} is neither 0x0003 nor 0x004e", request.suite),
        )
    })?;
    if request.key_packages.len() > MAX_UPLOAD {
        return Err(ApiError::new(
            Refusal::TooLarge,
            format!("{} key packages in one upload, the limit is {MAX_UPLOAD}", request.key_packages.len()),
        ));
    }
    let one = |last_resort: bool, bytes: Base64| check_one(account, who, suite, last_resort, bytes, now);
    Ok(Upload {
        suite,
        key_packages: request
            .key_packages
            .into_iter()
            .map(|bytes| one(false, bytes))
            .collect::<Result<_, _>>()?,
        last_resort: request.last_resort.map(|bytes| one(true, bytes)).transpose()?,
    })
}

fn check_one(
    account: &Account,
    who: MailboxKey,
    suite: Suite,
    last_resort: bool,
    bytes: Base64,
    now: Millis,
) -> ApiResult<StockedKeyPackage> {
    let Base64(bytes) = bytes;
    if bytes.len() > MAX_KEY_PACKAGE {
        let detail = format!("a key package of {} bytes, the limit is {MAX_KEY_PACKAGE}", bytes.len());
        return Err(ApiError::new(Refusal::TooLarge, detail));
    }
    let info: room::KeyPackageInfo =
        inspect_key_package(&bytes).map_err(|fault| ApiError::malformed("a key package", fault))?;
    let claim = &info.claim;
    if claim.account != who.account || claim.device != who.device || claim.home != *account.home() {
        return Err(ApiError::new(Refusal::InvalidSignature, "a key package is of another device or relay"));
    }
    if !account.held(&claim.device, claim.seq, &claim.head) {
        return Err(ApiError::new(
            Refusal::InvalidSignature,
            "a key package names a place in the account's chain where the device was not active",
        ));
    }
    if info.suite != suite || info.last_resort != last_resort {
        return Err(ApiError::malformed(
            "the upload",
            "a key package is of another suite, or is marked as last resort where none is expected",
        ));
    }
    if claim.not_after <= now {
        return Err(ApiError::new(
            Refusal::ClockSkew,
            "a key package is expired already; check the device's clock",
        ));
    }
    Ok(StockedKeyPackage { hash: info.hash, not_after: claim.not_after, bytes: Bytes::from(bytes) })
}
