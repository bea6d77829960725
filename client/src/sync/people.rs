//! Who asks: finding out whether they are who they say, joining where they may, and telling the relay whom it should
//! keep away.

use futures::StreamExt as _;
use futures::stream;
use posthouse_crypto::room::Observer;
use posthouse_spec::client::Refusal;
use posthouse_spec::client::delivery::WelcomeDelivery;
use posthouse_spec::client::http::BlockResponse;
use posthouse_spec::{Domain, RoomId};
use reqwest::Method;

use super::emitter::Emitter;
use crate::chain::{self, Word};
use crate::context::Context;
use crate::error::ClientError;
use crate::event::{Event, Notice};
use crate::model::Request;
use crate::rooms::intake::Intake;
use crate::rooms::join::join;
use crate::rooms::opening::drain_with;
use crate::rooms::welcome::is_theirs;
use crate::trust;
use crate::vault::contacts;
use crate::vault::requests::{self, Answer, RequestRow};
use crate::vault::{held, outbox};

/// Requests that are seen to at the same time.
const AT_ONCE: usize = 8;

/// Tells the relay of blocks that it has not heard of.
pub(super) async fn tell_blocks(context: &Context) -> Result<(), ClientError> {
    let untold = contacts::untold(context.vault.read().await?.db()?).await?;
    for (account, blocked) in untold {
        let method = if blocked { Method::PUT } else { Method::DELETE };
        let path = format!("/v1/blocks/{account}");
        let _: BlockResponse =
            context.relay.ask(&context.owner, "block an account", method, &path, None::<&()>).await?;
        let mut tx = context.vault.begin().await?;
        contacts::set_told(tx.db()?, &account, blocked).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// What came of seeing to all requests.
#[derive(Default)]
pub(super) struct Seen {
    /// A room was joined.
    pub(super) joined: bool,
    /// The first of what failed.
    pub(super) trouble: Option<ClientError>,
}

/// Checks who asks, and joins what was accepted. One whose relay does not answer keeps none of the others waiting.
///
/// # Errors
/// The vault's only; what else fails is in the outcome.
pub(super) async fn see_to_requests(context: &Context, emitter: &Emitter) -> Result<Seen, ClientError> {
    let open = requests::open(context.vault.read().await?.db()?).await?;
    let mut seen = Seen::default();
    let requests = open.into_iter().map(|request| see_to(context, emitter, request));
    let mut outcomes = stream::iter(requests).buffer_unordered(AT_ONCE);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(joined) => seen.joined |= joined,
            Err(error @ ClientError::Vault(_)) => return Err(error),
            Err(error) => seen.trouble = seen.trouble.or(Some(error)),
        }
    }
    Ok(seen)
}

/// `true` where the room was joined.
async fn see_to(context: &Context, emitter: &Emitter, request: RequestRow) -> Result<bool, ClientError> {
    let room = request.room;
    let mut request = request;
    if !request.verified {
        match verify(context, &request).await {
            Ok(true) => {
                let now = find(context, &room).await?;
                let Some(now) = now else { return Ok(false) };
                request = now;
                if request.answer == Answer::Asking {
                    let shown = shown(context, &request).await?;
                    emitter.emit(Event::Request(shown)).await;
                }
            }
            Ok(false) => {
                context.signals.want_work();
                let detail = format!(
                    "somebody asked to talk as {}, but that alias is not theirs; the request was dropped",
                    request.alias
                );
                let notice = Notice {
                    code: "false-alias".to_owned(),
                    detail,
                    alias: Some(request.alias),
                    room: Some(room),
                };
                emitter.emit(Event::Notice(notice)).await;
                return Ok(false);
            }
            Err(error) => {
                put_reason(context, &room, &format!("could not check yet who asks: {error}")).await?;
                return Err(error);
            }
        }
    }
    if request.answer != Answer::Accepted {
        return Ok(false);
    }
    fetch_hub(context, &request).await?;
    match join_now(context, &request).await {
        Ok(Some(events)) => {
            emitter.emit_all(events).await;
            Ok(true)
        }
        Ok(None) => Ok(false),
        Err(error @ ClientError::Room { .. }) => {
            give_up(context, emitter, &request, &error).await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

async fn find(context: &Context, room: &RoomId) -> Result<Option<RequestRow>, ClientError> {
    Ok(requests::by_room(context.vault.read().await?.db()?, room).await?)
}

/// The request as it is shown.
pub(super) async fn shown(context: &Context, request: &RequestRow) -> Result<Request, ClientError> {
    let waiting = held::load(context.vault.read().await?.db()?, &request.room).await?;
    Ok(request.shown(waiting.items))
}

/// Whether the alias is theirs. Where it is, who they are is kept; where it is not, the request goes.
async fn verify(context: &Context, request: &RequestRow) -> Result<bool, ClientError> {
    let (welcome, contact) = {
        let mut reader = context.vault.read().await?;
        let welcome = requests::welcome(reader.db()?, &request.room).await?;
        (welcome, contacts::by_account(reader.db()?, &request.account).await?)
    };
    let Some(welcome) = welcome else { return Ok(false) };
    let pinned = contact.is_some_and(|contact| {
        contact.alias.is_some_and(|alias| is_theirs(&alias, &contact.account, request, &welcome))
    });
    let known = if pinned { None } else { Some(trust::look_up(context, &request.alias).await) };
    let mut tx = context.vault.begin().await?;
    let theirs = match known {
        None => true,
        Some(Ok(known)) if known.account.id() == request.account => {
            let recognised = trust::recognise(tx.db()?, &known).await;
            if let Err(error) = recognised {
                // The alias was somebody else's here: they are a new person, and consent is asked for anew.
                tx.commit().await?;
                return Err(error);
            }
            is_theirs(&request.alias, &known.account, request, &welcome)
        }
        Some(Ok(_)) => false,
        Some(Err(ClientError::Refused {
            reason: Refusal::UnknownAccount | Refusal::UnknownRelay | Refusal::NotFound,
            ..
        })) => false,
        Some(Err(error)) => {
            tx.commit().await?;
            return Err(error);
        }
    };
    if theirs {
        requests::set_verified(tx.db()?, &request.room).await?;
        // Whoever was written to is a contact, even where the room came from their side.
        if !outbox::intents_for(tx.db()?, &request.alias).await?.is_empty() {
            contacts::consent(tx.db()?, &request.account).await?;
            requests::answer(tx.db()?, &request.account, Answer::Accepted).await?;
        }
        if request.answer == Answer::Accepted {
            contacts::consent(tx.db()?, &request.account).await?;
        }
    } else {
        requests::block(tx.db()?, &request.room).await?;
        held::clear(tx.db()?, &request.room).await?;
    }
    tx.commit().await?;
    Ok(theirs)
}

/// Sees to it that the manifest of the room's hub is here.
async fn fetch_hub(context: &Context, request: &RequestRow) -> Result<(), ClientError> {
    let welcome = requests::welcome(context.vault.read().await?.db()?, &request.room).await?;
    // What is wrong with the group info shows when the room is joined.
    if let Some(welcome) = welcome
        && let Some(hub) = hub_of(&welcome)
    {
        trust::relay_for(context, &hub, &welcome.decided).await?;
    }
    Ok(())
}

fn hub_of(welcome: &WelcomeDelivery) -> Option<Domain> {
    let observer = Observer::from_group_info(&welcome.group_info).ok()?;
    Some(observer.context().ordering.leader.domain.clone())
}

/// Joins a verified request with what is in the vault; `None` where something of it is not there yet.
///
/// # Errors
/// [`ClientError::Room`] where the invitation will never hold.
pub(crate) async fn join_now(
    context: &Context,
    request: &RequestRow,
) -> Result<Option<Vec<Event>>, ClientError> {
    let mut intake = Intake::begin(context).await?;
    let welcome = requests::welcome(intake.tx.db()?, &request.room).await?;
    let contact = contacts::by_account(intake.tx.db()?, &request.account).await?;
    let (Some(welcome), Some(contact)) = (welcome, contact) else {
        intake.commit().await?;
        return Ok(None);
    };
    let hub = match hub_of(&welcome) {
        Some(domain) => trust::pinned_relay(intake.tx.db()?, &domain).await?,
        None => {
            let why = "its group info does not hold".to_owned();
            return Err(ClientError::Room { doing: format!("join the room of {}", request.alias), why });
        }
    };
    let Some(hub) = hub else {
        intake.commit().await?;
        return Ok(None);
    };
    let decision = match chain::check_decision(intake.tx.db()?, &hub, &welcome.decided).await? {
        Word::Holds(decision) => decision,
        Word::NeedsManifest => {
            intake.commit().await?;
            return Ok(None);
        }
        Word::Bad(why) => {
            return Err(ClientError::Room { doing: format!("join the room of {}", request.alias), why });
        }
    };
    join(&mut intake, request, &welcome, &contact.account, &hub, &decision).await?;
    let (events, _) = intake.commit().await?;
    context.signals.connection.notify_one();
    Ok(Some(events))
}

/// An invitation that will never hold goes, and says so.
pub(super) async fn give_up(
    context: &Context,
    emitter: &Emitter,
    request: &RequestRow,
    error: &ClientError,
) -> Result<(), ClientError> {
    let mut intake = Intake::begin(context).await?;
    requests::block(intake.tx.db()?, &request.room).await?;
    held::clear(intake.tx.db()?, &request.room).await?;
    // What they wrote elsewhere has waited for this room. It is opened before anything newer can be.
    drain_with(&mut intake, &request.account).await?;
    let (events, _) = intake.commit().await?;
    context.signals.connection.notify_one();
    // What needs a manifest that is not here yet is seen to with the next pass.
    context.signals.want_work();
    emitter.emit_all(events).await;
    let notice = Notice {
        code: "invitation-failed".to_owned(),
        detail: format!("{error}. Ask {} to write again", request.alias),
        alias: Some(request.alias.clone()),
        room: Some(request.room),
    };
    emitter.emit(Event::Notice(notice)).await;
    Ok(())
}

async fn put_reason(context: &Context, room: &RoomId, reason: &str) -> Result<(), ClientError> {
    let mut tx = context.vault.begin().await?;
    requests::set_reason(tx.db()?, room, reason).await?;
    Ok(tx.commit().await?)
}
