//! What becomes of ticks that nobody was there for: the policies, and which ticks of an overdue schedule become jobs. Pure.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use super::timetable::{Tick, Timetable};
use crate::Error;

/// A tick that is later than this was missed; a restart or a failover doesn't take as long.
pub const GRACE: Duration = Duration::from_secs(30);
/// Missed ticks that become jobs, at most.
pub const MISSED_MAX: u16 = 500;
/// The same where nothing else is said.
const MISSED_DEFAULT: u16 = 100;
/// Ticks that may be due and not missed: one a second, and the two at the ends.
const TIMELY_MAX: usize = 32;

/// What becomes of missed ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    /// Nothing.
    Skip,
    /// One job for all of them: the latest tick's.
    #[default]
    Once,
    /// A job each, the latest first, up to so many (at most [`MISSED_MAX`]).
    All(u16),
}

impl FromStr for Missed {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bound = match text {
            "skip" => return Ok(Self::Skip),
            "once" => return Ok(Self::Once),
            "all" => Some(MISSED_DEFAULT),
            _ => text.strip_prefix("all:").and_then(|bound| bound.parse().ok()),
        };
        bound.map(Self::All).ok_or_else(|| refused(text))?.check()
    }
}

impl Missed {
    /// The policy, unless its bound is none.
    pub(super) fn check(self) -> Result<Self, Error> {
        match self {
            Self::All(bound) if !(1..=MISSED_MAX).contains(&bound) => Err(refused(&self.to_string())),
            sound => Ok(sound),
        }
    }
}

fn refused(text: &str) -> Error {
    Error::invalid("missed", format!("{text:?} is not skip, once, all, or all:1 to all:{MISSED_MAX}"))
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip => f.write_str("skip"),
            Self::Once => f.write_str("once"),
            Self::All(bound) => write!(f, "all:{bound}"),
        }
    }
}

/// What an overdue schedule comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Ticks that become jobs, in order.
    pub(super) ticks: Vec<DateTime<Utc>>,
    /// Whether ticks were missed, whatever became of them.
    pub(super) missed: bool,
    /// What comes then; nothing when it never ticks again.
    pub(super) next: Option<Tick>,
}

/// What the schedule comes to at `now`, whose first tick that isn't dealt with yet is `first`.
pub(super) fn due(timetable: &Timetable, policy: Missed, first: DateTime<Utc>, now: DateTime<Utc>) -> Due {
    let kept = match policy {
        Missed::Skip | Missed::Once => 1,
        Missed::All(bound) => usize::from(bound),
    };
    let mut ticks: Vec<Tick> =
        latest(timetable, first, now, kept + TIMELY_MAX).into_iter().map(|at| timetable.tick(at)).collect();
    // A job is enqueued before the next tick, so no other than the last one's time may still come.
    let pending = ticks.pop_if(|tick| tick.run_at > now);
    let on_time = ticks.partition_point(|tick| tick.run_at + GRACE < now);
    let (missed, timely) = ticks.split_at(on_time);
    let chosen = match policy {
        Missed::Once if !missed.is_empty() => &ticks[ticks.len() - 1..],
        Missed::All(_) => &ticks[missed.len().saturating_sub(kept)..],
        Missed::Skip | Missed::Once => timely,
    };
    let ticks = chosen.iter().map(|tick| tick.at).collect();
    Due { ticks, missed: !missed.is_empty(), next: pending.or_else(|| timetable.next_after(now)) }
}

/// The last `count` ticks from `first` to `until`. Where they begin is searched for by halves, so that it takes about as long
/// whether an hour was missed or a year.
fn latest(timetable: &Timetable, first: DateTime<Utc>, until: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
    let behind = |from: DateTime<Utc>| {
        std::iter::successors(timetable.moment_after(from), |at| timetable.moment_after(*at))
            .take_while(|at| *at <= until)
            .take(count + 1)
            .collect::<Vec<_>>()
    };
    let (mut from, mut few) = (first - TimeDelta::seconds(1), until);
    let mut found = behind(from);
    // Ticks are seconds: of two instants no further apart, the first has no more than one tick more.
    while found.len() > count {
        let middle = from + (few - from) / 2;
        let closer = behind(middle);
        if closer.len() < count {
            few = middle;
        } else {
            (from, found) = (middle, closer);
        }
    }
    found
}
