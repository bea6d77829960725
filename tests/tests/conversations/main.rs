//! A day of chat: three relays, five people, and what they do with each other, told from the surface of the program.

mod day;
mod groups;
mod weather;
