//! How to connect: limits of a process' connections, and what stands between it and the database. Which role a
//! transaction takes on isn't said here.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::Error;

/// How long a statement may wait for a lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transaction may stand open with nobody speaking.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Whose a session of the database is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pooling {
    /// The connection's, for as long as it stands: there is no pooler, or one that pools sessions.
    #[default]
    Session,
    /// A transaction's and no longer, as behind PgBouncer with `pool_mode = transaction`. Nothing is left in sessions: no
    /// setting, no prepared statement, no `listen`; and no statement is sent outside of a transaction.
    Transaction,
}

/// How to connect. Every limit has a default that suits one process of a small fleet.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Shown in `pg_stat_activity`.
    pub application_name: &'static str,
    /// Connections at most.
    pub connections_max: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
    /// The server ends statements after this long.
    pub statement_timeout: Duration,
    /// The client gives a whole call up after this long, and any one statement.
    pub deadline: Duration,
    /// What stands between this process and the database. Default: nothing.
    pub pooling: Pooling,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            application_name: "vtoc",
            connections_max: 8,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(8),
            deadline: Duration::from_secs(10),
            pooling: Pooling::Session,
        }
    }
}

impl ConnectOptions {
    /// The driver's options for `url`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a URL that isn't one.
    pub(crate) fn parse(&self, url: &str) -> Result<PgConnectOptions, Error> {
        let parsed: PgConnectOptions = url
            .parse()
            .map_err(|_| Error::invalid("DATABASE_URL", "expected postgres://user:password@host:port/database"))?;
        let parsed = parsed.application_name(self.application_name);
        Ok(match self.pooling {
            Pooling::Session => {
                let limits = self.limits().map(|(name, limit)| (name, limit.as_millis().to_string()));
                parsed.options(limits)
            }
            // A pooler refuses parameters that it doesn't keep apart for each client.
            Pooling::Transaction => parsed.extra_float_digits(None).statement_cache_capacity(0),
        })
    }

    /// What opens a transaction, up to its role: behind a transaction pooler, it brings its limits along.
    pub(crate) fn opening(&self) -> String {
        let mut opening = "begin; ".to_owned();
        if self.pooling == Pooling::Transaction {
            for (name, limit) in self.limits() {
                opening.push_str(&format!("set local {name} = {}; ", limit.as_millis()));
            }
        }
        opening
    }

    /// The server's own limits, which end what the client forgot.
    fn limits(&self) -> [(&'static str, Duration); 3] {
        [
            ("statement_timeout", self.statement_timeout),
            ("lock_timeout", LOCK_TIMEOUT),
            ("idle_in_transaction_session_timeout", IDLE_TIMEOUT),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_go_with_the_session_or_with_the_transaction_and_never_with_both() {
        let mut options = ConnectOptions::default();
        let url = "postgres://a:b@localhost/c";
        assert!(options.parse(url).unwrap().get_options().is_some_and(|sent| sent.contains("statement_timeout=8000")));
        assert_eq!(options.opening(), "begin; ");
        options.pooling = Pooling::Transaction;
        assert_eq!(options.parse(url).unwrap().get_options(), None);
        assert!(options.opening().starts_with("begin; set local statement_timeout = 8000; set local lock_timeout"));
    }
}
