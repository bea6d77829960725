//! The client: an open vault, and what a person does with it.

use posthouse_spec::Alias;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::error::ClientError;
use crate::event::{Event, SyncReport, Until};
use crate::model::{
    Conversation, Message, Page, PeerRef, Request, RoomSummary, SafetyNumber, Sent, Unread, Whoami,
};
use crate::profile::{Profile, Unlock};

/// An open vault. Clones share it; one process owns a vault at a time.
#[derive(Clone)]
pub struct Client {}

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
        _profile: &Profile,
        _unlock: Unlock,
        _alias: &Alias,
        _relay_url: Option<&str>,
        _invite: Option<&str>,
    ) -> Result<Registered, ClientError> {
        unimplemented!()
    }

    /// The recovery code was shown: erases it from the vault.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn recovery_code_shown(&self) -> Result<(), ClientError> {
        unimplemented!()
    }

    /// Opens the vault and takes its lock.
    ///
    /// # Errors
    /// There is none, another process owns it, the key is wrong, it is damaged, or its registration is unfinished.
    pub async fn open(_profile: &Profile, _unlock: Unlock) -> Result<Self, ClientError> {
        unimplemented!()
    }

    /// Closes the vault and gives up its lock; clones must not be used any more.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn close(self) -> Result<(), ClientError> {
        unimplemented!()
    }

    /// Who owns the vault.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn whoami(&self) -> Result<Whoami, ClientError> {
        unimplemented!()
    }

    /// Stores a message to be sent; needs no network. A sync that is running sends it at once.
    ///
    /// # Errors
    /// The text is too long, or what the vault says.
    pub async fn send(&self, _to: &Alias, _text: &str) -> Result<Sent, ClientError> {
        unimplemented!()
    }

    /// One own or received message by its place in the vault.
    ///
    /// # Errors
    /// There is none, or what the vault says.
    pub async fn message(&self, _local: u64) -> Result<Message, ClientError> {
        unimplemented!()
    }

    /// All rooms, the latest used first.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn rooms(&self) -> Result<Vec<RoomSummary>, ClientError> {
        unimplemented!()
    }

    /// Messages of a conversation, oldest first.
    ///
    /// # Errors
    /// There is no such conversation, or what the vault says.
    pub async fn history(&self, _of: &Conversation, _page: Page) -> Result<Vec<Message>, ClientError> {
        unimplemented!()
    }

    /// Unread messages by conversation; they are read then.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn inbox(&self) -> Result<Vec<Unread>, ClientError> {
        unimplemented!()
    }

    /// Who asks to talk.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn requests(&self) -> Result<Vec<Request>, ClientError> {
        unimplemented!()
    }

    /// Accepts somebody's request: they become a contact, the room is joined, and what waited is opened. Where their
    /// alias is not confirmed yet, the next sync does it.
    ///
    /// # Errors
    /// There is no request of that alias, or what the vault says.
    pub async fn accept(&self, _alias: &Alias) -> Result<PeerRef, ClientError> {
        unimplemented!()
    }

    /// Blocks somebody: their requests go, and the relay takes nothing more from them. The relay is told by the next
    /// sync.
    ///
    /// # Errors
    /// Nobody of that alias is known, or what the vault says.
    pub async fn block(&self, _alias: &Alias) -> Result<PeerRef, ClientError> {
        unimplemented!()
    }

    /// The safety number with somebody. Asks the relay where the vault does not know them.
    ///
    /// # Errors
    /// Nobody of that alias is found, or what the vault says.
    pub async fn verify(&self, _alias: &Alias) -> Result<SafetyNumber, ClientError> {
        unimplemented!()
    }

    /// Writes all messages as JSON lines, oldest first; returns how many.
    ///
    /// # Errors
    /// Writing fails, or what the vault says.
    pub async fn export(&self, _out: &mut (dyn std::io::Write + Send)) -> Result<u64, ClientError> {
        unimplemented!()
    }

    /// Carries everything that waits to the relay, and brings what waits there. One sync runs at a time; everything
    /// else on this client may be called meanwhile.
    ///
    /// # Errors
    /// The connection or the relay's answer, if it ends the sync.
    pub async fn sync(&self, _until: Until, _events: mpsc::Sender<Event>) -> Result<SyncReport, ClientError> {
        unimplemented!()
    }
}
