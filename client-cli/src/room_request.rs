//! What is asked of the rooms of many in an open vault.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use posthouse_client::Who;
use posthouse_spec::Alias;
use posthouse_spec::client::http::Base64;
use posthouse_spec::limits::MAX_PICTURE;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::rank::{Rank, Seal};
use crate::room_args::RoomCommand;

/// What is asked. `room` is a room's name, its id, or the beginning of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command")]
pub(crate) enum RoomRequest {
    /// Makes a room.
    #[serde(rename = "room-create")]
    Create {
        /// Its name.
        name: String,
        /// Whether only admins and owners write in it.
        #[serde(default)]
        announcement: bool,
        /// Its ciphersuite.
        #[serde(default)]
        suite: Seal,
        /// What it is about.
        #[serde(default)]
        description: String,
        /// Who is to come into it.
        #[serde(default)]
        members: Vec<Alias>,
    },
    /// All of one room.
    #[serde(rename = "room-show")]
    Show { room: String },
    /// Adds people.
    #[serde(rename = "room-add")]
    Add { room: String, members: Vec<Alias> },
    /// Removes people.
    #[serde(rename = "room-remove")]
    Remove { room: String, members: Vec<Who> },
    /// Leaves it.
    #[serde(rename = "room-leave")]
    Leave { room: String },
    /// Makes somebody an admin, or an owner.
    #[serde(rename = "room-promote")]
    Promote {
        room: String,
        member: Who,
        #[serde(default)]
        owner: bool,
    },
    /// Makes somebody a member as others are.
    #[serde(rename = "room-demote")]
    Demote { room: String, member: Who },
    /// Removes somebody, who is not taken in again.
    #[serde(rename = "room-ban")]
    Ban { room: String, member: Who },
    /// Lifts that.
    #[serde(rename = "room-unban")]
    Unban { room: String, member: Who },
    /// Gives it another name.
    #[serde(rename = "room-rename")]
    Rename { room: String, name: String },
    /// Says what it is about.
    #[serde(rename = "room-describe")]
    Describe { room: String, description: String },
    /// Gives it a picture, or takes it away.
    #[serde(rename = "room-picture")]
    Picture { room: String, picture: Option<Base64> },
    /// Changes who may do what.
    #[serde(rename = "room-policy")]
    Policy { room: String, write: Option<Rank>, add: Option<Rank>, change: Option<Rank> },
    /// Makes somebody else the owner.
    #[serde(rename = "room-transfer")]
    Transfer { room: String, member: Who },
}

impl RoomRequest {
    /// What was typed, as a request.
    ///
    /// # Errors
    /// The picture cannot be read, or is none.
    pub(crate) fn typed(command: RoomCommand) -> Result<Self, Failure> {
        Ok(match command {
            RoomCommand::Create(args) => Self::Create {
                name: args.name,
                announcement: args.announcement,
                suite: args.suite,
                description: args.description,
                members: args.members,
            },
            RoomCommand::Show(args) => Self::Show { room: args.room.room },
            RoomCommand::Add(args) => Self::Add { room: args.room.room, members: args.members },
            RoomCommand::Remove(args) => Self::Remove { room: args.room.room, members: args.members },
            RoomCommand::Leave(args) => Self::Leave { room: args.room },
            RoomCommand::Promote(args) => {
                let (room, member) = (args.about.room.room, args.about.member);
                Self::Promote { room, member, owner: args.owner }
            }
            RoomCommand::Demote(args) => Self::Demote { room: args.room.room, member: args.member },
            RoomCommand::Ban(args) => Self::Ban { room: args.room.room, member: args.member },
            RoomCommand::Unban(args) => Self::Unban { room: args.room.room, member: args.member },
            RoomCommand::Rename(args) => Self::Rename { room: args.room.room, name: args.name },
            RoomCommand::Describe(args) => {
                Self::Describe { room: args.room.room, description: args.description }
            }
            RoomCommand::Picture(args) => {
                let picture = args.file.as_deref().map(picture).transpose()?;
                Self::Picture { room: args.room.room, picture }
            }
            RoomCommand::Policy(args) => {
                let least = args.least;
                let room = args.room.room;
                Self::Policy { room, write: least.write, add: least.add, change: least.change }
            }
            RoomCommand::Transfer(args) => Self::Transfer { room: args.room.room, member: args.member },
        })
    }
}

/// Reads an image file that is small enough.
fn picture(path: &Path) -> Result<Base64, Failure> {
    let refuse = |why: String| {
        let message = format!("cannot take {} as a picture: {why}", path.display());
        Failure::usage("bad-picture", message)
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    file.take(MAX_PICTURE as u64 + 1).read_to_end(&mut bytes).map_err(|error| refuse(error.to_string()))?;
    if bytes.len() > MAX_PICTURE {
        return Err(refuse(format!("it has more than {} KiB; make it smaller", MAX_PICTURE / 1024)));
    }
    if !is_image(&bytes) {
        return Err(refuse("it is no PNG, JPEG, GIF or WebP file".to_owned()));
    }
    Ok(Base64(bytes))
}

/// Whether a file begins as an image does.
fn is_image(bytes: &[u8]) -> bool {
    let webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    webp || [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff", b"GIF8"].iter().any(|magic| bytes.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_an_image_and_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rose.png");
        assert_eq!(picture(&path).unwrap_err().code, "bad-picture");
        for (content, word) in [(b"a text".to_vec(), "PNG"), (vec![0; MAX_PICTURE + 1], "more than 32 KiB")] {
            std::fs::write(&path, content).unwrap();
            assert!(picture(&path).unwrap_err().message.contains(word));
        }
        std::fs::write(&path, b"\x89PNG\r\n\x1a\nrose").unwrap();
        assert_eq!(picture(&path).unwrap().0.len(), 12);
    }
}
