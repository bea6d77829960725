//! From what was typed to what is done.

use std::io::Write as _;
use std::time::Duration;

use posthouse_client::Profile;
use tokio::io::BufReader;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::history::{ExportArgs, SearchArgs};
use crate::args::{Cli, Command, Global, SendArgs};
use crate::backups;
use crate::cmd;
use crate::daemon;
use crate::failure::{Exit, Failure};
use crate::input;
use crate::line::Line;
use crate::output::Output;
use crate::place::Place;
use crate::request::{Item, Order, Pace, Request};
use crate::room_request::RoomRequest;
use crate::rpc;

/// How much of standard input is read ahead, bytes.
const READ_AHEAD: usize = 64 * 1024;

/// How long the program may take to end by itself once it was asked to.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Does what was typed, until it is done or somebody presses Ctrl-C.
///
/// # Errors
/// Why it is not done.
pub(crate) async fn run(cli: &Cli, output: &mut Output) -> Result<(), Failure> {
    match &cli.command {
        Command::Completions(args) => return cmd::completions::run(args, output),
        Command::Man(args) => return cmd::man::run(args, output),
        _ => {}
    }
    let profile = Profile::locate(cli.global.home.as_deref(), &cli.global.profile)?;
    let stop = on_signal()?;
    match cli.command {
        Command::Listen => return listen(&cli.global, &profile, output, stop).await,
        Command::Rpc => return rpc::run(&cli.global, &profile, stop).await,
        _ => {}
    }
    tokio::select! {
        done = dispatch(cli, &profile, output) => done,
        () = stop.cancelled() => {
            let message = "stopped before the end; what was stored stays stored, and goes on with the next command";
            Err(Failure::new(Exit::Interrupted, "interrupted", message))
        }
    }
}

/// A token that Ctrl-C, and SIGTERM, cancel.
fn on_signal() -> Result<CancellationToken, Failure> {
    let no_signals = |error: std::io::Error| {
        Failure::new(Exit::Other, "signals", format!("cannot listen for signals: {error}"))
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopper.cancel();
        // Output that nobody reads blocks whoever writes it, and would keep the program for ever. Ending at any point is
        // safe: what was told is stored before it is told.
        tokio::time::sleep(STOP_GRACE).await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(stop)
}

async fn listen(
    global: &Global,
    profile: &Profile,
    output: &mut Output,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let Some(place) = stop.run_until_cancelled(Place::find(profile, global)).await else { return Ok(()) };
    match place? {
        Place::Here(client) => {
            let done = daemon::run(client.clone(), profile, output, stop).await;
            client.close().await?;
            done
        }
        mut there => {
            let follow = there.run(order(Request::Listen, global, false), output, show);
            stop.run_until_cancelled(follow).await.unwrap_or(Ok(()))
        }
    }
}

async fn dispatch(cli: &Cli, profile: &Profile, output: &mut Output) -> Result<(), Failure> {
    let global = &cli.global;
    let (request, offline) = match &cli.command {
        Command::Register(args) => return cmd::register::run(args, global, profile, output).await,
        Command::Send(args) => return send(args, global, profile, output).await,
        Command::Export(args) => return export(args, global, profile, output).await,
        Command::Backup(args) => return backups::run(&args.command, global, profile, output).await,
        // Done already, without waiting for a request to end.
        Command::Listen | Command::Rpc | Command::Completions(_) | Command::Man(_) => return Ok(()),
        Command::Inbox(args) => (Request::Inbox { mark_read: true }, args.offline),
        Command::Rooms(args) => (Request::Rooms, args.offline),
        Command::Requests(args) => (Request::Requests, args.offline),
        Command::Room { command } => {
            (Request::Room(RoomRequest::typed(command.clone())?), command.is_offline())
        }
        Command::Whoami => (Request::Whoami, false),
        Command::Verify(args) => (Request::Verify { alias: args.alias.clone() }, false),
        Command::Accept(args) => (Request::Accept { alias: args.alias.clone() }, false),
        Command::Block(args) => (Request::Block { alias: args.alias.clone() }, false),
        Command::History(args) => {
            let (with, limit) = (args.with.clone(), args.limit);
            (Request::History { with, limit, before: args.before, after: args.after }, args.read.offline)
        }
        Command::Search(args) => (search(args), true),
        Command::Retention(args) => (Request::Retention { with: args.with.clone(), keep: args.keep }, true),
        Command::Import(args) => {
            let file = backups::absolute(&args.file)?;
            (Request::Import { file, skip_bad: args.skip_bad }, true)
        }
    };
    let show = if matches!(request, Request::History { .. }) { show_of_one } else { show };
    let mut place = Place::find(profile, global).await?;
    let done = place.run(order(request, global, offline), output, show).await;
    done.and(place.leave().await)
}

fn search(args: &SearchArgs) -> Request {
    Request::Search {
        text: args.text.clone(),
        with: args.with.clone(),
        since: args.since,
        until: args.until,
        before: args.before,
        after: args.after,
        limit: args.limit,
    }
}

async fn send(
    args: &SendArgs,
    global: &Global,
    profile: &Profile,
    output: &mut Output,
) -> Result<(), Failure> {
    if args.lines && args.text != "-" {
        return Err(Failure::usage("usage", "--lines reads standard input: write - in place of the text"));
    }
    let mut stdin = BufReader::with_capacity(READ_AHEAD, tokio::io::stdin());
    let one = match (args.lines, args.text.as_str()) {
        (true, _) => None,
        (false, "-") => Some(input::whole(&mut stdin).await?),
        (false, text) => Some(text.to_owned()),
    };
    if one.as_deref().is_some_and(|text| text.trim().is_empty()) {
        return Err(Failure::usage("empty-text", "there is nothing to send: write a text, or - to read one"));
    }
    let mut place = Place::find(profile, global).await?;
    let send = |texts| order(Request::Send { to: args.to.clone(), texts }, global, false);
    let done = match one {
        Some(text) => place.run(send(vec![text]), output, show).await,
        None => loop {
            let batch = input::batch(&mut stdin).await;
            if !batch.texts.is_empty() {
                let sent = place.run(send(batch.texts), output, show).await;
                if sent.is_err() {
                    break sent;
                }
            } else if batch.broken.is_none() {
                break Ok(());
            }
            if let Some(failure) = batch.broken {
                break Err(failure);
            }
        },
    };
    done.and(place.leave().await)
}

async fn export(
    args: &ExportArgs,
    global: &Global,
    profile: &Profile,
    output: &mut Output,
) -> Result<(), Failure> {
    let file = args.file.as_ref().map(|path| path.display().to_string());
    let order = order(Request::Export { format: args.format, file, after: 0 }, global, true);
    let mut place = Place::find(profile, global).await?;
    let done = match &args.file {
        None => place.run(order, output, show).await,
        Some(path) => {
            let mut file = cmd::export::create(path)?;
            let unwritable = |error: std::io::Error| {
                let message = format!("cannot write {}: {error}; the file is not complete", path.display());
                Failure::new(Exit::Other, "export-failed", message)
            };
            let into_file = |item, output: &mut Output| match item {
                Item::Export(text) => writeln!(file, "{text}").map_err(unwritable),
                Item::Line(line @ Line::Exported { .. }) => {
                    file.flush().map_err(unwritable)?;
                    output.line(&line)
                }
                line => show(line, output),
            };
            place.run(order, output, into_file).await
        }
    };
    done.and(place.leave().await)
}

fn order(request: Request, global: &Global, offline: bool) -> Order {
    let timeout_ms = global.timeout * 1000;
    Order { request, pace: Pace { timeout_ms, offline } }
}

fn show(item: Item, output: &mut Output) -> Result<(), Failure> {
    output.item(item)
}

/// Shows a line of one conversation: people need not be told with each in which it stands.
fn show_of_one(mut item: Item, output: &mut Output) -> Result<(), Failure> {
    if let Item::Line(Line::Message(message)) = &mut item
        && !output.is_json()
    {
        message.room_name = None;
    }
    output.item(item)
}
