//! The client: an open vault, and what a person does with it.

mod backup;
mod groups;
mod history;
mod people;
mod rules;

use std::sync::Arc;

use posthouse_spec::Alias;
use posthouse_spec::limits::MAX_TEXT;
use tokio::sync::{Mutex, mpsc};
use zeroize::Zeroizing;

use crate::connection::{Relay, RelayUrl};
use crate::context::{Context, Signals, Turns};
use crate::error::{ClientError, VaultError};
use crate::event::{Event, SyncReport, Until};
use crate::history::retention as keeping;
use crate::model::{Message, MessageState, PeerRef, RoomSummary, Sent, Unread, Whoami};
use crate::profile::{Profile, Unlock};
use crate::vault::contacts::{self, Standing};
use crate::vault::owner::{self, Owner};
use crate::vault::retention::{self, Kept};
use crate::vault::{Vault, messages, outbox, rooms};
use crate::{clock, register, sync};

pub use groups::CreatedRoom;

/// An open vault. Clones share it; one process owns a vault at a time.
#[derive(Clone)]
pub struct Client(Arc<Context>);

/// A registration that the relay confirmed.
pub struct Registered {
    /// The open vault.
    pub client: Client,
    /// The 24 words. Show them, and then call [`Client::recovery_code_shown`], which erases them from the vault: until
    /// then registering again shows them again.
    pub recovery_code: Zeroizing<String>,
}

impl Client {
    /// Whether the profile has a vault.
    #[must_use]
    pub fn exists(profile: &Profile) -> bool {
        profile.header().exists()
    }

    /// Makes a vault and registers its account at a relay: `relay_url`, or `https://DOMAIN` of the alias.
    ///
    /// The vault comes first and is durable, so that a crash or a dead network on the way loses nothing: called again
    /// with the same alias it goes on with the same keys and the same recovery code.
    ///
    /// # Errors
    /// What the vault, the network or the relay says.
    pub async fn register(
        profile: &Profile,
        unlock: Unlock,
        alias: &Alias,
        relay_url: Option<&str>,
        invite: Option<&str>,
    ) -> Result<Registered, ClientError> {
        if let Some(url) = relay_url {
            RelayUrl::parse(url)?;
        }
        let vault = Vault::create(profile, &unlock).await?;
        match Box::pin(Self::register_in(&vault, alias, relay_url, invite)).await {
            Ok((owner, relay)) => {
                let recovery_code = owner.recovery.clone().unwrap_or_default();
                let client = Self::with(vault, relay, owner);
                // Others can invite this account at once. Where it fails, the next sync does it.
                if let Err(error) = sync::top_up(&client.0).await {
                    tracing::warn!(%error, "no key packages at the relay yet");
                }
                Ok(Registered { client, recovery_code })
            }
            Err(error) => {
                vault.close().await?;
                Err(error)
            }
        }
    }

    async fn register_in(
        vault: &Vault,
        alias: &Alias,
        relay_url: Option<&str>,
        invite: Option<&str>,
    ) -> Result<(Owner, Relay), ClientError> {
        let mut owner = register::begin(vault, alias, relay_url).await?;
        let relay = Relay::new(RelayUrl::parse(&owner.relay_url)?)?;
        register::confirm(vault, &relay, &mut owner, invite).await?;
        Ok((owner, relay))
    }

    /// The recovery code was shown: erases it from the vault.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn recovery_code_shown(&self) -> Result<(), ClientError> {
        let mut tx = self.0.vault.begin().await?;
        owner::erase_recovery(tx.db()?).await?;
        Ok(tx.commit().await?)
    }

    /// Opens the vault and takes its lock.
    ///
    /// # Errors
    /// There is none, another process owns it, the key is wrong, it is damaged, or its registration is unfinished.
    pub async fn open(profile: &Profile, unlock: Unlock) -> Result<Self, ClientError> {
        let vault = Vault::open(profile, &unlock).await?;
        let owner = owner::load(vault.read().await?.db()?).await?;
        let fault = match owner {
            Some(owner) if owner.registered.is_some() => {
                let relay = Relay::new(RelayUrl::parse(&owner.relay_url)?)?;
                keeping::delete_old(&vault).await?;
                return Ok(Self::with(vault, relay, owner));
            }
            Some(owner) => ClientError::NotRegistered(owner.alias),
            None => VaultError::Missing(profile.dir().to_owned()).into(),
        };
        vault.close().await?;
        Err(fault)
    }

    fn with(vault: Vault, relay: Relay, owner: Owner) -> Self {
        Self(Arc::new(Context {
            vault,
            relay,
            owner,
            signals: Signals::default(),
            founders: Turns::default(),
            changing: Turns::default(),
            syncing: Mutex::new(()),
        }))
    }

    #[cfg(test)]
    pub(crate) fn context(&self) -> &Context {
        &self.0
    }

    /// Closes the vault and gives up its lock; clones must not be used any more.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn close(self) -> Result<(), ClientError> {
        Ok(self.0.vault.close().await?)
    }

    /// Who owns the vault.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn whoami(&self) -> Result<Whoami, ClientError> {
        let owner = &self.0.owner;
        Ok(Whoami {
            alias: owner.alias.clone(),
            account: owner.account.id(),
            device: owner.device.device_id(),
            domain: owner.alias.domain.clone(),
            relay_url: owner.relay_url.clone(),
            registered: owner.registered.unwrap_or_default(),
            restored: owner.restored,
        })
    }

    /// Stores a message to be sent; needs no network. A sync that is running sends it at once.
    ///
    /// # Errors
    /// The text is too long, who it is for is blocked, or what the vault says.
    pub async fn send(&self, to: &Alias, text: &str) -> Result<Sent, ClientError> {
        self.0.enrolled()?;
        let owner = &self.0.owner;
        if *to == owner.alias {
            return Err(ClientError::OwnAlias(to.clone()));
        }
        if text.len() > MAX_TEXT {
            return Err(ClientError::TextTooLong { len: text.len(), limit: MAX_TEXT });
        }
        let mut tx = self.0.vault.begin().await?;
        let blocked = match contacts::by_alias(tx.db()?, to).await? {
            Some(contact) => contact.standing == Standing::Blocked,
            None => false,
        };
        if blocked {
            tx.commit().await?;
            return Err(ClientError::Blocked(to.clone()));
        }
        let local = messages::insert_queued(tx.db()?, to, &owner.account.id(), text, clock::now()).await?;
        outbox::intend(tx.db()?, local, to).await?;
        tx.commit().await?;
        self.0.signals.connection.notify_one();
        self.0.signals.want_work();
        Ok(Sent { local, to: to.clone(), state: MessageState::Queued })
    }

    /// One own or received message by its place in the vault.
    ///
    /// # Errors
    /// There is none, or what the vault says.
    pub async fn message(&self, local: u64) -> Result<Message, ClientError> {
        let mut reader = self.0.vault.read().await?;
        messages::by_local(reader.db()?, local).await?.ok_or(ClientError::UnknownMessage(local))
    }

    /// All rooms, the latest used first.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn rooms(&self) -> Result<Vec<RoomSummary>, ClientError> {
        let mut reader = self.0.vault.read().await?;
        let mut summaries = Vec::new();
        for listed in rooms::list(reader.db()?).await? {
            let last = match listed.last {
                Some(local) => messages::by_local(reader.db()?, local).await?,
                None => None,
            };
            let row = listed.row;
            let kept = row.peer.map_or(Kept::Room(row.room), Kept::Peer);
            let retention_days = retention::of(reader.db()?, &kept).await?;
            summaries.push(RoomSummary {
                room: row.room,
                kind: row.kind,
                state: row.state,
                peer: row.peer.map(|account| PeerRef { alias: listed.alias, account }),
                name: listed.name,
                members: listed.members,
                epoch: row.epoch,
                suite: row.suite,
                hub: row.hub,
                unread: listed.unread,
                last,
                reason: row.reason,
                retention_days,
            });
        }
        Ok(summaries)
    }

    /// Unread messages by conversation. They stay unread until [`Client::mark_read`].
    ///
    /// # Errors
    /// What the vault says.
    pub async fn inbox(&self) -> Result<Vec<Unread>, ClientError> {
        let unread = messages::unread(self.0.vault.read().await?.db()?).await?;
        let mut conversations: Vec<Unread> = Vec::new();
        for message in unread {
            let same = conversations.iter_mut().find(|unread| {
                if message.peer.is_some() { unread.peer == message.peer } else { unread.room == message.room }
            });
            match same {
                Some(conversation) => conversation.messages.push(message),
                None => conversations.push(Unread {
                    room: message.room,
                    peer: message.peer.clone(),
                    messages: vec![message],
                }),
            }
        }
        Ok(conversations)
    }

    /// Notes that somebody has read these messages, by their places in the vault.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn mark_read(&self, locals: &[u64]) -> Result<(), ClientError> {
        let mut tx = self.0.vault.begin().await?;
        for local in locals {
            messages::mark_read(tx.db()?, *local).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Carries everything that waits to the relay, and brings what waits there. One sync runs at a time; everything
    /// else on this client may be called meanwhile.
    ///
    /// # Errors
    /// The connection or the relay's answer, if it ends the sync.
    pub async fn sync(&self, until: Until, events: mpsc::Sender<Event>) -> Result<SyncReport, ClientError> {
        Box::pin(sync::run(&self.0, until, events)).await
    }
}
