//! Every type of the wire under the name that `posthouse.cddl` and the vectors give it.

use bytes::Bytes;
use posthouse_spec::account::{self, Chain, ChainFault, ClaimedKeyPackages};
use posthouse_spec::client::delivery::{self, Delivery, Failure};
use posthouse_spec::client::{Refusal, socket};
use posthouse_spec::content::{MimiContent, NestedPart};
use posthouse_spec::envelope::{self, Envelope, Item, LaneClass};
use posthouse_spec::manifest::{MailbagOffer, Manifest, Node};
use posthouse_spec::peer::{deliver, hello, keys, mailbag, room as peer_room};
use posthouse_spec::policy::PolicyRule;
use posthouse_spec::room::{self, Decision, Role, RoomKind, Suite};
use posthouse_spec::{Alias, AliasName, Cbor, Domain, Malformed, Payload, Signed};

/// One type: its name, and what reading and writing it again makes of bytes.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) recode: fn(&[u8]) -> Result<Vec<u8>, Malformed>,
}

fn recode<T: Cbor>(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    T::from_cbor(bytes).map(|value| value.to_cbor())
}

/// The container is put together again around the payload as received; the payload's own form is checked, and its
/// own kind's law says the rest.
fn recode_signed<T: Payload>(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let signed = Signed::<T>::from_bytes(Bytes::copy_from_slice(bytes))?;
    signed.peek()?;
    let again = Signed::<T>::assemble(signed.kid(), signed.payload_bytes(), signed.signature());
    Ok(again.as_bytes().to_vec())
}

macro_rules! kinds {
    ($recode:ident { $($name:literal = $ty:ty),+ $(,)? }) => {
        &[$(Kind { name: $name, recode: $recode::<$ty> }),+]
    };
}

const PLAIN: &[Kind] = kinds!(recode {
    "domain" = Domain,
    "alias-name" = AliasName,
    "alias" = Alias,
    "device-keys" = account::DeviceKeys,
    "genesis" = account::Genesis,
    "add-device" = account::AddDevice,
    "revoke-device" = account::RevokeDevice,
    "rotate-recovery" = account::RotateRecovery,
    "set-home" = account::SetHome,
    "event-body" = account::EventBody,
    "event" = account::Event,
    "chain" = Chain,
    "chain-fault" = ChainFault,
    "alias-claim" = account::AliasClaim,
    "alias-binding" = account::AliasBinding,
    "leaf-claim" = account::LeafClaim,
    "login" = account::Login,
    "key-claim" = account::KeyClaim,
    "claimed-key-package" = account::ClaimedKeyPackage,
    "claimed-key-packages" = ClaimedKeyPackages,
    "account-record" = account::AccountRecord,
    "invited" = account::Invited,
    "node" = Node,
    "mailbag-offer" = MailbagOffer,
    "manifest" = Manifest,
    "suite" = Suite,
    "room-kind" = RoomKind,
    "role" = Role,
    "policy-rule" = PolicyRule,
    "room-policy" = room::RoomPolicy,
    "relay-ref" = room::RelayRef,
    "ordering" = room::Ordering,
    "room-context" = room::RoomContext,
    "decision" = Decision,
    "decided" = room::Decided,
    "commit-claim" = room::CommitClaim,
    "welcome-bundle" = room::WelcomeBundle,
    "commit-upload" = room::CommitUpload,
    "rejoin-claim" = room::RejoinClaim,
    "leave-claim" = room::LeaveClaim,
    "departures" = room::Departures,
    "room-info" = posthouse_spec::content::RoomInfo,
    "lane-class" = LaneClass,
    "message-item" = envelope::MessageItem,
    "epoch-end-item" = envelope::EpochEndItem,
    "decided-item" = envelope::DecidedItem,
    "welcome-item" = envelope::WelcomeItem,
    "undelivered" = envelope::Undelivered,
    "undelivered-item" = envelope::UndeliveredItem,
    "canary-item" = envelope::CanaryItem,
    "item" = Item,
    "envelope" = Envelope,
    "lane-cursor" = hello::LaneCursor,
    "peer-hello" = hello::Hello,
    "peer-rule" = hello::PeerRule,
    "peer-refusal" = hello::PeerRefusal,
    "hello-response" = hello::HelloResponse,
    "open" = deliver::Open,
    "deliver-frame" = deliver::DeliverFrame,
    "credit" = deliver::Credit,
    "resume" = deliver::Resume,
    "item-refusal" = deliver::ItemRefusal,
    "refused-item" = deliver::RefusedItem,
    "ack" = deliver::Ack,
    "busy" = deliver::Busy,
    "receipt-frame" = deliver::ReceiptFrame,
    "claim-request" = keys::ClaimRequest,
    "keys-request" = keys::KeysRequest,
    "keys-response" = keys::KeysResponse,
    "fetch-decisions" = peer_room::FetchDecisions,
    "decisions" = peer_room::Decisions,
    "room-request" = peer_room::RoomRequest,
    "room-refusal" = peer_room::RoomRefusal,
    "room-response" = peer_room::RoomResponse,
    "mailbag" = mailbag::Mailbag,
    "mailbag-ref" = mailbag::MailbagRef,
    "mailbag-request" = mailbag::MailbagRequest,
    "mailbag-list" = mailbag::MailbagList,
    "mailbag-response" = mailbag::MailbagResponse,
    "refusal" = Refusal,
    "client-hello" = socket::Hello,
    "submit" = socket::Submit,
    "device-ack" = socket::DeviceAck,
    "up" = socket::Up,
    "ready" = socket::Ready,
    "push" = socket::Push,
    "accepted" = socket::Accepted,
    "refused" = socket::Refused,
    "goodbye" = socket::Goodbye,
    "down" = socket::Down,
    "message-delivery" = delivery::MessageDelivery,
    "decided-delivery" = delivery::DecidedDelivery,
    "welcome-delivery" = delivery::WelcomeDelivery,
    "epoch-end-delivery" = delivery::EpochEndDelivery,
    "failure" = Failure,
    "notice-delivery" = delivery::NoticeDelivery,
    "delivery" = Delivery,
    "nested-part" = NestedPart,
    "mimi-content" = MimiContent,
});

const SIGNED: &[Kind] = kinds!(recode_signed {
    "signed-event" = account::Event,
    "signed-alias-claim" = account::AliasClaim,
    "signed-alias-binding" = account::AliasBinding,
    "signed-leaf-claim" = account::LeafClaim,
    "signed-login" = account::Login,
    "signed-key-claim" = account::KeyClaim,
    "signed-decision" = Decision,
    "signed-commit-claim" = room::CommitClaim,
    "signed-rejoin-claim" = room::RejoinClaim,
    "signed-leave-claim" = room::LeaveClaim,
    "signed-manifest" = Manifest,
    "signed-envelope" = Envelope,
});

/// Every type.
pub(crate) fn all() -> impl Iterator<Item = &'static Kind> {
    PLAIN.iter().chain(SIGNED)
}

/// The type of this name.
pub(crate) fn named(name: &str) -> &'static Kind {
    all().find(|kind| kind.name == name).unwrap_or_else(|| panic!("no type is called {name}"))
}
