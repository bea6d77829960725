//! What a room does not allow, as it is known here, may be allowed as it is now: it may have changed meanwhile.

use posthouse_client::{ClientError, RoomFault};

use crate::desk::Desk;
use crate::failure::Failure;
use crate::request::{Lines, Pace};

/// Asks what is new, where that may help against `error`; then it is worth trying anew.
///
/// # Errors
/// `error`, where it does not help.
pub(crate) async fn look_again(
    desk: &Desk,
    error: ClientError,
    pace: Pace,
    lines: &Lines,
) -> Result<(), Failure> {
    match &error {
        ClientError::RoomFault(fault) if !pace.offline && may_change(fault) => {
            desk.refresh(pace, lines).await
        }
        _ => Err(error.into()),
    }
}

fn may_change(fault: &RoomFault) -> bool {
    matches!(
        fault,
        RoomFault::Over { .. }
            | RoomFault::NotInRoom(_)
            | RoomFault::NotAllowed { .. }
            | RoomFault::LastOwner
    )
}
