//! A schedule's ticks and when the job of each is enqueued: expression, zone, jitter. Pure, and a function of the instant
//! alone: whoever asks for the tick after an instant gets the same answer, whatever happened before.

use std::time::Duration;

use agents::durations;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    expression::{Expression, Meaning},
    ticks,
};
use crate::Error;

/// The longest jitter.
pub const JITTER_MAX: Duration = Duration::from_secs(86_400);

/// When a schedule ticks.
#[derive(Debug, Clone)]
pub struct Timetable {
    /// The schedule's name, which its jitter is drawn from.
    pub name: String,
    /// What somebody wrote.
    pub expression: Expression,
    /// Whose local time cron fields are about.
    pub zone: Tz,
    /// When the expression was given, to the second.
    pub anchor: DateTime<Utc>,
    /// The job of a tick is enqueued up to so much later; at most [`JITTER_MAX`].
    pub jitter: Duration,
}

/// One tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tick {
    /// What the expression says.
    pub at: DateTime<Utc>,
    /// When its job is enqueued: the same and its jitter.
    pub run_at: DateTime<Utc>,
}

impl Timetable {
    /// The first tick there is.
    #[must_use]
    pub fn first(&self) -> Option<Tick> {
        match &self.expression.meaning {
            Meaning::Now => Some(self.tick(self.anchor)),
            _ => self.next_after(self.anchor),
        }
    }

    /// The first tick after `after`.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<Tick> {
        self.moment_after(after).map(|at| self.tick(at))
    }

    /// The `count` ticks after `after`, or as many as there are.
    #[must_use]
    pub fn upcoming(&self, after: DateTime<Utc>, count: usize) -> Vec<Tick> {
        std::iter::successors(self.next_after(after), |tick| self.next_after(tick.at)).take(count).collect()
    }

    pub(super) fn moment_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.expression.meaning {
            Meaning::Now => Some(self.anchor).filter(|anchor| *anchor > after),
            Meaning::Every(interval) => {
                let interval_s = i64::try_from(interval.as_secs()).ok()?;
                let passed = after.signed_duration_since(self.anchor).num_seconds().div_euclid(interval_s);
                self.anchor
                    .checked_add_signed(TimeDelta::try_seconds(passed.max(0).checked_add(1)?.checked_mul(interval_s)?)?)
            }
            Meaning::Cron(fields) => ticks::next_after(fields, self.zone, after),
        }
    }

    /// The tick at `at`. Its job is enqueued before the next tick, so that the order of ticks is that of their jobs.
    pub(super) fn tick(&self, at: DateTime<Utc>) -> Tick {
        let mut bound = self.jitter;
        if !bound.is_zero()
            && let Some(next) = self.moment_after(at)
        {
            bound = bound.min((next - at).to_std().unwrap_or_default());
        }
        Tick { at, run_at: at + share(&self.name, at, bound) }
    }
}

/// Reads a jitter like `30s`, at most [`JITTER_MAX`].
///
/// # Errors
/// [`Error::Invalid`] when it is none, or longer.
pub fn jitter(text: &str) -> Result<Duration, Error> {
    check_jitter(durations::parse(text).map_err(|detail| Error::invalid("jitter", detail))?)
}

pub(super) fn check_jitter(bound: Duration) -> Result<Duration, Error> {
    if bound > JITTER_MAX {
        return Err(Error::invalid("jitter", "at most 24 hours"));
    }
    Ok(bound)
}

/// A part of `bound` that looks random and is always the same for this tick of this schedule; whole milliseconds.
fn share(name: &str, at: DateTime<Utc>, bound: Duration) -> Duration {
    let digest =
        Sha256::new().chain_update(name).chain_update([0]).chain_update(at.timestamp().to_be_bytes()).finalize();
    let drawn = u64::from_be_bytes(digest[..8].try_into().expect("a digest is longer"));
    let millis = (u128::from(drawn) * bound.as_millis()) >> 64;
    Duration::from_millis(u64::try_from(millis).expect("less than the bound"))
}
