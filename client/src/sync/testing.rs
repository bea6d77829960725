//! The connection's two directions without a connection, for tests.

use posthouse_spec::Number;
use posthouse_spec::cbor::Text;
use posthouse_spec::client::socket::{Push, Refused, Submit};
use posthouse_spec::client::{Refusal, Up};
use tokio::sync::mpsc;

use super::emitter::Emitter;
use super::submit::{self, Submitter};
use crate::context::Context;
use crate::error::ClientError;
use crate::event::Event;
use crate::vault::outbox::Outgoing;
use crate::vault::requests::RequestRow;

/// Takes pushes in.
pub(crate) async fn take_in(
    context: &Context,
    events: mpsc::Sender<Event>,
    pushes: &[Push],
) -> Result<(), ClientError> {
    super::receive::take_in(context, &Emitter::new(events), pushes).await.map(drop)
}

/// Does the work that rooms and their members need, once.
pub(crate) async fn work(context: &Context, events: mpsc::Sender<Event>) -> Result<(), ClientError> {
    let emitter = Emitter::new(events);
    super::people::see_to_requests(context, &emitter).await?;
    super::pending::drain(context, &emitter).await?;
    super::pending::provide(context, &emitter).await?;
    super::changes::see_to(context, &emitter).await?;
    super::chains::fetch(context, &emitter).await.map(drop)
}

/// Gives up an invitation.
pub(crate) async fn give_up(
    context: &Context,
    events: mpsc::Sender<Event>,
    request: &RequestRow,
    why: &ClientError,
) -> Result<(), ClientError> {
    super::people::give_up(context, &Emitter::new(events), request, why).await
}

/// Seals what waits.
pub(crate) async fn seal(
    context: &Context,
    events: mpsc::Sender<Event>,
    limit: u32,
) -> Result<Vec<Outgoing>, ClientError> {
    submit::seal(context, &Emitter::new(events), limit).await
}

/// A line to a relay that a test plays.
pub(crate) struct Line<'a> {
    context: &'a Context,
    emitter: Emitter,
    submitter: Submitter,
    out: mpsc::Sender<Option<Up>>,
    frames: mpsc::Receiver<Option<Up>>,
}

impl<'a> Line<'a> {
    /// The relay has everything up to `accepted`.
    pub(crate) async fn open(
        context: &'a Context,
        events: mpsc::Sender<Event>,
        accepted: u64,
    ) -> Result<Self, ClientError> {
        let emitter = Emitter::new(events);
        let submitter = Submitter::resume(context, &emitter, Number(accepted), 16).await?;
        let (out, frames) = mpsc::channel(64);
        Ok(Self { context, emitter, submitter, out, frames })
    }

    /// What the client submits now.
    pub(crate) async fn submits(&mut self) -> Result<Vec<Submit>, ClientError> {
        self.submitter.feed(self.context, &self.emitter, &self.out).await?;
        let frames = std::iter::from_fn(|| self.frames.try_recv().ok());
        Ok(frames
            .filter_map(|frame| match frame {
                Some(Up::Submit(submit)) => Some(submit),
                _ => None,
            })
            .collect())
    }

    /// The relay accepts.
    pub(crate) async fn accepts(&mut self, through: u64) -> Result<(), ClientError> {
        self.submitter.accepted(self.context, &self.emitter, Number(through)).await
    }

    /// The relay refuses.
    pub(crate) fn refuses(&mut self, number: u64, reason: Refusal) -> Result<(), ClientError> {
        let refused = Refused { number: Number(number), reason, detail: Text::clipped("so says the test") };
        self.submitter.refused(self.context, refused)
    }
}
