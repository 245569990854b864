//! What a run's templates can see: `params`, `station`, `run` and the results so far as `steps`. Nothing else: no
//! environment, no clock, no secrets.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Role;

/// What a run's templates can see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// From [`super::parameters`].
    pub params: Map<String, Value>,
    /// Where it runs.
    pub station: Station,
    /// Who asked.
    pub run: Run,
    /// The results of finished steps by id; a skipped step's is null.
    pub results: BTreeMap<String, Value>,
}

/// The station a run belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Station {
    /// `toc-s1`.
    pub slug: String,
    /// What people call it.
    pub callsign: String,
    /// What it is for.
    pub role: Role,
    /// Its default channel.
    pub channel: String,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id, as shown to people.
    pub id: String,
    /// When it began; the same each time a step of it is repeated.
    pub started_at: DateTime<Utc>,
    /// The channel it was asked for in.
    #[serde(default)]
    pub channel: Option<String>,
    /// The thread it was asked for in.
    #[serde(default)]
    pub thread: Option<String>,
    /// Who asked.
    #[serde(default)]
    pub requested_by: Option<String>,
}

/// The names under `station`, for the check of references.
pub(super) const STATION_FIELDS: &[&str] = &["slug", "callsign", "role", "channel"];
/// The names under `run`, for the check of references.
pub(super) const RUN_FIELDS: &[&str] = &["id", "started_at", "channel", "thread", "requested_by"];

impl Context {
    /// As templates see it.
    pub(crate) fn to_value(&self) -> Value {
        json!({"params": self.params, "station": self.station, "run": self.run, "steps": self.results})
    }
}
