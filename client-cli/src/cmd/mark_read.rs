//! `mark_read`: somebody has read messages. A command of `rpc` alone: `inbox` does it by itself once it has shown them.

use crate::desk::Desk;
use crate::failure::Failure;

pub(crate) async fn execute(desk: &Desk, locals: &[u64]) -> Result<(), Failure> {
    Ok(desk.client().mark_read(locals).await?)
}
