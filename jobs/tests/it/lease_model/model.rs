//! The lease protocol as a few rules over plain values: what docs/queue-design.md says, with neither SQL nor time of its
//! own. Who is to blame for a death stands in `blame`.

mod blame;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use jobs::queue::cancel::Cancelled;

use super::call::{
    ASKED_S, Answer, BACKOFF_BASE_S, Call, Came, Delivery, Heard, Job, LEASE_S, Place, Process, Queue, SNOOZE_S, Seen,
    Standing, Token,
};

/// Long before any time.
const NEVER: i64 = i64::MIN / 2;

#[derive(Debug, Default)]
pub(crate) struct Model {
    now_s: i64,
    jobs: Vec<ModelJob>,
    keys: BTreeMap<u8, Job>,
    /// Leases that have jobs; an empty one is gone.
    leases: BTreeMap<Token, Lease>,
    tokens: usize,
    processes: BTreeMap<Process, Seat>,
    /// Effects under way: by whom, of which job, and whether there is something to write.
    open: BTreeMap<Process, (Job, bool)>,
    attempts: BTreeMap<(Job, Token), (i16, Cow<'static, str>)>,
    /// Attempts that raised their job's crash count.
    counted: BTreeSet<(Job, Token)>,
}

#[derive(Debug)]
struct ModelJob {
    place: Place,
    attempt: i16,
    attempts_max: i16,
    priority: i16,
    crash_count: i16,
    suspect: bool,
    called_off: bool,
    effects: usize,
}

#[derive(Debug)]
struct Lease {
    process: Process,
    until_s: i64,
}

#[derive(Debug)]
struct Seat {
    seen_s: i64,
    stopped: bool,
    /// Jobs in flight when some of them were first taken for lost.
    died_with: usize,
}

impl Queue for Model {
    fn perform(&mut self, call: &Call) -> Answer {
        match call {
            Call::Start { process } => {
                self.processes.insert(*process, Seat { seen_s: self.now_s, stopped: false, died_with: 0 });
            }
            Call::Die { process, reported } => self.die(*process, *reported),
            Call::Retire { process } => {
                self.open.remove(process);
                self.processes.entry(*process).and_modify(|seat| (seat.seen_s, seat.stopped) = (self.now_s, true));
            }
            Call::Enqueue { delivery, heard } => return self.enqueue(*delivery, *heard),
            Call::Look { process } => return self.look(*process),
            Call::Claim { process, limit } => return self.claim(*process, *limit),
            Call::ClaimSuspect { process, among_equals } => return self.claim_suspect(*process, *among_equals),
            Call::Renew { process, tokens } => return self.renew(*process, tokens),
            Call::Finish { results } => return self.finish(results),
            Call::Overrule { job, token } => _ = self.finish(&[(*job, *token, Came::TimedOut)]),
            Call::Lock { process, job, token } => return self.lock(*process, *job, *token),
            Call::Commit { process, .. } => self.commit(*process),
            Call::Complete { process, job, token } => {
                self.commit(*process);
                self.finish(&[(*job, *token, Came::Done)]);
            }
            Call::Drop { process } => _ = self.open.remove(process),
            Call::Scribble { job } => self.jobs[*job].effects += 1,
            Call::Sweep { blame } => return Answer::Swept(self.sweep(*blame)),
            Call::Cancel { job } => return Answer::Cancelled(self.cancel(*job)),
            Call::ClearBlame { stale } => return Answer::Cleared(self.clear_blame(stale)),
            Call::Pass { seconds } => self.now_s += seconds,
        }
        Answer::Nothing
    }

    fn seen(&mut self) -> Seen {
        let standing = |job: &ModelJob| {
            let lives = !job.place.is_terminal();
            Standing {
                place: job.place,
                attempt: job.attempt,
                crash_count: if lives { job.crash_count } else { 0 },
                suspect: lives && job.suspect,
                effects: job.effects,
            }
        };
        Seen { jobs: self.jobs.iter().map(standing).enumerate().collect(), attempts: self.attempts.clone() }
    }
}

impl Model {
    fn enqueue(&mut self, delivery: Delivery, heard: Heard) -> Answer {
        if heard == Heard::Unavailable {
            return Answer::Nothing;
        }
        if let Some(job) = self.keys.get(&delivery.number) {
            return Answer::Enqueued { job: *job, fresh: false };
        }
        let job = self.jobs.len();
        self.keys.insert(delivery.number, job);
        self.jobs.push(ModelJob {
            place: Place::Ready { run_at_s: self.now_s + delivery.delay_s, due: delivery.delay_s == 0 },
            attempt: 0,
            attempts_max: delivery.attempts_max,
            priority: delivery.priority,
            crash_count: 0,
            suspect: false,
            called_off: false,
            effects: 0,
        });
        Answer::Enqueued { job, fresh: true }
    }

    fn look(&mut self, process: Process) -> Answer {
        let (mut promoted, mut next_due_in_s) = (0, None::<i64>);
        for job in &mut self.jobs {
            if let Place::Ready { run_at_s, due: due @ false } = &mut job.place {
                if *run_at_s <= self.now_s {
                    (*due, promoted) = (true, promoted + 1);
                } else {
                    let wait = *run_at_s - self.now_s;
                    next_due_in_s = Some(next_due_in_s.map_or(wait, |next| next.min(wait)));
                }
            }
        }
        let heard = |(job, known): (Job, &ModelJob)| {
            let ours = matches!(known.place, Place::Running { process: holder, .. } if holder == process);
            (ours && known.called_off).then_some(job)
        };
        Answer::Looked { promoted, next_due_in_s, called_off: self.jobs.iter().enumerate().filter_map(heard).collect() }
    }

    /// Higher priority first, then due longest, then enqueued first.
    fn claim(&mut self, process: Process, limit: usize) -> Answer {
        let mut due: Vec<(i16, i64, Job)> =
            self.due(false).map(|(job, run_at_s)| (-self.jobs[job].priority, run_at_s, job)).collect();
        due.sort_unstable();
        self.lease(process, due.into_iter().take(limit).map(|(_, _, job)| job).collect())
    }

    /// One that has been due longest.
    fn claim_suspect(&mut self, process: Process, among_equals: Option<Job>) -> Answer {
        let longest = self.due(true).map(|(_, run_at_s)| run_at_s).min();
        let equals: Vec<Job> =
            self.due(true).filter(|(_, run_at_s)| Some(*run_at_s) == longest).map(|(job, _)| job).collect();
        let wished = among_equals.filter(|job| equals.contains(job));
        self.lease(process, wished.or(equals.first().copied()).into_iter().collect())
    }

    /// Jobs that may run now, and since when.
    fn due(&self, suspect: bool) -> impl Iterator<Item = (Job, i64)> {
        self.jobs.iter().enumerate().filter_map(move |(number, job)| match job.place {
            Place::Ready { run_at_s, due: true } if job.suspect == suspect => Some((number, run_at_s)),
            _ => None,
        })
    }

    fn lease(&mut self, process: Process, jobs: Vec<Job>) -> Answer {
        if jobs.is_empty() {
            return Answer::Nothing;
        }
        let token = self.tokens;
        self.tokens += 1;
        self.leases.insert(token, Lease { process, until_s: self.now_s + LEASE_S });
        let mut attempts = BTreeMap::new();
        for number in jobs {
            let job = &mut self.jobs[number];
            (job.place, job.attempt) = (Place::Running { token, process }, job.attempt + 1);
            attempts.insert(number, job.attempt);
        }
        Answer::Claimed { token, attempts }
    }

    fn renew(&mut self, process: Process, tokens: &[Token]) -> Answer {
        let until_s = self.now_s + LEASE_S;
        self.processes.entry(process).and_modify(|seat| (seat.seen_s, seat.died_with) = (self.now_s, 0));
        let mut stand = BTreeSet::new();
        for token in tokens {
            if let Some(lease) = self.leases.get_mut(token) {
                lease.until_s = until_s;
                stand.insert(*token);
            }
        }
        Answer::Stand(stand)
    }

    fn finish(&mut self, results: &[(Job, Token, Came)]) -> Answer {
        let mut written = BTreeSet::new();
        for (number, token, came) in results {
            if self.holds(*number, *token) {
                self.end_attempt(*number, *token, *came);
                written.insert((*number, *token));
            }
        }
        Answer::Written(written)
    }

    fn end_attempt(&mut self, number: Job, token: Token, came: Came) {
        let now_s = self.now_s;
        let job = &mut self.jobs[number];
        let (attempt, last) = (job.attempt, job.attempt >= job.attempts_max);
        let backoff_s = BACKOFF_BASE_S * i64::from(attempt).pow(4);
        let (place, delay_s, burned, outcome) = match came {
            Came::Done => (Some(Place::Done), 0, true, "done"),
            Came::Cancel => (Some(Place::Cancelled), 0, true, "cancelled"),
            Came::Dead => (Some(Place::Dead), 0, true, "dead"),
            Came::Retry | Came::RetryAsked if last => (Some(Place::Dead), 0, true, "dead"),
            Came::Retry => (None, backoff_s, true, "retry"),
            Came::RetryAsked => (None, ASKED_S, true, "retry"),
            Came::TimedOut => (last.then_some(Place::Dead), backoff_s, true, "timed_out"),
            Came::Panicked => (last.then_some(Place::Dead), backoff_s, true, "panicked"),
            Came::Snooze => (None, SNOOZE_S, false, "snooze"),
            Came::Interrupted => (None, 0, false, "interrupted"),
            Came::GivenUp => (None, 0, false, "given_up"),
        };
        job.place = place.unwrap_or(Place::Ready { run_at_s: now_s + delay_s, due: delay_s == 0 });
        job.attempt -= i16::from(!burned);
        if came != Came::Done {
            self.attempts.insert((number, token), (attempt, Cow::Borrowed(outcome)));
        }
        self.drop_if_empty(token);
    }

    fn lock(&mut self, process: Process, job: Job, token: Token) -> Answer {
        if !self.holds(job, token) {
            return Answer::Stale;
        }
        self.open.insert(process, (job, self.jobs[job].effects == 0));
        Answer::Held
    }

    fn commit(&mut self, process: Process) {
        if let Some((job, true)) = self.open.remove(&process) {
            self.jobs[job].effects += 1;
        }
    }

    fn cancel(&mut self, job: Job) -> Cancelled {
        let job = &mut self.jobs[job];
        match job.place {
            Place::Ready { .. } => {
                job.place = Place::Cancelled;
                Cancelled::Now
            }
            Place::Running { .. } => {
                job.called_off = true;
                Cancelled::Asked
            }
            _ => Cancelled::Finished,
        }
    }

    fn holds(&self, job: Job, token: Token) -> bool {
        matches!(self.jobs[job].place, Place::Running { token: standing, .. } if standing == token)
    }

    fn drop_if_empty(&mut self, token: Token) {
        if !(0..self.jobs.len()).any(|job| self.holds(job, token)) {
            self.leases.remove(&token);
        }
    }
}
