//! One connection: from hello to its end.

use std::time::Duration;

use futures::FutureExt as _;
use posthouse_spec::MailboxSeq;
use posthouse_spec::client::socket::{DeviceAck, Hello, Push, Ready, SOCKET_VERSION};
use posthouse_spec::client::{Down, Up};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::emitter::Emitter;
use super::submit::{Submitter, nothing_to_send};
use super::{changes, receive, work};
use crate::connection::socket::{self, Reader, Received, Writer};
use crate::context::Context;
use crate::error::ClientError;
use crate::event::{Event, Notice};
use crate::vault::owner;

/// Frames that wait to be written; each is at most a submit.
const OUT_QUEUE: usize = 64;
/// Pushes that are taken in with one transaction, items.
const TAKE_ITEMS: usize = 64;
/// Pushes that are taken in with one transaction, bytes: 1 MiB.
const TAKE_BYTES: usize = 1024 * 1024;
/// How long the relay may take to answer the hello.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// After this silence the relay is asked for a sign of life.
const PING_AFTER: Duration = Duration::from_secs(20);
/// After this silence the connection is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// What the connection is for, as errors say it.
const DOING: &str = "exchange messages";

/// How long the connection is kept.
pub(super) enum Mode {
    /// Until there is nothing more to do.
    Once,
    /// Until somebody says so.
    Live(CancellationToken),
}

/// Runs one connection. It ends well only as its mode says.
pub(super) async fn run(context: &Context, emitter: &Emitter, mode: Mode) -> Result<(), ClientError> {
    let stop = match &mode {
        Mode::Once => CancellationToken::new(),
        Mode::Live(token) => token.clone(),
    };
    let connecting = async {
        let (mut writer, mut reader) = socket::connect(&context.relay, &context.owner).await?;
        let ready = greet(context, &mut writer, &mut reader).await?;
        Ok::<_, ClientError>((writer, reader, ready))
    };
    let (mut writer, reader, ready) = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        connected = connecting => connected?,
    };
    tell_connected(context, emitter).await;
    let submitter = Submitter::resume(context, emitter, ready.accepted, ready.submit_window).await?;
    let cursor = owner::positions(context.vault.read().await?.db()?).await?.cursor;
    let (out, frames) = mpsc::channel(OUT_QUEUE);
    let mut connection = Connection {
        context,
        emitter,
        once: matches!(mode, Mode::Once),
        submitter,
        out,
        head: ready.head,
        cursor,
        acked: ready.acked,
        caught_up: false,
        heard: Instant::now(),
        pinged: false,
    };
    context.signals.want_work();
    let result = tokio::select! {
        () = stop.cancelled() => Ok(()),
        result = connection.serve(reader) => result,
        result = write(context, &mut writer, frames) => result,
        result = Box::pin(work::run(context, emitter, matches!(mode, Mode::Live(_)))) => result,
    };
    writer.close().await;
    result
}

/// Says hello and waits for the answer.
async fn greet(context: &Context, writer: &mut Writer, reader: &mut Reader) -> Result<Ready, ClientError> {
    let positions = owner::positions(context.vault.read().await?.db()?).await?;
    let hello = Hello {
        version: SOCKET_VERSION,
        incarnation: context.owner.incarnation,
        acked: positions.cursor,
        last_number: positions.last_number,
    };
    writer.send(&context.relay, &Up::Hello(hello)).await?;
    let answer = async {
        loop {
            match reader.next(&context.relay).await? {
                Received::Frame(Down::Ready(ready)) => return Ok(ready),
                Received::Frame(Down::Goodbye(goodbye)) => return Err(refused(&goodbye)),
                Received::Frame(_) => return Err(context.relay.wrong(DOING, "it did not say hello first")),
                Received::Alive => {}
                Received::Closed => return Err(closed(context)),
            }
        }
    };
    let ready: Ready =
        timeout(READY_TIMEOUT, answer).await.unwrap_or_else(|_| Err(silent(context, READY_TIMEOUT)))?;
    if ready.domain != context.owner.alias.domain {
        return Err(ClientError::OtherRelay {
            url: context.relay.url().as_str().to_owned(),
            expected: context.owner.alias.domain.clone(),
            found: ready.domain,
        });
    }
    Ok(ready)
}

async fn tell_connected(context: &Context, emitter: &Emitter) {
    emitter.emit(Event::Connected { relay_url: context.relay.url().as_str().to_owned() }).await;
    if let Some(ahead) = context.relay.clock_trouble().await {
        let minutes = ahead.unsigned_abs() / 60_000;
        let which = if ahead > 0 { "ahead of" } else { "behind" };
        let detail = format!(
            "this device's clock is {minutes} minutes {which} the relay's: set one of them right. Messages go on, but \
             their times are wrong, and the relay may refuse to invite others"
        );
        let notice = Notice { code: "clock-off".to_owned(), detail, alias: None, room: None };
        emitter.emit(Event::Notice(notice)).await;
    }
}

/// Writes frames as they come; an empty queue with a silent line gets a ping from the other side's timer.
async fn write(
    context: &Context,
    writer: &mut Writer,
    mut frames: mpsc::Receiver<Option<Up>>,
) -> Result<(), ClientError> {
    while let Some(frame) = frames.recv().await {
        match frame {
            Some(frame) => writer.send(&context.relay, &frame).await?,
            None => writer.ping(&context.relay).await?,
        }
    }
    Err(closed(context))
}

struct Connection<'a> {
    context: &'a Context,
    emitter: &'a Emitter,
    once: bool,
    submitter: Submitter,
    /// Frames to be written; `None` is a ping.
    out: mpsc::Sender<Option<Up>>,
    /// The mailbox's end as it stood at hello.
    head: MailboxSeq,
    /// The vault holds everything up to here.
    cursor: MailboxSeq,
    /// The relay was told that it does.
    acked: MailboxSeq,
    caught_up: bool,
    heard: Instant,
    pinged: bool,
}

impl Connection<'_> {
    async fn serve(&mut self, mut reader: Reader) -> Result<(), ClientError> {
        loop {
            self.submitter.feed(self.context, self.emitter, &self.out).await?;
            self.acknowledge();
            self.note_caught_up().await;
            if self.once && self.is_done().await? {
                return Ok(());
            }
            let silence = self.heard + if self.pinged { SILENCE } else { PING_AFTER };
            let wake = self.submitter.wake_at().map_or(silence, |at| at.min(silence));
            let (context, out) = (self.context, self.out.clone());
            let crowded = out.capacity() <= 1;
            tokio::select! {
                received = reader.next(&context.relay) => {
                    let received = received?;
                    self.take(received, &mut reader).await?;
                }
                () = context.signals.connection.notified() => {}
                // Wakes when the writer has made room.
                permits = out.reserve_many(2), if crowded => drop(permits.is_ok()),
                () = sleep_until(wake) => self.mind_silence()?,
            }
        }
    }

    /// Takes one thing from the line, and the pushes that came with it.
    async fn take(&mut self, first: Received, reader: &mut Reader) -> Result<(), ClientError> {
        let mut pushes: Vec<Push> = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(received) = next.take() {
            self.heard = Instant::now();
            self.pinged = false;
            match received {
                Received::Frame(Down::Push(push)) => {
                    bytes += push.item.len();
                    pushes.push(push);
                    if pushes.len() < TAKE_ITEMS && bytes < TAKE_BYTES {
                        next = reader.next(&self.context.relay).now_or_never().transpose()?;
                    }
                }
                other => {
                    // In order: what came before is taken in before the answer to a submit is looked at.
                    self.take_in(&mut pushes).await?;
                    self.take_other(other).await?;
                }
            }
        }
        self.take_in(&mut pushes).await
    }

    async fn take_in(&mut self, pushes: &mut Vec<Push>) -> Result<(), ClientError> {
        if !pushes.is_empty() {
            self.cursor = receive::take_in(self.context, self.emitter, pushes).await?;
            pushes.clear();
        }
        Ok(())
    }

    async fn take_other(&mut self, received: Received) -> Result<(), ClientError> {
        match received {
            Received::Frame(Down::Accepted(accepted)) => {
                self.submitter.accepted(self.context, self.emitter, accepted.through).await
            }
            Received::Frame(Down::Refused(refused)) => self.submitter.refused(self.context, refused),
            Received::Frame(Down::Goodbye(goodbye)) => Err(refused(&goodbye)),
            Received::Frame(Down::Ready(_)) => Err(self.context.relay.wrong(DOING, "it said hello twice")),
            Received::Frame(Down::Push(_)) | Received::Alive => Ok(()),
            Received::Closed => Err(closed(self.context)),
        }
    }

    /// Tells the relay what is durable here. Where the line is full, the next turn does.
    fn acknowledge(&mut self) {
        if self.cursor > self.acked
            && self.out.try_send(Some(Up::Ack(DeviceAck { through: self.cursor }))).is_ok()
        {
            self.acked = self.cursor;
        }
    }

    async fn note_caught_up(&mut self) {
        if !self.caught_up && self.cursor >= self.head {
            self.caught_up = true;
            self.emitter.emit(Event::CaughtUp).await;
        }
    }

    /// Whether there is nothing more to do, as far as that is in our hands.
    async fn is_done(&self) -> Result<bool, ClientError> {
        Ok(self.caught_up
            && self.acked >= self.cursor
            && self.submitter.is_idle()
            && self.out.capacity() == OUT_QUEUE
            && self.context.signals.is_quiet()
            && nothing_to_send(self.context).await?
            && !changes::is_moving(self.context).await?)
    }

    fn mind_silence(&mut self) -> Result<(), ClientError> {
        let silent_for = self.heard.elapsed();
        if silent_for >= SILENCE {
            return Err(silent(self.context, silent_for));
        }
        if silent_for >= PING_AFTER && !self.pinged {
            self.pinged = self.out.try_send(None).is_ok();
        }
        Ok(())
    }
}

fn refused(goodbye: &posthouse_spec::client::socket::Goodbye) -> ClientError {
    ClientError::Refused {
        doing: "stay connected".to_owned(),
        reason: goodbye.reason,
        detail: goodbye.detail.to_string(),
    }
}

fn unreachable(context: &Context, why: String) -> ClientError {
    ClientError::Unreachable { url: context.relay.url().as_str().to_owned(), doing: DOING.to_owned(), why }
}

fn closed(context: &Context) -> ClientError {
    unreachable(context, "the relay closed the connection".to_owned())
}

fn silent(context: &Context, after: Duration) -> ClientError {
    unreachable(context, format!("the relay said nothing for {} s", after.as_secs()))
}
