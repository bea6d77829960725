//! What a person does with other people: consent, blocks and safety numbers.

use posthouse_crypto::safety_number;
use posthouse_spec::{AccountId, Alias};

use super::Client;
use crate::error::ClientError;
use crate::model::{PeerRef, Request, SafetyNumber};
use crate::vault::contacts::{self, Standing};
use crate::vault::held;
use crate::vault::requests::{self, Answer, RequestRow};
use crate::{clock, sync, trust};

impl Client {
    /// Who asks to talk.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn requests(&self) -> Result<Vec<Request>, ClientError> {
        let mut reader = self.0.vault.read().await?;
        let mut asking = Vec::new();
        for request in requests::open(reader.db()?).await? {
            if request.answer == Answer::Asking {
                let waiting = held::load(reader.db()?, &request.room).await?;
                asking.push(request.shown(waiting.items));
            }
        }
        Ok(asking)
    }

    /// Accepts somebody's request: they become a contact, the room is joined, and what waited is opened. Where their
    /// alias is not confirmed yet, the next sync does it. Somebody who was blocked no longer is; an alias that now stands
    /// for another account is taken to be theirs.
    ///
    /// # Errors
    /// There is no request of that alias, or what the vault says.
    pub async fn accept(&self, alias: &Alias) -> Result<PeerRef, ClientError> {
        let mut tx = self.0.vault.begin().await?;
        if let Some(newcomer) = contacts::newcomer(tx.db()?, alias).await? {
            contacts::repin(tx.db()?, &newcomer, clock::now()).await?;
        }
        let contact = contacts::by_alias(tx.db()?, alias).await?;
        let mut asked = requests::open(tx.db()?).await?;
        // Whoever was turned away still writes to the room to which they invited: it is joined now.
        asked.extend(requests::turned_away(tx.db()?).await?);
        let mut asking = asking_as(asked, alias);
        // An alias is one person's: what others claim of it waits for the check that drops it.
        if let Some(contact) = &contact {
            asking.retain(|request| request.account == contact.account.id());
        }
        let account = match (&contact, asking.first()) {
            (Some(contact), _) => contact.account.id(),
            (None, Some(request)) => request.account,
            (None, None) => {
                tx.commit().await?;
                return Err(ClientError::NoRequest(alias.clone()));
            }
        };
        let (_, standing) = contacts::glance(tx.db()?, &account).await?;
        if standing == Standing::Contact && asking.is_empty() {
            tx.commit().await?;
            return Err(ClientError::NoRequest(alias.clone()));
        }
        if standing == Standing::Blocked {
            contacts::set_blocked(tx.db()?, &account, false).await?;
        }
        requests::reopen(tx.db()?, &account).await?;
        contacts::consent(tx.db()?, &account).await?;
        requests::answer(tx.db()?, &account, Answer::Accepted).await?;
        tx.commit().await?;
        for request in asking.into_iter().filter(|request| request.account == account && request.verified) {
            // What fails here is tried again, and reported, by the next sync.
            if let Err(error) = sync::join_now(&self.0, &request).await {
                tracing::warn!(%error, "not joined yet");
            }
        }
        self.0.signals.want_work();
        Ok(PeerRef { alias: Some(alias.clone()), account })
    }

    /// Blocks somebody: their requests go, and the relay takes nothing more from them. The relay is told by the next
    /// sync.
    ///
    /// # Errors
    /// Nobody of that alias is known, or what the vault says.
    pub async fn block(&self, alias: &Alias) -> Result<PeerRef, ClientError> {
        let mut tx = self.0.vault.begin().await?;
        let contact = contacts::by_alias(tx.db()?, alias).await?.map(|contact| contact.account.id());
        let open = requests::open(tx.db()?).await?;
        let mut accounts: Vec<AccountId> =
            open.iter().filter(|request| request.alias == *alias).map(|request| request.account).collect();
        accounts.extend(contact);
        accounts.sort_unstable();
        accounts.dedup();
        for account in &accounts {
            contacts::set_blocked(tx.db()?, account, true).await?;
        }
        for request in open.iter().filter(|request| accounts.contains(&request.account)) {
            requests::turn_away(tx.db()?, &request.room).await?;
            held::clear(tx.db()?, &request.room).await?;
        }
        tx.commit().await?;
        self.0.signals.want_work();
        let account = contact.or(accounts.first().copied());
        account
            .map(|account| PeerRef { alias: Some(alias.clone()), account })
            .ok_or_else(|| ClientError::UnknownPerson(alias.clone()))
    }

    /// The safety number with somebody; of an alias that has changed hands, with the new account. Asks the relay where the
    /// vault does not know them.
    ///
    /// # Errors
    /// Nobody of that alias is found, or what the vault says.
    pub async fn verify(&self, alias: &Alias) -> Result<SafetyNumber, ClientError> {
        if *alias == self.0.owner.alias {
            return Err(ClientError::OwnAlias(alias.clone()));
        }
        let (newcomer, contact) = {
            let mut reader = self.0.vault.read().await?;
            (contacts::newcomer(reader.db()?, alias).await?, contacts::by_alias(reader.db()?, alias).await?)
        };
        let changed = newcomer.is_some();
        let account = match (newcomer, contact) {
            (Some(newcomer), _) => newcomer.account,
            (None, Some(contact)) => contact.account,
            (None, None) => {
                let known = trust::look_up(&self.0, alias).await?;
                let mut tx = self.0.vault.begin().await?;
                let recognised = trust::recognise(tx.db()?, &known).await;
                tx.commit().await?;
                recognised?;
                known.account
            }
        };
        let number = safety_number(&self.0.owner.account, &account);
        Ok(SafetyNumber { alias: alias.clone(), account: account.id(), number, changed })
    }
}

/// Open requests of whoever calls themselves so.
fn asking_as(open: Vec<RequestRow>, alias: &Alias) -> Vec<RequestRow> {
    open.into_iter().filter(|request| request.alias == *alias).collect()
}
