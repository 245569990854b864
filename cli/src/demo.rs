//! The demonstration: a fleet in a temporary folder, and the story of one message that is followed through it by its doors.

mod facts;
mod fleet;
pub(crate) mod story;

pub(crate) use self::fleet::{Address, Fleet};
