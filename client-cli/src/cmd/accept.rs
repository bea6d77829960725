//! `accept`: takes somebody who asks to talk as a contact, and joins their room.

use posthouse_client::ClientError;
use posthouse_spec::Alias;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::line::{Contact, Line, Standing};
use crate::request::{Lines, Pace};

pub(crate) async fn execute(desk: &Desk, alias: &Alias, pace: Pace, lines: &Lines) -> Result<(), Failure> {
    let peer = match desk.client().accept(alias).await {
        // The request may still wait at the relay.
        Err(ClientError::NoRequest(_)) => {
            desk.refresh(pace, lines).await?;
            desk.client().accept(alias).await?
        }
        other => other?,
    };
    lines.line(Line::Contact(Contact { state: Standing::Accepted, peer })).await?;
    desk.refresh(pace, lines).await
}
