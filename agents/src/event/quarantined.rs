//! Input that isn't an event. It is kept with the reason and the original, so that it can be looked at and read again;
//! it never stops the input around it.

use serde::{Deserialize, Serialize};

/// Why input was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Not the format at all: wrong number of columns, broken JSON, a value of the wrong type.
    Malformed,
    /// The entity's id is missing or impossible.
    Entity,
    /// Not a number, infinite, or out of any possible range.
    Number,
    /// No such place on earth.
    Position,
    /// A time that can't be read or doesn't exist on that clock.
    Time,
    /// Too far in the future.
    Future,
    /// One line or record is longer than its limit; it was skipped.
    TooLong,
    /// The input is longer than its limit; what follows was not read.
    Overflow,
    /// The input broke off: a damaged archive, a failing disk. What follows was not read.
    Unreadable,
}

impl Code {
    /// The word stored in the database and shown to people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Entity => "entity",
            Self::Number => "number",
            Self::Position => "position",
            Self::Time => "time",
            Self::Future => "future",
            Self::TooLong => "too_long",
            Self::Overflow => "overflow",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Input that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Why, for programs.
    pub code: Code,
    /// Why, for people.
    pub detail: String,
    /// What came in, control characters escaped, at most [`super::RAW_BYTES_MAX`] bytes.
    pub raw: String,
}

impl Quarantined {
    /// Refuses `raw`, which may be any text.
    pub fn new(code: Code, detail: impl Into<String>, raw: &str) -> Self {
        Self { code, detail: detail.into(), raw: super::seal::printable(raw).0 }
    }
}
