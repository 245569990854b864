//! The three station roles. What a role may do is decided by playbooks (`roles`) and by the database, not here.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a station is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Operations.
    Ops,
    /// Intelligence.
    Intel,
    /// Logistics.
    Logistics,
}

impl Role {
    /// The word used in configuration, in URLs and as the schema's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ops => "ops",
            Self::Intel => "intel",
            Self::Logistics => "logistics",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected ops, intel or logistics")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        [Self::Ops, Self::Intel, Self::Logistics].into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}
