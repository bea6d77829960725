//! What a person can read of a room's rules.

use posthouse_spec::RoomId;

use super::Client;
use crate::error::ClientError;
use crate::model::{PeerRef, RoomRules};
use crate::room_error::RoomFault;
use crate::vault::{contacts, contexts, rooms};

impl Client {
    /// Who may do what in a room, and who is not taken in; nothing where that is not known here.
    ///
    /// # Errors
    /// There is no such room, or what the vault says.
    pub async fn room_rules(&self, room: &RoomId) -> Result<Option<RoomRules>, ClientError> {
        let mut reader = self.0.vault.read().await?;
        let row = rooms::by_id(reader.db()?, room).await?.ok_or(RoomFault::Unknown(*room))?;
        let Some(context) = contexts::at(reader.db()?, room, row.epoch).await? else { return Ok(None) };
        let mut banned = Vec::new();
        for account in context.banned.iter().flat_map(|banned| banned.iter()) {
            let (alias, _) = contacts::glance(reader.db()?, account).await?;
            banned.push(PeerRef { alias, account: *account });
        }
        let policy = context.policy;
        Ok(Some(RoomRules { write: policy.write, add: policy.add, change: policy.change, banned }))
    }
}
