//! What the tables of live jobs repeat of a job, in columns: with these a job that has left its lease is put among the ready
//! or the waiting ones again.

use super::settle::Settled;

/// See the module; one value a job in each.
#[derive(Default)]
pub(super) struct Standing<'a> {
    pub(super) key: Vec<i64>,
    pub(super) queue: Vec<&'a str>,
    pub(super) kind: Vec<&'a str>,
    pub(super) station: Vec<Option<i64>>,
    pub(super) priority: Vec<i16>,
    pub(super) keyed: Vec<bool>,
    pub(super) awaited: Vec<bool>,
    /// Attempts burned.
    pub(super) attempt: Vec<i16>,
    pub(super) attempts_max: Vec<i16>,
    pub(super) suspect: Vec<bool>,
    pub(super) crash_count: Vec<i16>,
}

impl<'a> Standing<'a> {
    /// Adds a job whose attempt is `burned` or not.
    pub(super) fn push(&mut self, settled: &Settled<'a>, burned: bool) {
        let held = &settled.outcome.held;
        self.key.push(held.key);
        self.queue.push(&held.queue);
        self.kind.push(&held.kind);
        self.station.push(held.station.map(|station| station.0));
        self.priority.push(held.priority);
        self.keyed.push(held.keyed);
        self.awaited.push(held.awaited);
        self.attempt.push(if burned { held.attempt } else { held.attempt - 1 });
        self.attempts_max.push(held.attempts_max);
        self.suspect.push(settled.lease.suspect);
        self.crash_count.push(settled.lease.crash_count);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.key.is_empty()
    }
}
