//! Why a kind gave up, and the one place where that becomes a fate.

use std::time::Duration;

use crate::{
    Error,
    queue::{Fate, Fault},
};

/// How long a job waits for a database that was away.
const OUTAGE_PAUSE: Duration = Duration::from_secs(2);

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The far side of an outbound call.
    #[error(transparent)]
    Outbound(#[from] agents::outbound::Error),
    /// The database, or the lease.
    #[error(transparent)]
    Database(#[from] Error),
    /// It can't succeed however often it is tried.
    #[error("{0}")]
    Hopeless(String),
    /// Anything else: it may work next time.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Failure {
    /// Whether the same try may go better.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Outbound(error) => {
                !matches!(error, agents::outbound::Error::Rejected { .. } | agents::outbound::Error::Blocked { .. })
            }
            Self::Database(error) => error.is_transient(),
            Self::Hopeless(_) => false,
            Self::Other(_) => true,
        }
    }

    /// What becomes of the attempt.
    pub(crate) fn fate(self) -> Fate {
        let retry = |error: String, after: Option<Duration>| Fate::Retry { error, after, fault: Fault::Error };
        match self {
            Self::Database(Error::Stale) => Fate::Stale,
            Self::Database(error @ (Error::Invalid { .. } | Error::Unstorable(_))) => Fate::Dead(error.to_string()),
            // The job did nothing wrong: an outage, or a pool with nothing free, costs it no attempt.
            Self::Database(error) if error.is_transient() => {
                Fate::Snooze { pause: OUTAGE_PAUSE, reason: error.to_string() }
            }
            Self::Database(error) => retry(error.to_string(), None),
            Self::Outbound(error) => match error {
                agents::outbound::Error::RateLimited { retry_after, .. } => retry(error.to_string(), retry_after),
                agents::outbound::Error::Rejected { .. } | agents::outbound::Error::Blocked { .. } => {
                    Fate::Cancel(error.to_string())
                }
                _ => retry(error.to_string(), None),
            },
            Self::Hopeless(reason) => Fate::Dead(reason),
            Self::Other(error) => retry(format!("{error:#}"), None),
        }
    }
}
