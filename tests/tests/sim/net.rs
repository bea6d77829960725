//! The virtual network: connections that break, streams in order, and everything else in any order.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use posthouse_spec::envelope::LaneClass;
use posthouse_spec::limits::MAX_CLOCK_SKEW_MS;
use posthouse_spec::peer::ReceiptFrame;
use posthouse_spec::peer::deliver::Open;

use crate::cast::{RelayNo, RoomNo, cast};
use crate::plan::Profile;
use crate::wire::{Change, Ruling};
use crate::world::{Event, World};

pub(crate) type ConnId = u64;
pub(crate) type StreamId = u64;
pub(crate) type AskId = u64;

/// The longest that either end of a broken connection does not notice, milliseconds.
const NOTICE_MS: u64 = 20_000;
/// How long a dial that is not answered takes, milliseconds.
const DIAL_MS: u64 = 5_000;

/// On a lane's stream.
#[derive(Debug, Clone)]
pub(crate) enum Frame {
    Open(Open),
    Envelope(Bytes),
    Receipt(ReceiptFrame),
    /// The destination has closed the stream.
    Closed,
}

#[derive(Debug, Clone)]
pub(crate) enum Question {
    Decisions { room: RoomNo, from: u64 },
    Commit { room: RoomNo, epoch: u64, change: Change },
}

#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Decisions(Vec<Ruling>),
    Decided(Box<Ruling>),
    Stale(Option<Box<Ruling>>),
    Refused,
}

#[derive(Debug, Clone)]
pub(crate) struct Conn {
    pub(crate) ends: [RelayNo; 2],
    boots: [u64; 2],
    /// Whether what the first end sends is lost, and what the second one sends.
    dead: [bool; 2],
}

impl Conn {
    pub(crate) fn other(&self, than: RelayNo) -> RelayNo {
        if self.ends[0] == than { self.ends[1] } else { self.ends[0] }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) conn: ConnId,
    pub(crate) from: RelayNo,
    pub(crate) class: LaneClass,
    /// When the newest frame of each direction arrives: frames of a stream do not overtake each other.
    arrives: [u64; 2],
}

#[derive(Default)]
pub(crate) struct Net {
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    pub(crate) streams: BTreeMap<StreamId, Stream>,
    /// Directions in which nothing passes.
    pub(crate) blocked: BTreeSet<(RelayNo, RelayNo)>,
    ids: u64,
}

impl Net {
    pub(crate) fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn open(&self, a: RelayNo, b: RelayNo) -> bool {
        !self.blocked.contains(&(a, b)) && !self.blocked.contains(&(b, a))
    }
}

impl World {
    pub(crate) fn latency(&mut self) -> u64 {
        // Where lanes expire, much is on its way while they do.
        let slow = if self.plan.profile == Profile::ShortRetention { 300 } else { 30 };
        if self.now >= self.plan.calm_until && self.rng.chance(slow) {
            self.rng.between(200, 3_000)
        } else {
            self.rng.between(1, 80)
        }
    }

    /// Begins to dial, unless that is on its way.
    pub(crate) fn dial(&mut self, from: RelayNo, to: RelayNo) {
        let number = self.net.id();
        let (down, latency) = (!self.relays[to].up || !self.net.open(from, to), 2 * self.latency());
        let relay = &mut self.relays[from];
        if relay.memory.dialling.contains_key(&to) {
            return;
        }
        relay.memory.dialling.insert(to, number);
        let (boot, after) = (relay.boot, if down { DIAL_MS } else { latency });
        self.after(after, Event::Dialled { from, boot, to, number });
    }

    pub(crate) fn dialled(&mut self, from: RelayNo, to: RelayNo, number: u64) {
        if self.relays[from].memory.dialling.get(&to) != Some(&number) {
            return;
        }
        self.relays[from].memory.dialling.remove(&to);
        let (a, b) = (&self.relays[from], &self.relays[to]);
        let welcome = a.policy.permits(&cast().domains[to]) && b.policy.permits(&cast().domains[from]);
        let apart = a.skew.abs_diff(b.skew) > MAX_CLOCK_SKEW_MS;
        if !b.up || !self.net.open(from, to) || !welcome || apart {
            self.trace.line(self.now, || format!("r{from} does not reach r{to}"));
            return self.dial_failed(from, to);
        }
        let conn = self.net.id();
        let boots = [a.boot, b.boot];
        self.net.conns.insert(conn, Conn { ends: [from, to], boots, dead: [false; 2] });
        self.trace.line(self.now, || format!("r{from} reaches r{to}: connection {conn}"));
        // The newest session is current at either end.
        for (own, peer) in [(from, to), (to, from)] {
            self.contact(own, peer, conn);
        }
    }

    /// Cuts a connection; what each end has sent is lost as `dead` says. Both ends notice, at some time.
    pub(crate) fn cut(&mut self, id: ConnId, dead: [bool; 2]) {
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        conn.dead = [conn.dead[0] || dead[0], conn.dead[1] || dead[1]];
        let (ends, boots) = (conn.ends, conn.boots);
        self.faults += 1;
        self.trace
            .line(self.now, || format!("connection {id} of r{} and r{} breaks {dead:?}", ends[0], ends[1]));
        for (relay, boot) in ends.into_iter().zip(boots) {
            let notice =
                if self.rng.chance(500) { self.rng.between(1, 50) } else { self.rng.between(50, NOTICE_MS) };
            self.after(notice, Event::Lost { conn: id, relay, boot });
        }
    }

    /// An end notices that its connection is gone.
    pub(crate) fn lost(&mut self, id: ConnId, relay: RelayNo) {
        let Some(conn) = self.net.conns.get(&id) else { return };
        let peer = conn.other(relay);
        self.relays[relay].memory.incoming.retain(|_, incoming| {
            self.net.streams.get(&incoming.stream).is_some_and(|stream| stream.conn != id)
        });
        if self.relays[relay].memory.sessions.get(&peer) == Some(&id) {
            self.relays[relay].memory.sessions.remove(&peer);
            self.session_gone(relay, peer);
        }
    }

    /// Whether what `from` sends over a connection arrives.
    fn carries(&self, conn: &Conn, from: RelayNo) -> bool {
        let end = usize::from(conn.ends[1] == from);
        let same = |end: usize| {
            let relay = &self.relays[conn.ends[end]];
            relay.up && relay.boot == conn.boots[end]
        };
        !conn.dead[end] && same(0) && same(1)
    }

    pub(crate) fn send(&mut self, id: StreamId, from: RelayNo, frame: Frame) {
        let latency = self.latency();
        let Some(stream) = self.net.streams.get_mut(&id) else { return };
        let way = usize::from(stream.from != from);
        let at = (self.now + latency).max(stream.arrives[way]);
        stream.arrives[way] = at;
        self.at(at, Event::Frame { stream: id, from, frame });
    }

    pub(crate) fn frame(&mut self, id: StreamId, from: RelayNo, frame: Frame) {
        let Some(stream) = self.net.streams.get(&id) else { return };
        let Some(conn) = self.net.conns.get(&stream.conn) else { return };
        let (to, origin, class) = (conn.other(from), stream.from, stream.class);
        if !self.carries(conn, from) {
            return;
        }
        match frame {
            Frame::Open(open) => self.opened(to, origin, id, &open),
            Frame::Envelope(bytes) => self.envelope(to, origin, class, id, bytes),
            Frame::Receipt(receipt) => self.receipt(to, from, class, id, receipt),
            Frame::Closed => self.closed(to, from, class, id),
        }
    }

    pub(crate) fn open_stream(&mut self, conn: ConnId, from: RelayNo, class: LaneClass) -> StreamId {
        let id = self.net.id();
        self.net.streams.insert(id, Stream { conn, from, class, arrives: [self.now; 2] });
        id
    }

    /// Sends a question or an answer over a connection.
    pub(crate) fn send_ask(&mut self, conn: ConnId, from: RelayNo, event: impl FnOnce(RelayNo) -> Event) {
        let latency = self.latency();
        let Some(to) = self.net.conns.get(&conn).map(|conn| conn.other(from)) else { return };
        self.after(latency, event(to));
    }

    pub(crate) fn arrives(&self, conn: ConnId, from: RelayNo) -> bool {
        self.net.conns.get(&conn).is_some_and(|conn| self.carries(conn, from))
    }
}
