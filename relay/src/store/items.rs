//! Items: what waits, stored once, and encoded for a device or for a relay when it is read.

use bytes::Bytes;
use posthouse_spec::cbor::{List, Octets};
use posthouse_spec::client::Delivery;
use posthouse_spec::client::delivery::{DecidedDelivery, EpochEndDelivery, MessageDelivery};
use posthouse_spec::envelope::{DecidedItem, EpochEndItem, Item, MessageItem};
use posthouse_spec::limits::MAX_LEAVES;
use posthouse_spec::room::Decided;
use posthouse_spec::{Cbor, Domain, Epoch, Millis, Number, RoomId};
use sqlx::sqlite::SqliteRow;

use super::columns::Columns;
use super::error::StoreError;

/// What an item's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemKind {
    /// The MLS message itself, for devices and relays.
    Message = 1,
    /// An encoded `Decided`, for devices and relays.
    Decided = 2,
    /// Nothing, for devices and relays.
    EpochEnd = 3,
    /// An encoded `Delivery`, for devices alone.
    Delivery = 4,
    /// An encoded `Item`, for one relay alone.
    Lane = 5,
}

/// The local device that sent a message, for word of what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Submitter {
    /// Its row.
    pub(crate) device: i64,
    /// Its own number of the message.
    pub(crate) number: Number,
}

/// An item that is to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewItem {
    pub(crate) kind: ItemKind,
    pub(crate) room: RoomId,
    pub(crate) hub: Domain,
    pub(crate) epoch: Epoch,
    pub(crate) origin: Domain,
    pub(crate) received: Millis,
    pub(crate) submitter: Option<Submitter>,
    /// For a decided commit: the relays of the epoch that it ends.
    pub(crate) relays: Option<Vec<u8>>,
    /// The origin's mark of a message.
    pub(crate) mark: Option<Vec<u8>>,
    pub(crate) body: Bytes,
}

/// Relays of an epoch as they are stored and told to devices.
pub(crate) type Relays = List<Domain, MAX_LEAVES>;

/// The item columns that [`delivery`] reads, behind a position in column 0. Each column of each row costs, so that nothing
/// else is asked for.
pub(crate) const DELIVERY_COLUMNS: &str = "i.kind, i.body, i.room, i.epoch, i.origin, i.received, i.relays";
/// The item columns that [`lane_item`] reads, behind a position in column 0.
pub(crate) const LANE_COLUMNS: &str = "i.kind, i.body, i.room, i.epoch, i.hub, i.mark";

/// What both begin with.
struct Stored {
    kind: i64,
    body: Vec<u8>,
    room: RoomId,
    epoch: Epoch,
}

fn stored(row: &SqliteRow) -> Result<Stored, StoreError> {
    Ok(Stored {
        kind: row.row_id(1)?,
        body: row.blob(2)?,
        room: row.fixed(3, RoomId::from_slice)?,
        epoch: Epoch(row.number(4)?),
    })
}

fn octets<const MAX: usize>(body: Vec<u8>) -> Result<Octets<MAX>, StoreError> {
    Octets::new(body).map_err(|e| StoreError::damaged(e.to_string()))
}

fn decided(body: &[u8]) -> Result<Decided, StoreError> {
    Decided::from_cbor(body).map_err(|e| StoreError::damaged(e.to_string()))
}

/// The item of a row as its device gets it, encoded.
pub(crate) fn delivery(row: &SqliteRow) -> Result<Bytes, StoreError> {
    let item = stored(row)?;
    let delivery = match item.kind {
        kind if kind == ItemKind::Message as i64 => Delivery::Message(MessageDelivery {
            room: item.room,
            origin: row.domain(5)?,
            epoch: item.epoch,
            body: octets(item.body)?,
            received: Millis(row.number(6)?),
        }),
        kind if kind == ItemKind::Decided as i64 => Delivery::Decided(DecidedDelivery {
            room: item.room,
            decided: decided(&item.body)?,
            relays: row.cbor(7)?,
        }),
        kind if kind == ItemKind::EpochEnd as i64 => Delivery::EpochEnd(EpochEndDelivery {
            room: item.room,
            origin: row.domain(5)?,
            epoch: item.epoch,
        }),
        kind if kind == ItemKind::Delivery as i64 => return Ok(item.body.into()),
        kind => return Err(StoreError::damaged(format!("an item of kind {kind} in a mailbox"))),
    };
    Ok(delivery.to_cbor().into())
}

/// The item of a row as another relay gets it, encoded.
pub(crate) fn lane_item(row: &SqliteRow) -> Result<Bytes, StoreError> {
    let item = stored(row)?;
    let (room, hub, epoch) = (item.room, row.domain(5)?, item.epoch);
    let item = match item.kind {
        kind if kind == ItemKind::Message as i64 => {
            let mark = row.blob_or_null(6)?.map(octets).transpose()?;
            Item::Message(MessageItem { room, hub, epoch, body: octets(item.body)?, mark })
        }
        kind if kind == ItemKind::Decided as i64 => {
            Item::Decided(DecidedItem { room, hub, decided: decided(&item.body)? })
        }
        kind if kind == ItemKind::EpochEnd as i64 => Item::EpochEnd(EpochEndItem { room, hub, epoch }),
        kind if kind == ItemKind::Lane as i64 => return Ok(item.body.into()),
        kind => return Err(StoreError::damaged(format!("an item of kind {kind} on a lane"))),
    };
    Ok(item.to_cbor().into())
}
