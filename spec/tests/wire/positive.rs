//! The positive vectors: one for every record, every variant of a choice, and every signed container.

use posthouse_spec::account::EventBody;
use posthouse_spec::client::socket;
use posthouse_spec::peer::{deliver, hello};
use posthouse_spec::room::{Departures, Role, RoomContext, RoomKind, Suite};
use posthouse_spec::{Cbor, Payload};

use crate::book::Vector;
use crate::frames::*;
use crate::samples::*;

struct Book {
    file: &'static str,
    vectors: Vec<Vector>,
}

impl Book {
    fn put(&mut self, name: &str, kind: &'static str, about: &'static str, bytes: Vec<u8>) {
        self.vectors.push(Vector { file: self.file, name: name.to_owned(), kind, about, bytes });
    }

    fn one(&mut self, kind: &'static str, about: &'static str, value: &impl Cbor) {
        self.put(kind, kind, about, value.to_cbor());
    }

    fn each<T: Cbor>(&mut self, kind: &'static str, about: &'static str, values: Vec<(&'static str, T)>) {
        for (name, value) in values {
            self.put(&format!("{kind}/{name}"), kind, about, value.to_cbor());
        }
    }

    fn signed<T: Payload>(&mut self, kind: &'static str, value: &T) {
        let about = "a COSE_Sign1 around the payload; the signature is made up";
        self.put(kind, kind, about, signed(value).as_bytes().to_vec());
    }
}

/// All of them, file by file.
pub(crate) fn all() -> Vec<Vector> {
    let mut book = Book { file: "", vectors: Vec::new() };
    identity(&mut book);
    rooms(&mut book);
    envelopes(&mut book);
    peers(&mut book);
    clients(&mut book);
    contents_of_messages(&mut book);
    book.vectors
}

fn identity(book: &mut Book) {
    book.file = "identity";
    book.one("domain", "a DNS name in lower case", &domain("xn--mller-kva.example"));
    book.one(
        "alias-name",
        "the part before the @",
        &"a.lice_-1".parse::<posthouse_spec::AliasName>().unwrap(),
    );
    book.one("alias", "name and domain", &alias_claim().alias);
    book.one("device-keys", "the public half of a device", &device_keys());
    for (name, body) in event_bodies() {
        let bytes = match &body {
            EventBody::Genesis(inner) => inner.to_cbor(),
            EventBody::AddDevice(inner) => inner.to_cbor(),
            EventBody::RevokeDevice(inner) => inner.to_cbor(),
            EventBody::RotateRecovery(inner) => inner.to_cbor(),
            EventBody::SetHome(inner) => inner.to_cbor(),
        };
        book.put(name, name, "what an event does, without its choice", bytes);
    }
    let plain = posthouse_spec::account::RevokeDevice { undo_from: None, ..revoke_device() };
    book.put("revoke-device/plain", "revoke-device", "an absent field is left out", plain.to_cbor());
    book.each("event-body", "what an event does", event_bodies());
    let events = event_bodies().into_iter().map(|(name, body)| (name, event(body))).collect();
    book.each("event", "an event of an account's chain", events);
    book.signed("signed-event", &event(event_bodies().remove(0).1));
    book.one("chain", "two signed events, as byte strings", &chain());
    book.one("chain-fault", "a code", &posthouse_spec::account::ChainFault::Signer);
    book.one("alias-claim", "an account asks for a name", &alias_claim());
    book.signed("signed-alias-claim", &alias_claim());
    book.one("alias-binding", "a relay binds it, around the signed claim", &alias_binding());
    book.signed("signed-alias-binding", &alias_binding());
    book.one("leaf-claim", "what an MLS leaf says of its owner", &leaf_claim());
    book.signed("signed-leaf-claim", &leaf_claim());
    book.one("login", "the answer to a challenge", &login());
    book.signed("signed-login", &login());
    book.one("key-claim", "a device asks for key packages", &key_claim());
    book.signed("signed-key-claim", &key_claim());
    book.one("claimed-key-package", "one of them, with its ticket", &claimed());
    let none = list::<posthouse_spec::account::ClaimedKeyPackage, 32>(Vec::new());
    book.put(
        "claimed-key-packages/none",
        "claimed-key-packages",
        "what a blocked claimant gets",
        none.to_cbor(),
    );
    book.one("account-record", "who somebody is, as their relay says", &account_record());
    book.one("invited", "a place in a Welcome", &invited());
    book.one("node", "a node of a relay", &node());
    book.put("manifest/first", "manifest", "without previous and lineage", manifest(true).to_cbor());
    book.one("mailbag-offer", "who holds, and the key to seal to", &mailbag_offer());
    book.put("manifest/second", "manifest", "with both", manifest(false).to_cbor());
    let extended = posthouse_spec::manifest::Manifest {
        mailbags: Some(mailbag_offer()),
        circuits: Some(list(vec![domain("c.example")])),
        ..manifest(false)
    };
    book.put("manifest/extended", "manifest", "with both extensions", extended.to_cbor());
    book.signed("signed-manifest", &manifest(true));
}

fn rooms(book: &mut Book) {
    book.file = "rooms";
    book.one("suite", "a code with a two-byte head", &Suite::PostQuantum);
    book.one("room-kind", "a code", &RoomKind::Own);
    book.one("role", "a code", &Role::Owner);
    book.one("policy-rule", "a code", &posthouse_spec::policy::PolicyRule::SuiteLimit);
    book.one("room-policy", "who may do what", &group_context().policy);
    book.one("relay-ref", "a relay by name and lineage", &relay_ref());
    book.one("ordering", "who decides", &group_context().ordering);
    book.put(
        "room-context/direct",
        "room-context",
        "of a direct room",
        RoomContext::direct(relay_ref()).to_cbor(),
    );
    book.put("room-context/group", "room-context", "of a group", group_context().to_cbor());
    let banned = RoomContext { banned: Some(list(vec![bob()])), ..group_context() };
    book.put("room-context/banned", "room-context", "from which somebody is banned", banned.to_cbor());
    book.one("decision", "a hub's word", &decision());
    book.signed("signed-decision", &decision());
    book.one("decided", "with its commit", &decided());
    book.one("commit-claim", "the uploading device's word", &commit_claim());
    book.signed("signed-commit-claim", &commit_claim());
    book.one("rejoin-claim", "a device takes its own leaf's place", &rejoin_claim());
    book.signed("signed-rejoin-claim", &rejoin_claim());
    book.one("leave-claim", "an account leaves", &leave_claim());
    book.signed("signed-leave-claim", &leave_claim());
    let departures = Departures { claims: list(vec![signed(&leave_claim())]) };
    book.one("departures", "the authenticated data of the commit that lets it go", &departures);
    book.one("welcome-bundle", "what new members need", &welcome_bundle());
    book.put("commit-upload/plain", "commit-upload", "nobody new", commit_upload(false).to_cbor());
    book.put("commit-upload/welcome", "commit-upload", "with new members", commit_upload(true).to_cbor());
}

fn envelopes(book: &mut Book) {
    book.file = "envelope";
    book.one("lane-class", "a code", &posthouse_spec::envelope::LaneClass::Media);
    for (name, item) in items() {
        use posthouse_spec::envelope::Item;
        let (kind, bytes) = match &item {
            Item::Message(inner) => ("message-item", inner.to_cbor()),
            Item::EpochEnd(inner) => ("epoch-end-item", inner.to_cbor()),
            Item::Decided(inner) => ("decided-item", inner.to_cbor()),
            Item::Welcome(inner) => ("welcome-item", inner.to_cbor()),
            Item::Undelivered(inner) => ("undelivered-item", inner.to_cbor()),
            Item::Canary(inner) => ("canary-item", inner.to_cbor()),
        };
        book.put(kind, kind, "an item without its choice", bytes);
        book.put(&format!("item/{name}"), "item", "an item as a lane carries it", item.to_cbor());
    }
    book.put("message-item/marked", "message-item", "with the origin's mark", marked_message().to_cbor());
    book.one("undelivered", "a code", &posthouse_spec::envelope::Undelivered::Expired);
    book.one("envelope", "a message and the end of its epoch", &envelope());
    book.signed("signed-envelope", &envelope());
}

fn peers(book: &mut Book) {
    book.file = "peer";
    book.one("lane-cursor", "where the receiver of a lane stands", &lane_cursor());
    book.one("peer-hello", "a relay introduces itself", &peer_hello());
    book.one("peer-rule", "a code", &hello::PeerRule::ForgedOrigin);
    book.one("peer-refusal", "a rule and words", &peer_refusal());
    let answers = vec![
        ("hello", hello::HelloResponse::Hello(peer_hello())),
        ("refused", hello::HelloResponse::Refused(peer_refusal())),
    ];
    book.each("hello-response", "the listener's answer", answers);
    book.one("open", "the origin names the lane", &open());
    let frames = vec![
        ("open", deliver::DeliverFrame::Open(open())),
        ("envelope", deliver::DeliverFrame::Envelope(octets(signed(&envelope()).as_bytes()))),
    ];
    book.each("deliver-frame", "from origin to destination", frames);
    book.one("credit", "how much may be in flight", &credit());
    book.one(
        "resume",
        "the answer to open",
        &deliver::Resume { next: posthouse_spec::LaneSeq(41), credit: credit() },
    );
    book.one("item-refusal", "a code", &deliver::ItemRefusal::NoTicket);
    book.one("refused-item", "one that was not delivered", &refused_item());
    book.one("ack", "progress", &ack());
    book.one("busy", "not now", &deliver::Busy { retry_after_ms: 30_000 });
    book.each("receipt-frame", "from destination to origin", receipt_frames());
    book.one("claim-request", "a claim and who claims", &claim_request());
    book.each("keys-request", "a question about accounts", keys_requests());
    book.each("keys-response", "its answer", keys_responses());
    book.one("fetch-decisions", "what a relay lacks", &fetch_decisions());
    book.one("decisions", "what the hub has", &decisions());
    book.each("room-request", "a question to a hub", room_requests());
    book.put(
        "room-refusal/stale",
        "room-refusal",
        "with what was decided instead",
        room_refusal(true).to_cbor(),
    );
    book.put("room-refusal/plain", "room-refusal", "without", room_refusal(false).to_cbor());
    book.each("room-response", "its answer", room_responses());
    book.one("mailbag", "a sealed envelope", &mailbag());
    book.one("mailbag-ref", "names one", &mailbag_ref());
    book.one("mailbag-list", "what is held", &mailbag_list());
    book.each("mailbag-request", "a question to a holder", mailbag_requests());
    book.each("mailbag-response", "its answer", mailbag_responses());
}

fn clients(book: &mut Book) {
    book.file = "client";
    book.one("refusal", "a code with a two-byte head", &posthouse_spec::client::Refusal::ShuttingDown);
    book.one("client-hello", "a client's first frame", &client_hello());
    book.one("submit", "a sealed message", &submit());
    book.one(
        "device-ack",
        "what the vault holds",
        &socket::DeviceAck { through: posthouse_spec::MailboxSeq(12) },
    );
    book.each("up", "from client to relay", ups());
    book.one("ready", "a relay's first frame", &ready());
    book.one("push", "a mailbox item", &push());
    book.one("accepted", "what is durable", &socket::Accepted { through: posthouse_spec::Number(1) });
    book.one("refused", "a number that is not used", &refused());
    book.one("goodbye", "the end", &goodbye());
    book.each("down", "from relay to client", downs());
    for (name, delivery) in deliveries() {
        use posthouse_spec::client::Delivery;
        let (kind, bytes) = match &delivery {
            Delivery::Message(inner) => ("message-delivery", inner.to_cbor()),
            Delivery::Decided(inner) => ("decided-delivery", inner.to_cbor()),
            Delivery::Welcome(inner) => ("welcome-delivery", inner.to_cbor()),
            Delivery::EpochEnd(inner) => ("epoch-end-delivery", inner.to_cbor()),
            Delivery::Notice(inner) => ("notice-delivery", inner.to_cbor()),
        };
        book.put(kind, kind, "a mailbox item without its choice", bytes);
        book.put(&format!("delivery/{name}"), "delivery", "what a mailbox holds", delivery.to_cbor());
    }
    book.one("failure", "a code", &posthouse_spec::client::delivery::Failure::Lost);
}

fn contents_of_messages(book: &mut Book) {
    book.file = "content";
    let (_, text) = contents().remove(0);
    book.one("nested-part", "the part of a text", &text.part);
    book.each("mimi-content", "what people say", contents());
    book.put("room-info/plain", "room-info", "what a room is called", room_info(false).to_cbor());
    book.put("room-info/picture", "room-info", "with its picture", room_info(true).to_cbor());
}
