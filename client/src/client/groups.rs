//! What a person does with rooms of many: making, changing and leaving them, and writing to them. All of it is noted first
//! and needs no network; a sync does it.

use posthouse_spec::client::http::Base64;
use posthouse_spec::limits::MAX_TEXT;
use posthouse_spec::room::{Role, RoomContext, RoomKind};
use posthouse_spec::{AccountId, RoomId};

use super::Client;
use crate::change::{ChangeState, ChangeStatus, RoomChange, Who};
use crate::error::ClientError;
use crate::group::{NewRoom, PictureChange, ProfileChange, RoomMember, RoomProfile};
use crate::model::{MessageState, RoomState, SentToRoom};
use crate::room_error::RoomFault;
use crate::rooms::intake::Intake;
use crate::rooms::{aftermath, create, decided, info, leaving, over};
use crate::vault::changes::ChangeRow;
use crate::vault::contacts::{self, Standing};
use crate::vault::rooms::{self, RoomRow};
use crate::vault::{changes, lines, members, outbox, room_infos};

/// A room of many that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedRoom {
    /// The room.
    pub room: RoomId,
    /// Who is to come into it.
    pub changes: Vec<ChangeStatus>,
}

impl Client {
    /// Makes a group or a room for announcements, of which this account is the owner.
    ///
    /// # Errors
    /// The name or description is too long, somebody is blocked or is this account, or what the vault says.
    pub async fn create_room(&self, wanted: &NewRoom) -> Result<CreatedRoom, ClientError> {
        let mut intake = Intake::begin(&self.0).await?;
        for alias in &wanted.members {
            check_newcomer(&mut intake, &RoomChange::Add { alias: alias.clone() }).await?;
        }
        let (room, invited) = create::create(&mut intake, wanted).await?;
        let mut noted = Vec::new();
        for change in invited {
            noted.extend(changes::by_id(intake.tx.db()?, change).await?.map(|row| row.shown()));
        }
        self.finish(intake).await?;
        Ok(CreatedRoom { room, changes: noted })
    }

    /// Notes a change that is wanted of a room. What became of it is told by [`Event::Change`](crate::Event::Change), and by
    /// [`Client::changes`].
    ///
    /// # Errors
    /// There is no such room, it is over, the own role does not allow it, whom it is about is not in the room, or what the
    /// vault says.
    pub async fn change_room(&self, room: &RoomId, change: &RoomChange) -> Result<ChangeStatus, ClientError> {
        let mut intake = Intake::begin(&self.0).await?;
        let row = in_use(&mut intake, room).await?;
        check_change(&mut intake, &row, change).await?;
        let account = match change.about() {
            Some(Who::Account(account)) => Some(account),
            Some(Who::Alias(alias)) if alias == self.0.owner.alias => Some(self.0.owner.account.id()),
            _ => None,
        };
        let now = intake.now;
        let id = changes::insert(intake.tx.db()?, room, change, account.as_ref(), now).await?;
        self.finish(intake).await?;
        let (change, state) = (change.clone(), ChangeState::Waiting);
        Ok(ChangeStatus { id, room: *room, change, state, reason: None })
    }

    /// What was wanted of a room lately, oldest first.
    ///
    /// # Errors
    /// There is no such room, or what the vault says.
    pub async fn changes(&self, room: &RoomId) -> Result<Vec<ChangeStatus>, ClientError> {
        let mut reader = self.0.vault.read().await?;
        rooms::by_id(reader.db()?, room).await?.ok_or(RoomFault::Unknown(*room))?;
        let rows = changes::of_room(reader.db()?, room).await?;
        Ok(rows.iter().map(ChangeRow::shown).collect())
    }

    /// Who is in a room, owners first.
    ///
    /// # Errors
    /// There is no such room, or what the vault says.
    pub async fn members(&self, room: &RoomId) -> Result<Vec<RoomMember>, ClientError> {
        let mut reader = self.0.vault.read().await?;
        let row = rooms::by_id(reader.db()?, room).await?.ok_or(RoomFault::Unknown(*room))?;
        let mut listed = members::list(reader.db()?, room).await?;
        drop(reader);
        if listed.is_empty() && matches!(row.state, RoomState::Founding | RoomState::Active) {
            // A room that was joined before members were noted.
            let mut intake = Intake::begin(&self.0).await?;
            aftermath::record(&mut intake, room).await?;
            listed = members::list(intake.tx.db()?, room).await?;
            self.finish(intake).await?;
        }
        let owner = &self.0.owner;
        let shown = listed.into_iter().map(|listed| {
            let own = listed.row.account == owner.account.id();
            RoomMember {
                alias: if own { Some(owner.alias.clone()) } else { listed.alias },
                account: listed.row.account,
                role: listed.row.role,
                home: listed.row.home,
                devices: listed.row.devices,
                own,
                leaving: listed.leaving,
                reason: listed.reason,
            }
        });
        let mut shown: Vec<RoomMember> = shown.collect();
        shown.sort_by(|a, b| b.role.cmp(&a.role).then_with(|| by_name(a).cmp(&by_name(b))));
        Ok(shown)
    }

    /// What a room says of itself; nothing where it is not known yet.
    ///
    /// # Errors
    /// There is no such room, or what the vault says.
    pub async fn room_profile(&self, room: &RoomId) -> Result<RoomProfile, ClientError> {
        let mut reader = self.0.vault.read().await?;
        rooms::by_id(reader.db()?, room).await?.ok_or(RoomFault::Unknown(*room))?;
        let row = room_infos::find(reader.db()?, room).await?;
        Ok(row.map_or_else(RoomProfile::default, |row| RoomProfile {
            name: row.name,
            description: row.description,
            picture: row.picture.map(Base64),
        }))
    }

    /// Changes a room's name, description or picture.
    ///
    /// # Errors
    /// There is no such room, it is over, the own role does not allow it, something is too long, or what the vault says.
    pub async fn set_room_profile(
        &self,
        room: &RoomId,
        change: &ProfileChange,
    ) -> Result<RoomProfile, ClientError> {
        let mut intake = Intake::begin(&self.0).await?;
        let row = in_use(&mut intake, room).await?;
        let (context, role) = agreed(&mut intake, &row)?;
        if !info::may_change(&context, role) {
            return Err(not_allowed("change what it says of itself", context.policy.change, role));
        }
        let before = room_infos::find(intake.tx.db()?, room).await?;
        let (name, description, picture) =
            before.map(|row| (row.name, row.description, row.picture)).unwrap_or_default();
        let name = change.name.clone().unwrap_or(name);
        let description = change.description.clone().unwrap_or(description);
        let picture = match &change.picture {
            PictureChange::Keep => picture,
            PictureChange::Clear => None,
            PictureChange::Set(picture) => Some(picture.clone()),
        };
        info::change(&mut intake, room, &name, &description, picture.as_deref(), true).await?;
        self.finish(intake).await?;
        Ok(RoomProfile { name, description, picture: picture.map(Base64) })
    }

    /// Stores a message for a room; needs no network. A sync that is running sends it at once.
    ///
    /// # Errors
    /// The text is too long, there is no such room, it is over, the own role does not write there, or what the vault says.
    pub async fn send_to_room(&self, room: &RoomId, text: &str) -> Result<SentToRoom, ClientError> {
        if text.len() > MAX_TEXT {
            return Err(ClientError::TextTooLong { len: text.len(), limit: MAX_TEXT });
        }
        let mut intake = Intake::begin(&self.0).await?;
        let row = in_use(&mut intake, room).await?;
        let (context, role) = agreed(&mut intake, &row)?;
        if role < context.policy.write {
            return Err(not_allowed("write", context.policy.write, role));
        }
        let (own, now) = (self.0.owner.account.id(), intake.now);
        let local = lines::insert_text(intake.tx.db()?, room, &own, text, now).await?;
        outbox::intend_for_room(intake.tx.db()?, local).await?;
        self.finish(intake).await?;
        Ok(SentToRoom { local, room: *room, state: MessageState::Queued })
    }

    /// Leaves a room: nothing more of it is shown or sent from now on. Any other member's device removes this account's from
    /// it as soon as it hears of that.
    ///
    /// # Errors
    /// There is no such room, it is over, this account is its last owner, or what the vault says.
    pub async fn leave(&self, room: &RoomId) -> Result<(), ClientError> {
        let mut intake = Intake::begin(&self.0).await?;
        let mut row = in_use(&mut intake, room).await?;
        let own = self.0.owner.account.id();
        let others: Vec<Role> = members::list(intake.tx.db()?, room)
            .await?
            .into_iter()
            .filter(|member| member.row.account != own)
            .map(|member| member.row.role)
            .collect();
        let (_, role) = agreed(&mut intake, &row)?;
        if role == Role::Owner && !others.is_empty() && !others.contains(&Role::Owner) {
            return Err(RoomFault::LastOwner.into());
        }
        over::close(&mut intake, &mut row, RoomState::Left, leaving::LEFT).await?;
        if !others.is_empty() {
            leaving::say(&mut intake, &row).await?;
        }
        decided::tell_changed(&mut intake, &row).await?;
        self.finish(intake).await
    }

    async fn finish(&self, intake: Intake<'_>) -> Result<(), ClientError> {
        // What is told here was done by whoever calls; they know.
        intake.commit().await?;
        self.0.signals.connection.notify_one();
        self.0.signals.want_work();
        Ok(())
    }
}

/// Those with an alias first.
fn by_name(member: &RoomMember) -> (bool, Option<String>, AccountId) {
    (member.alias.is_none(), member.alias.as_ref().map(ToString::to_string), member.account)
}

/// A room of many in which something can be done.
async fn in_use(intake: &mut Intake<'_>, room: &RoomId) -> Result<RoomRow, ClientError> {
    let row = rooms::by_id(intake.tx.db()?, room).await?;
    let row = row.filter(|row| matches!(row.kind, RoomKind::Group | RoomKind::Announcement));
    let row = row.ok_or(RoomFault::Unknown(*room))?;
    match row.state {
        RoomState::Founding | RoomState::Active => Ok(row),
        state => Err(RoomFault::Over { state: state.name(), reason: row.reason.unwrap_or_default() }.into()),
    }
}

/// What the room agreed on, and the own role in it.
fn agreed(intake: &mut Intake<'_>, room: &RoomRow) -> Result<(RoomContext, Role), ClientError> {
    let own = intake.owner.account.id();
    let (state, _) = intake.tx.room(&room.room)?;
    let context = state.context().clone();
    let role = context.role(&own);
    Ok((context, role))
}

fn not_allowed(doing: &'static str, least: Role, role: Role) -> ClientError {
    RoomFault::NotAllowed { doing, least, role }.into()
}

async fn check_change(
    intake: &mut Intake<'_>,
    room: &RoomRow,
    change: &RoomChange,
) -> Result<(), ClientError> {
    let (context, role) = agreed(intake, room)?;
    let (doing, least) = match change {
        RoomChange::Add { .. } => ("add people", context.policy.add),
        RoomChange::Remove { .. } => ("remove people", Role::Admin),
        RoomChange::Role { .. } => ("change roles", Role::Owner),
        RoomChange::Policy { .. } => ("change who may do what", context.policy.change.max(Role::Admin)),
        RoomChange::Ban { .. } | RoomChange::Unban { .. } => {
            ("ban people", context.policy.change.max(Role::Admin))
        }
        RoomChange::Transfer { .. } => ("hand the room over", Role::Owner),
    };
    if role < least {
        return Err(not_allowed(doing, least, role));
    }
    match change {
        RoomChange::Add { .. } => check_newcomer(intake, change).await,
        RoomChange::Policy { write: None, add: None, change: None } => Err(RoomFault::EmptyPolicy.into()),
        RoomChange::Remove { member } | RoomChange::Role { member, .. } | RoomChange::Transfer { member } => {
            check_member(intake, room, member).await
        }
        RoomChange::Policy { .. } | RoomChange::Ban { .. } | RoomChange::Unban { .. } => Ok(()),
    }
}

async fn check_newcomer(intake: &mut Intake<'_>, change: &RoomChange) -> Result<(), ClientError> {
    let RoomChange::Add { alias } = change else { return Ok(()) };
    if *alias == intake.owner.alias {
        return Err(ClientError::OwnAlias(alias.clone()));
    }
    match contacts::by_alias(intake.tx.db()?, alias).await? {
        Some(contact) if contact.standing == Standing::Blocked => Err(ClientError::Blocked(alias.clone())),
        _ => Ok(()),
    }
}

/// Whom a change is about is in the room, or is to come into it.
async fn check_member(intake: &mut Intake<'_>, room: &RoomRow, member: &Who) -> Result<(), ClientError> {
    let account = match member {
        Who::Account(account) => Some(*account),
        Who::Alias(alias) if *alias == intake.owner.alias => Some(intake.owner.account.id()),
        Who::Alias(alias) => {
            contacts::by_alias(intake.tx.db()?, alias).await?.map(|contact| contact.account.id())
        }
    };
    if let Some(account) = account
        && members::find(intake.tx.db()?, &room.room, &account).await?.is_some()
    {
        return Ok(());
    }
    let wanted = changes::of_room(intake.tx.db()?, &room.room).await?;
    let comes = wanted.iter().any(|row| {
        matches!(row.state, ChangeState::Waiting | ChangeState::Deciding)
            && matches!((&row.change, member), (RoomChange::Add { alias }, Who::Alias(named)) if alias == named)
    });
    if comes { Ok(()) } else { Err(RoomFault::NotInRoom(member.to_string()).into()) }
}
