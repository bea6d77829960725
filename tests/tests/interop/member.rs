//! Somebody at the other relay: the seals of MLS are ours, because what is tried is the relay.

use anyhow::{Context as _, Result, bail};
use posthouse_crypto::room::member::{Keys, LeafIdentity, Room, key_package};
use posthouse_crypto::{Account, SealSecret, SigningKey, identity};
use posthouse_spec::account::{AliasClaim, DeviceKeys};
use posthouse_spec::cbor::Octets;
use posthouse_spec::content::MimiContent;
use posthouse_spec::envelope::{Item, MessageItem};
use posthouse_spec::room::Suite;
use posthouse_spec::{Alias, Cbor as _, Domain, Millis};
use serde_json::{Value, json};

/// A person with one device.
pub(crate) struct Member {
    /// What they have read and nobody has asked for yet.
    pub(crate) read: Vec<String>,
    told: Value,
    keys: Keys,
    room: Option<Room>,
    /// Messages that overtook the Welcome: they come on another lane.
    aside: Vec<MessageItem>,
    hub: Option<Domain>,
}

impl Member {
    /// Makes an account, and a key package in each suite.
    pub(crate) fn new(name: &str, domain: &str) -> Result<Self> {
        let mut rng = rand::rng();
        let (recovery, device) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
        let home: Domain = domain.parse()?;
        let public = DeviceKeys { device: device.device_id(), seal: SealSecret::generate(&mut rng).public() };
        let genesis = identity::genesis(&recovery, public, home.clone(), &mut rng, now()?);
        let chain = vec![hex::encode(genesis.as_bytes())];
        let account = Account::validate(&[genesis])?;
        let alias = Alias { name: name.parse()?, domain: home.clone() };
        let claim = device.sign(&AliasClaim { alias, account: account.id(), created: now()? });
        let id = LeafIdentity {
            account: account.id(),
            home,
            device: &device,
            seq: account.seq(),
            head: account.head(),
        };
        let mut keys = Keys::load(std::iter::empty());
        let mut packages = serde_json::Map::new();
        for suite in [Suite::Classic, Suite::PostQuantum] {
            let package = key_package(&mut keys, &id, suite, false, &mut rng, now()?)?;
            packages.insert(suite.code().to_string(), hex::encode(package.bytes).into());
        }
        let told = json!({
            "name": name,
            "chain": chain,
            "claim": hex::encode(claim.as_bytes()),
            "device": hex::encode(device.device_id().as_bytes()),
            "packages": packages,
        });
        Ok(Self { read: Vec::new(), told, keys, room: None, aside: Vec::new(), hub: None })
    }

    /// What their relay knows of them.
    pub(crate) fn told(&self) -> &Value {
        &self.told
    }

    /// Takes an item as their relay would have handed it on.
    pub(crate) fn take(&mut self, item: &[u8]) -> Result<()> {
        match Item::from_cbor(item)? {
            Item::Welcome(welcome) => {
                let bundle = welcome.bundle;
                self.hub = Some(welcome.hub);
                self.room = Some(Room::join(&mut self.keys, &bundle.welcome, &bundle.group_info)?);
            }
            Item::Message(message) => self.aside.push(message),
            Item::EpochEnd(_) => {}
            other => bail!("nothing of this kind was expected: {other:?}"),
        }
        let Some(room) = self.room.as_mut() else { return Ok(()) };
        for message in self.aside.drain(..) {
            let opened = room.open(&mut self.keys, &message.body)?;
            self.read.push(super::text_of(&opened.content)?);
        }
        Ok(())
    }

    /// Seals a text for the room.
    pub(crate) fn say(&mut self, text: &str) -> Result<MessageItem> {
        let room = self.room.as_mut().context("not in a room")?;
        let content = MimiContent::text([5; 16], text)?.to_cbor();
        let body = room.seal(&mut self.keys, &content)?;
        let hub = self.hub.clone().context("no hub")?;
        Ok(MessageItem { room: room.id(), hub, epoch: room.epoch(), body: Octets::new(body)?, mark: None })
    }
}

fn now() -> Result<Millis> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Millis(u64::try_from(since.as_millis())?))
}
