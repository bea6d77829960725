//! An account with one device.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use posthouse_crypto::identity::genesis;
use posthouse_crypto::room::check_decided;
use posthouse_crypto::room::member::{Keys, LeafIdentity, Room, key_package};
use posthouse_crypto::{Account, KnownAccount, SealSecret, SigningKey, follow, lineage, verify_record};
use posthouse_spec::account::{AliasClaim, Chain, ClaimedKeyPackage, DeviceKeys, Invited, KeyClaim, Login};
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::client::delivery::WelcomeDelivery;
use posthouse_spec::client::http::{Base64, ChallengeRequest, KeyPackageUpload, RegisterRequest};
use posthouse_spec::client::socket::{Hello, SOCKET_VERSION};
use posthouse_spec::room::{CommitClaim, CommitUpload, RelayRef, RoomContext, Suite, WelcomeBundle};
use posthouse_spec::{Alias, Incarnation, MailboxSeq, Millis, Number, RoomId};
use rand::Rng as _;

use super::{Home, Socket};

/// The clock.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or_default())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// Somebody with an account, one device, and all its keys in memory.
pub(crate) struct Person {
    alias: Alias,
    account: Account,
    device: SigningKey,
    incarnation: Incarnation,
    home: Home,
    token: String,
    keys: Keys,
}

impl Person {
    /// Makes an account and registers it.
    pub(crate) async fn register(home: &Home, name: &str) -> Result<Self> {
        let mut rng = rand::rng();
        let alias = Alias { name: name.parse()?, domain: home.manifest().domain.clone() };
        let device = SigningKey::generate(&mut rng);
        let public = DeviceKeys { device: device.device_id(), seal: SealSecret::generate(&mut rng).public() };
        let recovery = SigningKey::generate(&mut rng);
        let chain = vec![genesis(&recovery, public, alias.domain.clone(), &mut rng, now())];
        let account = Account::validate(&chain)?;
        let claim = device.sign(&AliasClaim { alias: alias.clone(), account: account.id(), created: now() });
        let request = RegisterRequest {
            chain: Base64::of(&Chain::new(chain)?),
            claim: Base64::of(&claim),
            invite: None,
        };
        home.register(&request).await.with_context(|| format!("registering {alias}"))?;
        Ok(Self {
            alias,
            account,
            device,
            incarnation: Incarnation::new(random()),
            home: home.clone(),
            token: String::new(),
            keys: Keys::load(std::iter::empty()),
        })
    }

    /// The alias.
    pub(crate) fn alias(&self) -> &Alias {
        &self.alias
    }

    /// From now on the account's relay is reached by this one: it was restarted, or its connections were given up.
    pub(crate) fn reached_by(&mut self, home: &Home) {
        self.home = home.clone();
    }

    /// Logs in.
    pub(crate) async fn login(&mut self) -> Result<()> {
        let (account, device) = (self.account.id(), self.device.device_id());
        let asked = self.home.challenge(&ChallengeRequest { account, device }).await?;
        let login =
            Login { domain: asked.domain, account, device, challenge: Octets::new(asked.challenge.0)? };
        self.token = self
            .home
            .login(&self.device.sign(&login))
            .await
            .with_context(|| format!("logging {} in", self.alias))?;
        Ok(())
    }

    /// Opens the device's socket; it holds everything up to `acked`, and has sent up to `last_number`.
    pub(crate) async fn connect(&self, acked: MailboxSeq, last_number: Number) -> Result<Socket> {
        let hello = Hello { version: SOCKET_VERSION, incarnation: self.incarnation, acked, last_number };
        Socket::open(self.home.address(), &self.token, hello)
            .await
            .with_context(|| format!("connecting {}", self.alias))
    }

    /// Uploads one key package, by which this device can be invited.
    pub(crate) async fn publish_key_package(&mut self, suite: Suite) -> Result<()> {
        let leaf = leaf(&self.account, &self.device);
        let package = key_package(&mut self.keys, &leaf, suite, false, &mut rand::rng(), now())?;
        let upload = KeyPackageUpload {
            suite: u16::try_from(suite.code())?,
            key_packages: vec![Base64(package.bytes)],
            last_resort: None,
        };
        self.home.upload(&self.token, &upload).await.with_context(|| format!("uploading for {}", self.alias))
    }

    /// Founds a direct room and invites somebody to it, who has to join yet.
    pub(crate) async fn open_room(&mut self, peer: &Alias, suite: Suite) -> Result<Room> {
        let (record, manifest) = self.home.account(&self.token, peer).await?;
        let manifest = follow(&peer.domain, None, &manifest)?;
        let known = verify_record(&record, Some(peer), &manifest.ordering)?;
        let claimed = self.claim(&known, suite).await?;
        let own = self.home.manifest();
        let context = RoomContext::direct(RelayRef { domain: own.domain.clone(), lineage: lineage(own) });
        let leaf = leaf(&self.account, &self.device);
        let id = RoomId::new(random());
        let (mut room, group_info) =
            Room::found(&mut self.keys, &leaf, id, suite, &context, &mut rand::rng(), now())?;
        self.home.found(&self.token, id, group_info).await.context("founding a room")?;
        self.invite(&mut room, &known, claimed).await.with_context(|| format!("inviting {peer}"))?;
        Ok(room)
    }

    async fn claim(&self, peer: &KnownAccount, suite: Suite) -> Result<Vec<ClaimedKeyPackage>> {
        let claim = KeyClaim {
            claimant: self.account.id(),
            device: self.device.device_id(),
            alias: self.alias.clone(),
            target: peer.account.id(),
            domain: peer.alias.domain.clone(),
            suite: u16::try_from(suite.code())?,
            created: now(),
            nonce: Incarnation::new(random()),
        };
        let claimed = self.home.claim(&self.token, &self.device.sign(&claim)).await?.into_vec();
        ensure!(!claimed.is_empty(), "{} has no key packages left", peer.alias);
        Ok(claimed)
    }

    async fn invite(
        &mut self,
        room: &mut Room,
        peer: &KnownAccount,
        claimed: Vec<ClaimedKeyPackage>,
    ) -> Result<()> {
        let packages: Vec<Vec<u8>> = claimed.iter().map(|claimed| claimed.key_package.to_vec()).collect();
        let proposed = room.invite(&mut self.keys, &packages)?;
        let invited = claimed.iter().map(|claimed| Invited {
            account: peer.account.id(),
            device: claimed.device,
            domain: peer.alias.domain.clone(),
            key_package: posthouse_crypto::key_package_hash(&claimed.key_package),
            ticket: claimed.ticket,
        });
        let welcome = WelcomeBundle {
            welcome: Octets::new(proposed.welcome.context("an invitation without a Welcome")?)?,
            group_info: Octets::new(proposed.group_info)?,
            invited: List::new(invited.collect())?,
        };
        let claim = CommitClaim { room: room.id(), epoch: proposed.epoch, commit: proposed.hash };
        let upload = CommitUpload {
            claim: self.device.sign(&claim),
            commit: Octets::new(proposed.commit)?,
            welcome: Some(welcome),
        };
        let decided = self.home.commit(&self.token, room.id(), &upload).await?;
        let decision = check_decided(&decided, &self.home.manifest().ordering)?;
        ensure!(decision.commit == proposed.hash, "the hub decided another commit");
        room.merge_own(&mut self.keys)?;
        Ok(())
    }

    /// Joins a room to which this device was invited.
    pub(crate) fn join(&mut self, welcome: &WelcomeDelivery) -> Result<Room> {
        Ok(Room::join(&mut self.keys, &welcome.welcome, &welcome.group_info)?)
    }

    /// Seals content for a room.
    pub(crate) fn seal(&mut self, room: &mut Room, content: &[u8]) -> Result<Vec<u8>> {
        Ok(room.seal(&mut self.keys, content)?)
    }

    /// Opens a sealed message.
    pub(crate) fn open(&mut self, room: &mut Room, body: &[u8]) -> Result<Vec<u8>> {
        Ok(room.open(&mut self.keys, body)?.content)
    }
}

fn leaf<'a>(account: &Account, device: &'a SigningKey) -> LeafIdentity<'a> {
    LeafIdentity {
        account: account.id(),
        home: account.home().clone(),
        device,
        seq: account.seq(),
        head: account.head(),
    }
}
