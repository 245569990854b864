//! What can come of a call, by what the caller can do about it. Neither secrets nor what the other side wrote is in
//! any of it.

use std::{error::Error as _, time::Duration};

use super::resolver::NoPublicAddress;

/// Why there is no answer to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Try again later: no connection, no whole answer in time, or a 5xx.
    #[error("{host} is unreachable: {why}")]
    Unreachable {
        /// The host.
        host: String,
        /// What happened.
        why: String,
    },
    /// Try again when the other side says: 429, or 503 with a time.
    #[error("{host} asks to wait")]
    RateLimited {
        /// The host.
        host: String,
        /// As the other side says, however absurd; the caller clamps it.
        retry_after: Option<Duration>,
    },
    /// Don't try again: the other side refuses this request. A redirect is a refusal.
    #[error("{host} answered {status}")]
    Rejected {
        /// The host.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// Don't try again: an answer came and isn't what was agreed, or is too long.
    #[error("{host} sent an answer that can't be used: {why}")]
    Malformed {
        /// The host.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// Don't try again: the policy doesn't allow this address. Nothing was sent.
    #[error("{host} is not a public host and not on the list of allowed ones")]
    Blocked {
        /// The host.
        host: String,
    },
}

impl Error {
    pub(super) fn of_transport(host: &str, error: &reqwest::Error) -> Self {
        let host = host.to_owned();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let refused = inner.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
            if inner.is::<NoPublicAddress>() || refused.is_some_and(|inner| inner.is::<NoPublicAddress>()) {
                return Self::Blocked { host };
            }
            cause = inner.source();
        }
        let why = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "no connection"
        } else {
            "the connection broke"
        };
        Self::Unreachable { host, why: why.into() }
    }
}
