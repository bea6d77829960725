//! Reservations as the swarm knows them: listeners behind another relay.

use std::collections::HashMap;

use libp2p::core::transport::ListenerId;
use tokio::sync::oneshot;

/// A reservation that stands. It ends with the connection to the relay that gave it.
#[derive(Debug)]
pub(crate) struct Reserved {
    /// Says why, once it is gone.
    pub(crate) lost: oneshot::Receiver<String>,
}

/// Where it is told whether a reservation was given.
pub(crate) type ReserveReply = oneshot::Sender<Result<Reserved, String>>;

struct Entry {
    waiting: Option<ReserveReply>,
    lost: Option<oneshot::Sender<String>>,
}

/// The swarm's listeners behind other relays: a few, one for each relay that the operator names.
#[derive(Default)]
pub(crate) struct Listeners(HashMap<ListenerId, Entry>);

impl Listeners {
    /// A reservation was asked for.
    pub(crate) fn opened(&mut self, id: ListenerId, reply: ReserveReply) {
        self.0.insert(id, Entry { waiting: Some(reply), lost: None });
    }

    /// It was given, or renewed.
    pub(crate) fn given(&mut self, id: ListenerId) {
        let Some(entry) = self.0.get_mut(&id) else { return };
        let Some(reply) = entry.waiting.take() else { return };
        let (tell, lost) = oneshot::channel();
        entry.lost = Some(tell);
        // Whoever asked may have given up; the reservation is kept until the connection ends.
        let _ = reply.send(Ok(Reserved { lost }));
    }

    /// It was refused, or is gone. Whether it was one of these listeners at all.
    pub(crate) fn closed(&mut self, id: ListenerId, why: &str) -> bool {
        let Some(entry) = self.0.remove(&id) else { return false };
        if let Some(reply) = entry.waiting {
            let _ = reply.send(Err(why.to_owned()));
        }
        if let Some(lost) = entry.lost {
            let _ = lost.send(why.to_owned());
        }
        true
    }
}
