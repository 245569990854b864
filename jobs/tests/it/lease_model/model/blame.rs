//! Deaths: which leases a sweep takes, who is blamed for them, and how blame is taken back.

use std::{borrow::Cow, collections::BTreeSet};

use jobs::queue::{CRASHES_MAX, sweep::Swept};

use super::{Job, LEASE_S, Lease, Model, NEVER, Place, Process, Seat, Token};

impl Model {
    /// The process is gone, and with it what it had not committed.
    pub(super) fn die(&mut self, process: Process, reported: bool) {
        self.open.remove(&process);
        if reported {
            self.processes.entry(process).and_modify(|seat| seat.seen_s = NEVER);
            self.leases.values_mut().filter(|lease| lease.process == process).for_each(|lease| lease.until_s = NEVER);
        }
    }

    pub(super) fn sweep(&mut self, blame: bool) -> Swept {
        let expired: Vec<(Token, Process)> = self
            .leases
            .iter()
            .filter(|(_, lease)| self.is_taken(lease))
            .map(|(token, lease)| (*token, lease.process))
            .collect();
        let died_with = |process: Process| self.processes.get(&process).map_or(0, |seat| seat.died_with);
        let in_flight: Vec<usize> =
            expired.iter().map(|(_, process)| self.in_flight(*process).max(died_with(*process))).collect();
        let mut swept = Swept::default();
        for ((token, process), in_flight) in expired.into_iter().zip(in_flight) {
            let lost = !self.lives(process);
            // Alone, and known to be.
            let counts = lost && blame && in_flight == 1;
            // A lease is left alone while an effect holds one of its jobs.
            if self.open.values().any(|(open, _)| self.holds(*open, token)) {
                continue;
            }
            for job in 0..self.jobs.len() {
                if self.holds(job, token) {
                    self.take_back(job, token, lost, counts, &mut swept);
                    if lost {
                        self.processes.entry(process).and_modify(|seat| seat.died_with = in_flight);
                    }
                }
            }
            self.drop_if_empty(token);
        }
        swept
    }

    fn take_back(&mut self, number: Job, token: Token, lost: bool, counts: bool, swept: &mut Swept) {
        let job = &mut self.jobs[number];
        let outcome = if lost { "crashed" } else { "given_up" };
        self.attempts.insert((number, token), (job.attempt, Cow::Borrowed(outcome)));
        if counts {
            job.crash_count += 1;
            self.counted.insert((number, token));
        }
        if job.crash_count >= CRASHES_MAX {
            job.place = Place::Dead;
            swept.dead += 1;
            return;
        }
        job.place = Place::Ready { run_at_s: self.now_s, due: true };
        job.attempt -= 1;
        job.suspect |= lost;
        swept.again += 1;
        swept.suspects += i64::from(lost && !counts);
    }

    /// Leases of a dead process go together, once the last of them has run out.
    fn is_taken(&self, lease: &Lease) -> bool {
        let standing = |other: &Lease| other.process == lease.process && other.until_s >= self.now_s;
        lease.until_s < self.now_s && (self.is_seen(lease.process) || !self.leases.values().any(standing))
    }

    fn in_flight(&self, process: Process) -> usize {
        let ours = |place: Place| matches!(place, Place::Running { process: holder, .. } if holder == process);
        self.jobs.iter().filter(|job| ours(job.place)).count()
    }

    fn is_seen(&self, process: Process) -> bool {
        self.processes.get(&process).is_some_and(|seat| seat.seen_s + LEASE_S > self.now_s)
    }

    fn lives(&self, process: Process) -> bool {
        self.is_seen(process) || self.processes.get(&process).is_some_and(|Seat { stopped, .. }| *stopped)
    }

    /// The crash becomes a lease given up; what it counted, if it did, is taken back, and so is the suspicion unless another
    /// crash speaks against the job.
    pub(super) fn clear_blame(&mut self, stale: &[(Job, Token)]) -> usize {
        let crashed = |model: &Self, at: &(Job, Token)| model.attempts.get(at).is_some_and(|(_, how)| how == "crashed");
        let cleared: BTreeSet<(Job, Token)> = stale.iter().filter(|at| crashed(self, at)).copied().collect();
        for (number, token) in &cleared {
            self.attempts.entry((*number, *token)).and_modify(|(_, outcome)| *outcome = Cow::Borrowed("given_up"));
            let counted = self.counted.remove(&(*number, *token));
            let suspect = self.attempts.iter().any(|((job, _), (_, how))| job == number && how == "crashed");
            let job = &mut self.jobs[*number];
            if !job.place.is_terminal() {
                job.suspect = suspect;
                job.crash_count -= i16::from(counted);
            }
        }
        cleared.len()
    }
}
