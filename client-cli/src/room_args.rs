//! What can be typed behind `posthouse room`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use posthouse_client::Who;
use posthouse_spec::Alias;

use crate::rank::{Rank, Seal};

/// Shown at the end of the help of `room`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  posthouse room create Garden bob@b.example carol@c.example
  posthouse room show Garden
  posthouse room add Garden dave@b.example
  posthouse send Garden 'The roses are out'

ROOM is the room's name, its id, or the first 8 digits of that or more; `posthouse rooms` shows all three.
A change is decided by the relay that orders the room's changes. What cannot be decided now is kept, and goes on with the next \
command that connects.";

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RoomCommand {
    /// Makes a group, or a room for announcements.
    Create(CreateArgs),
    /// Shows a room: who is in it, who may do what, and which changes wait.
    #[command(after_help = "Examples:\n  posthouse room show Garden\n  posthouse --json room show 3f9a01c2")]
    Show(ShowArgs),
    /// Adds people.
    #[command(after_help = "Examples:\n  posthouse room add Garden dave@b.example erin@c.example")]
    Add(AddArgs),
    /// Removes people.
    #[command(after_help = "Examples:\n  posthouse room remove Garden dave@b.example")]
    Remove(RemoveArgs),
    /// Leaves a room.
    #[command(after_help = "Examples:\n  posthouse room leave Garden")]
    Leave(RoomArgs),
    /// Makes somebody an admin, or an owner.
    Promote(PromoteArgs),
    /// Takes somebody's role away: they are a member as others are.
    #[command(after_help = "Examples:\n  posthouse room demote Garden bob@b.example")]
    Demote(MemberArgs),
    /// Removes somebody, and lets nobody add them again.
    #[command(after_help = "Examples:\n  posthouse room ban Garden mallory@m.example")]
    Ban(MemberArgs),
    /// Lifts a ban.
    #[command(after_help = "Examples:\n  posthouse room unban Garden mallory@m.example")]
    Unban(MemberArgs),
    /// Gives a room another name.
    #[command(after_help = "Examples:\n  posthouse room rename Garden 'Garden and orchard'")]
    Rename(RenameArgs),
    /// Says what a room is about.
    #[command(after_help = "Examples:\n  posthouse room describe Garden 'Who waters when'")]
    Describe(DescribeArgs),
    /// Gives a room a picture, or takes it away.
    Picture(PictureArgs),
    /// Changes who may do what.
    Policy(PolicyArgs),
    /// Makes somebody else the owner; you stay as an admin.
    #[command(after_help = "Examples:\n  posthouse room transfer Garden bob@b.example")]
    Transfer(MemberArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RoomArgs {
    /// The room: its name, its id, or the beginning of that.
    pub(crate) room: String,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  posthouse room create Garden bob@b.example carol@c.example\n  posthouse room create News --announcement --description 'What is new' bob@b.example\n  posthouse room create Everybody --suite classic"
)]
pub(crate) struct CreateArgs {
    /// Its name.
    pub(crate) name: String,
    /// Who is to come into it.
    #[arg(value_name = "ALIAS")]
    pub(crate) members: Vec<Alias>,
    /// Only admins and owners write in it.
    #[arg(long)]
    pub(crate) announcement: bool,
    /// What it is about.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) description: String,
    /// The ciphersuite; the classic one admits more devices.
    #[arg(long, value_name = "SUITE", default_value = "post-quantum", value_enum)]
    pub(crate) suite: Seal,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) room: RoomArgs,
    /// Shows what the vault holds without asking the relay first.
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub(crate) room: RoomArgs,
    /// Who.
    #[arg(value_name = "ALIAS", required = true)]
    pub(crate) members: Vec<Alias>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    pub(crate) room: RoomArgs,
    /// Who: an alias, or the account's id where no alias is known.
    #[arg(value_name = "ALIAS", required = true)]
    pub(crate) members: Vec<Who>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct MemberArgs {
    #[command(flatten)]
    pub(crate) room: RoomArgs,
    /// Who: an alias, or the account's id where no alias is known.
    #[arg(value_name = "ALIAS")]
    pub(crate) member: Who,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  posthouse room promote Garden bob@b.example\n  posthouse room promote Garden bob@b.example --owner"
)]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    pub(crate) about: MemberArgs,
    /// Makes them an owner.
    #[arg(long)]
    pub(crate) owner: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RenameArgs {
    #[command(flatten)]
    pub(crate) room: RoomArgs,
    /// The name from now on.
    #[arg(allow_hyphen_values = true)]
    pub(crate) name: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DescribeArgs {
    #[command(flatten)]
    pub(crate) room: RoomArgs,
    /// What it is about.
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) description: String,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  posthouse room picture Garden rose.png\n  posthouse room picture Garden --clear"
)]
pub(crate) struct PictureArgs {
    #[command(flatten)]
    pub(crate) room: RoomArgs,
    /// An image file of at most 32 KiB.
    #[arg(required_unless_present = "clear", conflicts_with = "clear")]
    pub(crate) file: Option<PathBuf>,
    /// Takes the picture away.
    #[arg(long)]
    pub(crate) clear: bool,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  posthouse room policy Garden --add member\n  posthouse room policy Garden --write admin --change owner"
)]
pub(crate) struct PolicyArgs {
    #[command(flatten)]
    pub(crate) room: RoomArgs,
    #[command(flatten)]
    pub(crate) least: LeastArgs,
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct LeastArgs {
    /// The least role that writes.
    #[arg(long, value_name = "ROLE", value_enum)]
    pub(crate) write: Option<Rank>,
    /// The least role that adds people.
    #[arg(long, value_name = "ROLE", value_enum)]
    pub(crate) add: Option<Rank>,
    /// The least role that changes name, picture and settings.
    #[arg(long, value_name = "ROLE", value_enum)]
    pub(crate) change: Option<Rank>,
}

impl RoomCommand {
    /// Whether the relay is not to be asked.
    pub(crate) fn is_offline(&self) -> bool {
        matches!(self, Self::Show(ShowArgs { offline: true, .. }))
    }
}
