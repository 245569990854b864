//! What can go wrong in a call into this package, said in terms of what the caller can do about it.

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database can't be reached or didn't answer within its deadline: try again later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The database is there, and somebody else's locks were in the way: try again.
    #[error("somebody else's locks were in the way: {0}")]
    Contended(String),
    /// A row's day has no partition yet. It is made by whoever meets this: try again.
    #[error("the database has no place for that day yet: {0}")]
    NoDay(String),
    /// A page cursor that no answer of ours contained.
    #[error("the cursor is not one of ours")]
    BadCursor,
    /// An argument outside what the field accepts.
    #[error("{field}: {detail}")]
    Invalid {
        /// The argument's name.
        field: &'static str,
        /// What it should have been.
        detail: String,
    },
    /// The attempt's lease is gone: nothing was written, and nothing of this attempt counts any more.
    #[error("the lease of this attempt is gone")]
    Stale,
    /// The database can't take a value it was given, and won't however often it is tried.
    #[error("the database can't take a value: {0}")]
    Unstorable(String),
    /// A defect, or a database that isn't ours.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// An [`Error::Invalid`] for `field`.
    pub fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid { field, detail: detail.into() }
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Contended(_) | Self::NoDay(_))
    }

    /// Whether the call failed because the database wasn't there, as far as the caller can tell.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// SQLSTATE classes of a server that is going away, out of resources, or was told to stop the statement.
fn passes_with_time(code: &str) -> bool {
    matches!(code.get(..2), Some("08" | "53" | "57" | "58"))
}

/// SQLSTATEs of a serialization failure, a deadlock, and a lock that wasn't free in time.
fn is_in_the_way(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "55P03")
}

/// SQLSTATE classes of values out of range, of the wrong form, too large, or against a constraint.
fn blames_a_value(code: &str) -> bool {
    matches!(code.get(..2), Some("22" | "23" | "54"))
}

/// A check violation without a constraint is a row that fits no partition.
fn misses_a_day(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().is_some_and(|code| code == "23514") && error.constraint().is_none()
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.to_string()),
            // A connection cut in the middle of a message.
            sqlx::Error::Protocol(_) => Self::Unavailable(error.to_string()),
            sqlx::Error::Database(database) if database.code().is_some_and(|code| passes_with_time(&code)) => {
                Self::Unavailable(database.message().to_owned())
            }
            sqlx::Error::Database(database) if database.code().is_some_and(|code| is_in_the_way(&code)) => {
                Self::Contended(database.message().to_owned())
            }
            sqlx::Error::Database(database) if misses_a_day(database.as_ref()) => {
                Self::NoDay(database.message().to_owned())
            }
            sqlx::Error::Database(database) if database.code().is_some_and(|code| blames_a_value(&code)) => {
                Self::Unstorable(database.message().to_owned())
            }
            sqlx::Error::Encode(_) => Self::Unstorable(error.to_string()),
            _ => Self::Internal(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shutdowns_and_full_disks_pass_but_syntax_errors_stay() {
        assert!(["57P01", "53100", "08006"].into_iter().all(passes_with_time));
        assert!(!["42601", "23505", "40P01", "", "5"].into_iter().any(passes_with_time));
    }

    #[test]
    fn a_deadlock_and_a_lock_that_was_not_free_are_tried_again_and_are_no_outage() {
        assert!(["40001", "40P01", "55P03"].into_iter().all(is_in_the_way));
        let contended = Error::Contended("deadlock detected".to_owned());
        assert!(contended.is_transient() && !contended.is_outage());
    }
}
