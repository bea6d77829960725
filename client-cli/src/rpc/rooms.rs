//! The methods of rooms of many: a part of the table.

use super::method::Kind::{Aliases, Bytes, Flag, Number, Person, Persons, Role, Suite, Text};
use super::method::{Method, Param, Shape, optional, required};

const TIMEOUT: Param = optional("timeout_ms", Number, "how long to try to have it done, milliseconds");
const OFFLINE: Param = optional("offline", Flag, "answers from the vault without asking the relay first");
const ROOM: Param = required("room", Text, "the room's name, its id, or the first 8 digits of that or more");
const MEMBER: Param = required("member", Person, "whom");

const CHANGE: Shape = Shape::One { of: "change" };
const CHANGES: Shape = Shape::List { field: "changes", of: "change" };
const PROFILE: Shape = Shape::One { of: "room-profile" };

/// Everything that is done with rooms of many.
pub(super) const METHODS: [Method; 14] = [
    Method {
        name: "room_create",
        does: "makes a group, or a room for announcements",
        params: &[
            required("name", Text, "its name"),
            optional("members", Aliases, "who is to come into it"),
            optional("announcement", Flag, "only admins and owners write in it"),
            optional("suite", Suite, "its ciphersuite; the classic one admits more devices"),
            optional("description", Text, "what it is about"),
            TIMEOUT,
        ],
        result: Shape::One { of: "room-created" },
    },
    Method {
        name: "room_show",
        does: "tells all of a room: who is in it, who may do what, and which changes wait",
        params: &[ROOM, TIMEOUT, OFFLINE],
        result: Shape::One { of: "room-details" },
    },
    Method {
        name: "room_add",
        does: "adds people",
        params: &[ROOM, required("members", Aliases, "whom"), TIMEOUT],
        result: CHANGES,
    },
    Method {
        name: "room_remove",
        does: "removes people",
        params: &[ROOM, required("members", Persons, "whom"), TIMEOUT],
        result: CHANGES,
    },
    Method {
        name: "room_leave",
        does: "leaves a room",
        params: &[ROOM, TIMEOUT],
        result: Shape::One { of: "room-left" },
    },
    Method {
        name: "room_promote",
        does: "makes somebody an admin, or an owner",
        params: &[ROOM, MEMBER, optional("owner", Flag, "makes them an owner"), TIMEOUT],
        result: CHANGE,
    },
    Method {
        name: "room_demote",
        does: "takes somebody's role away",
        params: &[ROOM, MEMBER, TIMEOUT],
        result: CHANGE,
    },
    Method {
        name: "room_ban",
        does: "removes somebody, and lets nobody add them again",
        params: &[ROOM, MEMBER, TIMEOUT],
        result: CHANGE,
    },
    Method { name: "room_unban", does: "lifts a ban", params: &[ROOM, MEMBER, TIMEOUT], result: CHANGE },
    Method {
        name: "room_rename",
        does: "gives a room another name",
        params: &[ROOM, required("name", Text, "the name from now on"), TIMEOUT],
        result: PROFILE,
    },
    Method {
        name: "room_describe",
        does: "says what a room is about",
        params: &[ROOM, required("description", Text, "what it is about"), TIMEOUT],
        result: PROFILE,
    },
    Method {
        name: "room_picture",
        does: "gives a room a picture; without one, takes it away",
        params: &[ROOM, optional("picture", Bytes, "an image file of at most 32 KiB"), TIMEOUT],
        result: PROFILE,
    },
    Method {
        name: "room_policy",
        does: "changes who may do what; what is not given stays",
        params: &[
            ROOM,
            optional("write", Role, "the least role that writes"),
            optional("add", Role, "the least role that adds people"),
            optional("change", Role, "the least role that changes name, picture and settings"),
            TIMEOUT,
        ],
        result: CHANGE,
    },
    Method {
        name: "room_transfer",
        does: "makes somebody else the owner; this account stays as an admin",
        params: &[ROOM, MEMBER, TIMEOUT],
        result: CHANGE,
    },
];
