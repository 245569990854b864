//! Ids. Tables key jobs on a bigint; people see a UUIDv7 that carries the same number, so that no second index is needed
//! to find a job by the id a client kept.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A station's key in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StationId(pub i64);

/// What a job is called outside the database: a UUIDv7 of the moment it was enqueued (milliseconds, then 12 bits of
/// the fraction below, RFC 9562 method 3) whose last 62 bits are its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

const KEY_BITS: u128 = (1 << 62) - 1;

impl JobId {
    /// The id of the job with this key that was enqueued then.
    #[must_use]
    pub fn new(key: i64, enqueued_at: DateTime<Utc>) -> Self {
        let micros = u64::try_from(enqueued_at.timestamp_micros()).unwrap_or(0);
        let (millis, rest) = (micros / 1_000, micros % 1_000);
        let fraction = u128::from(rest * 4_096 / 1_000);
        let key = u128::from(key.unsigned_abs()) & KEY_BITS;
        Self(Uuid::from_u128((u128::from(millis) << 80) | (7 << 76) | (fraction << 64) | (2 << 62) | key))
    }

    /// The job's key in the database. Whether the rest of the id is true of it, [`JobId::matches`] says.
    #[must_use]
    pub fn key(self) -> i64 {
        i64::try_from(self.0.as_u128() & KEY_BITS).expect("62 bits fit")
    }

    /// Whether the job with this id's key, enqueued then, is the one meant.
    #[must_use]
    pub fn matches(self, enqueued_at: DateTime<Utc>) -> bool {
        self == Self::new(self.key(), enqueued_at)
    }

    /// The UUID itself, for columns that hold it.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for JobId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_v7_that_gives_the_key_back() {
        let at = DateTime::from_timestamp_micros(1_795_335_405_123_999).unwrap();
        let id = JobId::new(42, at);
        assert_eq!(id.uuid().get_version_num(), 7);
        assert_eq!(id.uuid().get_variant(), uuid::Variant::RFC4122);
        assert_eq!(id.key(), 42);
        assert!(id.matches(at));
        assert!(!id.matches(at + chrono::Duration::milliseconds(1)));
    }

    #[test]
    fn ids_sort_by_enqueue_time_then_key() {
        let at = DateTime::from_timestamp_micros(1_795_335_405_000_000).unwrap();
        assert!(JobId::new(9, at) < JobId::new(10, at));
        assert!(JobId::new(10, at) < JobId::new(9, at + chrono::Duration::microseconds(300)));
    }
}
