//! `rpc`: every command as a method of JSON-RPC 2.0 over standard input and output, one JSON value a line, and what happens
//! as notifications. So bots and other programs need no Rust.
//!
//! [`way`] keeps the vault open and up to date, as `listen` does, or goes through the `listen` that owns it, and tells what
//! happens. [`server`] reads lines ([`read`]), takes them apart ([`frame`]), finds the method in the one table that there is
//! ([`table`], with [`rooms`] as a part of it), makes an order of its parameters ([`order`]), has it done, and makes a result of
//! what the command told ([`told`]). All that is written goes through [`out`]. The README is the protocol's description.

mod frame;
mod method;
mod order;
mod out;
mod read;
mod rooms;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod told;
mod way;

use std::time::Duration;

use posthouse_client::Profile;
use tokio::io::BufReader;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::Global;
use crate::failure::{Exit, Failure};
use out::Out;
use server::Server;
use way::Keeper;

/// How much of standard input is read ahead, bytes.
const READ_AHEAD: usize = 64 * 1024;

/// How long what runs may go on after SIGTERM: less than the program gives itself to end.
const GRACE: Duration = Duration::from_secs(3);

/// Serves until the input ends, or until it is `asked` to stop.
///
/// # Errors
/// The vault does not open, the live sync ends with an error, or standard input or output fails.
pub(crate) async fn run(global: &Global, profile: &Profile, asked: CancellationToken) -> Result<(), Failure> {
    let (out, said) = Out::channel();
    let end = CancellationToken::new();
    let writer = tokio::spawn({
        let end = end.clone();
        async move {
            let written = out::write(said, tokio::io::stdout()).await;
            end.cancel();
            written
        }
    });
    let (ways, way) = watch::channel(None);
    let server = Server::new(way, out.clone(), end.clone(), global.timeout());
    let keeper = Keeper { profile: profile.clone(), global: global.clone(), ways, out, end };
    let input = BufReader::with_capacity(READ_AHEAD, tokio::io::stdin());
    let (kept, served) = tokio::join!(Box::pin(keeper.keep()), server.serve(input, &asked, GRACE));
    // With them goes what could still be written.
    drop((keeper, server));
    let written = writer
        .await
        .unwrap_or_else(|_| Err(Failure::new(Exit::Other, "internal", "the output broke off: start again")));
    written.and(kept).and(served)
}
