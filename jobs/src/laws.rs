//! The laws of the fleet, checked from a history: what was sent, answered and done. One checker for tests, fault runs and
//! whoever doubts a fleet that runs. It is pure: it reads no table and asks nobody; where the records come from is the
//! business of whoever watched, best of all not of those who are watched.

mod deliveries;
mod life;
mod record;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub use self::record::{Came, Record, Sight};
use crate::JobId;

/// What must hold whatever is taken away from a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// Every delivery answered with a job has exactly one job, and it comes to an end.
    Kept,
    /// At most one completion a job, by whoever holds it; every effect under one key, and once.
    Once,
    /// Attempts within the job's limit and the budget of crashes.
    Bounded,
    /// A delivery that was never accepted exists at most once.
    Unaccepted,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "L1",
            Self::Once => "L2",
            Self::Bounded => "L3",
            Self::Unaccepted => "L4",
        })
    }
}

/// A fault that shows in the history. What was injected but never seen proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A process came with an attempt that had been taken from it, and was refused.
    StaleAttempt,
    /// A lease ran out, and its process was held for alive.
    LeaseExpired,
    /// A lease ran out, and its process was held for dead.
    ProcessDied,
    /// A sender was told to come again.
    Unavailable,
    /// A sender got no answer at all.
    Unanswered,
}

/// One law broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// By which job.
    pub job: JobId,
    /// How.
    pub what: &'static str,
    /// What shows it, in the order of the history.
    pub records: Vec<Record>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: job {}: {}", self.law, self.job, self.what)?;
        self.records.iter().try_for_each(|record| write!(f, "\n    {record:?}"))
    }
}

/// What a history says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Laws that were broken.
    pub violations: Vec<Violation>,
    /// Faults that showed.
    pub faults: BTreeSet<Fault>,
}

impl Report {
    /// Whether the run proves anything: one in which no fault was seen doesn't, however well it went.
    #[must_use]
    pub fn counts(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Whether no law was broken.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faults seen: {:?}; laws broken: {}", self.faults, self.violations.len())?;
        self.violations.iter().try_for_each(|violation| write!(f, "\n{violation}"))
    }
}

/// Checks the history of a fleet that has come to rest: nothing waits and nothing runs any more.
#[must_use]
pub fn check(history: &[Record]) -> Report {
    let mut report = check_so_far(history);
    report.violations.extend(lives(history).into_iter().filter_map(|(job, records)| life::unfinished(job, &records)));
    report
}

/// Checks a history that goes on: jobs needn't have come to an end. What is broken stays broken.
#[must_use]
pub fn check_so_far(history: &[Record]) -> Report {
    let mut report = Report::default();
    deliveries::check(history, &mut report);
    for (job, records) in lives(history) {
        life::check(job, &records, &mut report);
    }
    report
}

/// The records of each job, in their order.
fn lives(history: &[Record]) -> BTreeMap<JobId, Vec<&Record>> {
    let mut lives = BTreeMap::<JobId, Vec<&Record>>::new();
    for record in history {
        if let Some(job) = record.job() {
            lives.entry(job).or_default().push(record);
        }
    }
    lives
}

#[cfg(test)]
mod tests;
