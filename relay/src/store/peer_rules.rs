//! The operator's word on other relays' domains: whom to federate with, whatever the configuration says of all.

use posthouse_spec::{Domain, Millis};

use super::columns::{Columns, sql};
use super::error::StoreError;
use super::handle::Store;

/// What the operator has said of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Federate with it.
    Allow = 1,
    /// Do not.
    Deny = 2,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRule {
    /// The domain that it is about.
    pub domain: Domain,
    /// What it says.
    pub ruling: Ruling,
    /// When it was made.
    pub created: Millis,
}

impl Store {
    /// All rules, by domain.
    ///
    /// # Errors
    /// The store failed.
    pub async fn peer_rules(&self) -> Result<Vec<DomainRule>, StoreError> {
        let rows = sqlx::query("SELECT domain, rule, created FROM peer_rules ORDER BY domain")
            .fetch_all(self.readers())
            .await
            .map_err(StoreError::sql("list the rules on other relays"))?;
        rows.iter()
            .map(|row| {
                let ruling = match row.number(1)? {
                    1 => Ruling::Allow,
                    2 => Ruling::Deny,
                    other => return Err(StoreError::damaged(format!("a rule of kind {other}"))),
                };
                Ok(DomainRule { domain: row.domain(0)?, ruling, created: Millis(row.number(2)?) })
            })
            .collect()
    }

    /// Makes a rule, in place of an earlier one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn set_peer_rule(&self, rule: DomainRule) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO peer_rules (domain, rule, created) VALUES (?,?,?) \
                     ON CONFLICT (domain) DO UPDATE SET rule = excluded.rule, created = excluded.created",
                )
                .bind(rule.domain.as_str())
                .bind(rule.ruling as i64)
                .bind(sql(rule.created.0))
                .execute(&mut tx.conn)
                .await
                .map_err(StoreError::sql("keep a rule on another relay"))?;
                Ok(())
            })
        })
        .await
    }

    /// Removes the rule on a domain. Whether there was one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn forget_peer_rule(&self, domain: &Domain) -> Result<bool, StoreError> {
        let domain = domain.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let gone = sqlx::query("DELETE FROM peer_rules WHERE domain = ?")
                    .bind(domain.as_str())
                    .execute(&mut tx.conn)
                    .await
                    .map_err(StoreError::sql("forget a rule on another relay"))?;
                Ok(gone.rows_affected() > 0)
            })
        })
        .await
    }
}
