//! Key packages: what devices leave here so that others can invite them, and who has claimed them.

use posthouse_crypto::{Verified, sha256};
use posthouse_spec::account::{ClaimedKeyPackage, ClaimedKeyPackages, KeyClaim};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::limits::MAX_UPLOAD;
use posthouse_spec::room::Suite;
use posthouse_spec::{Cbor, DeviceId, KeyPackageHash, Millis, Ticket};
use sqlx::SqliteConnection;

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;
use super::tx::Tx;
use super::types::{ClaimOutcome, KeyPackageStock, StockedKeyPackage};
use crate::mailbox::MailboxKey;

/// Most key packages that are kept for one device and suite: one full upload.
const MAX_KEPT: u64 = MAX_UPLOAD as u64;

const COUNT: &str = "SELECT count(*) FROM key_packages k JOIN devices d ON d.id = k.device \
     WHERE d.account = ? AND d.device = ? AND d.active = 1 AND k.last_resort = 0 AND k.suite = ?";

async fn count(conn: &mut SqliteConnection, who: MailboxKey, suite: Suite) -> Result<u64, StoreError> {
    sqlx::query(COUNT)
        .bind(who.account.as_bytes().as_slice())
        .bind(who.device.as_bytes().as_slice())
        .bind(sql(suite.code()))
        .fetch_one(conn)
        .await
        .map_err(StoreError::sql("count key packages"))?
        .number(0)
}

async fn stock(conn: &mut SqliteConnection, who: MailboxKey) -> Result<KeyPackageStock, StoreError> {
    Ok(KeyPackageStock {
        classic: count(conn, who, Suite::Classic).await?,
        post_quantum: count(conn, who, Suite::PostQuantum).await?,
    })
}

impl Store {
    /// Keeps key packages of a device, as many as there is room for, and its last resort in place of the one before.
    /// Says what is there now.
    ///
    /// # Errors
    /// The store failed.
    pub async fn upload(
        &self,
        who: MailboxKey,
        suite: Suite,
        key_packages: Vec<StockedKeyPackage>,
        last_resort: Option<StockedKeyPackage>,
    ) -> Result<KeyPackageStock, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                tx.upload(who, suite, key_packages, last_resort).await?;
                stock(&mut tx.conn, who).await
            })
        })
        .await
    }

    /// How many key packages of a device are left.
    ///
    /// # Errors
    /// The store failed.
    pub async fn stock(&self, who: MailboxKey) -> Result<KeyPackageStock, StoreError> {
        let mut conn = self.readers().acquire().await.map_err(StoreError::sql("count key packages"))?;
        stock(&mut conn, who).await
    }

    /// Hands out one key package of each active device of the claimed account, each with a ticket. The same claim sent
    /// again gets the same answer; whoever is blocked finds an empty stock.
    ///
    /// # Errors
    /// The store failed.
    pub async fn claim(&self, now: Millis, claim: &Verified<KeyClaim>) -> Result<ClaimOutcome, StoreError> {
        let claim = claim.clone();
        self.write(move |tx| Box::pin(async move { tx.claim(now, &claim).await })).await
    }
}

struct Taken {
    hash: KeyPackageHash,
    key_package: Vec<u8>,
    last_resort: bool,
}

impl Tx {
    async fn upload(
        &mut self,
        who: MailboxKey,
        suite: Suite,
        key_packages: Vec<StockedKeyPackage>,
        last_resort: Option<StockedKeyPackage>,
    ) -> Result<(), StoreError> {
        let Some(device) = self.device(&who).await?.map(|entry| entry.id) else { return Ok(()) };
        let room = MAX_KEPT.saturating_sub(count(&mut self.conn, who, suite).await?);
        for key_package in key_packages.iter().take(usize::try_from(room).unwrap_or(0)) {
            self.keep(device, suite, false, key_package).await?;
        }
        if let Some(key_package) = last_resort {
            sqlx::query("DELETE FROM key_packages WHERE device = ? AND suite = ? AND last_resort = 1")
                .bind(device)
                .bind(sql(suite.code()))
                .execute(&mut self.conn)
                .await
                .map_err(StoreError::sql("replace a last resort"))?;
            self.keep(device, suite, true, &key_package).await?;
        }
        Ok(())
    }

    async fn keep(
        &mut self,
        device: i64,
        suite: Suite,
        last_resort: bool,
        key_package: &StockedKeyPackage,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO key_packages (device, suite, last_resort, hash, key_package, not_after) VALUES (?,?,?,?,?,?) \
             ON CONFLICT DO NOTHING",
        )
        .bind(device)
        .bind(sql(suite.code()))
        .bind(last_resort)
        .bind(key_package.hash.as_bytes().as_slice())
        .bind(&key_package.bytes[..])
        .bind(sql(key_package.not_after.0))
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql("keep a key package"))?;
        Ok(())
    }

    async fn claim(&mut self, now: Millis, claim: &Verified<KeyClaim>) -> Result<ClaimOutcome, StoreError> {
        let claim_hash = sha256(claim.signed().payload_bytes());
        let earlier = sqlx::query("SELECT answer FROM claims WHERE claim_hash = ?")
            .bind(claim_hash.as_slice())
            .fetch_optional(&mut self.conn)
            .await
            .map_err(StoreError::sql("look for an earlier claim"))?;
        if let Some(row) = earlier {
            return Ok(ClaimOutcome::Claimed(row.cbor(0)?));
        }
        let devices = sqlx::query(
            "SELECT d.id, d.device FROM accounts a LEFT JOIN devices d ON d.account = a.account AND d.active = 1 \
             WHERE a.account = ? ORDER BY d.id",
        )
        .bind(claim.target.as_bytes().as_slice())
        .fetch_all(&mut self.conn)
        .await
        .map_err(StoreError::sql("list the devices of a claimed account"))?;
        if devices.is_empty() {
            return Ok(ClaimOutcome::UnknownAccount);
        }
        let mut claimed = Vec::with_capacity(devices.len());
        if !self.has_blocked(&claim.target, &claim.claimant).await? {
            for row in devices {
                let Some(id) = row.row_id_or_null(0)? else { continue };
                let device = row.fixed(1, DeviceId::from_slice)?;
                claimed.extend(self.claim_one(now, claim, id, device).await?);
            }
        }
        let damaged = |e: posthouse_spec::Malformed| StoreError::damaged(e.to_string());
        let answer: ClaimedKeyPackages = List::new(claimed).map_err(damaged)?;
        sqlx::query("INSERT INTO claims (claim_hash, created, answer) VALUES (?,?,?)")
            .bind(claim_hash.as_slice())
            .bind(sql(now.0))
            .bind(answer.to_cbor())
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql("keep the answer to a claim"))?;
        Ok(ClaimOutcome::Claimed(answer))
    }

    async fn claim_one(
        &mut self,
        now: Millis,
        claim: &Verified<KeyClaim>,
        id: i64,
        device: DeviceId,
    ) -> Result<Option<ClaimedKeyPackage>, StoreError> {
        let Some(taken) = self.take_key_package(now, id, claim.suite).await? else { return Ok(None) };
        let ticket = Ticket::new(rand::random());
        sqlx::query(
            "INSERT INTO tickets (ticket, claimant, account, device, key_package, created, claim) VALUES (?,?,?,?,?,?,?)",
        )
        .bind(ticket.as_bytes().as_slice())
        .bind(claim.claimant.as_bytes().as_slice())
        .bind(claim.target.as_bytes().as_slice())
        .bind(device.as_bytes().as_slice())
        .bind(taken.hash.as_bytes().as_slice())
        .bind(sql(now.0))
        .bind(&claim.signed().as_bytes()[..])
        .execute(&mut self.conn)
        .await
        .map_err(StoreError::sql("keep a ticket"))?;
        let key_package = Octets::new(taken.key_package).map_err(|e| StoreError::damaged(e.to_string()))?;
        Ok(Some(ClaimedKeyPackage { device, key_package, ticket, last_resort: taken.last_resort }))
    }

    /// Takes one key package off a device's stock, none that has expired; the last resort only when there is no other,
    /// and it stays.
    async fn take_key_package(
        &mut self,
        now: Millis,
        device: i64,
        suite: u16,
    ) -> Result<Option<Taken>, StoreError> {
        let doing = "take a key package";
        let row = sqlx::query(
            "SELECT hash, key_package, last_resort FROM key_packages WHERE device = ? AND suite = ? AND not_after > ? \
             ORDER BY last_resort, hash LIMIT 1",
        )
        .bind(device)
        .bind(i64::from(suite))
        .bind(sql(now.0))
        .fetch_optional(&mut self.conn)
        .await
        .map_err(StoreError::sql(doing))?;
        let Some(row) = row else { return Ok(None) };
        let taken = Taken {
            hash: row.fixed(0, KeyPackageHash::from_slice)?,
            key_package: row.blob(1)?,
            last_resort: row.row_id(2)? != 0,
        };
        if !taken.last_resort {
            sqlx::query(
                "DELETE FROM key_packages WHERE device = ? AND suite = ? AND last_resort = 0 AND hash = ?",
            )
            .bind(device)
            .bind(i64::from(suite))
            .bind(taken.hash.as_bytes().as_slice())
            .execute(&mut self.conn)
            .await
            .map_err(StoreError::sql(doing))?;
        }
        Ok(Some(taken))
    }
}
