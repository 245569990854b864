//! The workers as the queue can't see them: what each believes to hold, long after a sweep took it. They are what
//! commands are spoken to, and they keep the rules of drivers: a child runs one suspect at a time, and nobody brings a
//! result for a job while its own effect is under way.

use std::collections::BTreeMap;

use jobs::queue::cancel::Cancelled;

use super::{
    call::{Answer, Call, Came, Job, Process, Token},
    commands::{Command, SLOTS},
};

/// Attempts that a command may pick from, counted from the newest.
const REMEMBERED: usize = 6;

#[derive(Debug)]
pub(crate) struct Crew {
    slots: Vec<Slot>,
    processes: usize,
    /// The job of each delivery, and whether it was called off before it ran, which frees its key.
    deliveries: BTreeMap<u8, (Job, bool)>,
}

#[derive(Debug, Default)]
struct Slot {
    process: Process,
    attempts: Vec<Attempt>,
    open: Option<(Job, Token)>,
    stale: Vec<(Job, Token)>,
}

#[derive(Debug)]
struct Attempt {
    job: Job,
    token: Token,
    /// Whether its worker is through with it.
    over: bool,
}

impl Crew {
    /// Everybody at their place, and the calls that put them there.
    pub(crate) fn new() -> (Self, Vec<Call>) {
        let slots = (0..SLOTS).map(|process| Slot { process, ..Slot::default() }).collect();
        let calls = (0..SLOTS).map(|process| Call::Start { process }).collect();
        (Self { slots, processes: SLOTS, deliveries: BTreeMap::new() }, calls)
    }

    /// What a command means now; nothing, when it can't be meant.
    pub(crate) fn calls(&mut self, command: &Command) -> Vec<Call> {
        match command {
            Command::Die { slot, reported } => {
                let process = self.slots[*slot].process;
                vec![Call::Die { process, reported: *reported }, self.replace(*slot)]
            }
            Command::Retire(slot) => {
                let process = self.slots[*slot].process;
                let dropped = self.slots[*slot].open.map(|_| Call::Drop { process });
                dropped.into_iter().chain([Call::Retire { process }, self.replace(*slot)]).collect()
            }
            other => self.call(other).into_iter().collect(),
        }
    }

    fn call(&mut self, command: &Command) -> Option<Call> {
        let process = |slot: &usize| self.slots[*slot].process;
        Some(match command {
            Command::Enqueue(delivery, heard) => {
                let called_off = self.deliveries.get(&delivery.number).is_some_and(|(_, called_off)| *called_off);
                return (!called_off).then_some(Call::Enqueue { delivery: *delivery, heard: *heard });
            }
            Command::Look(slot) => Call::Look { process: process(slot) },
            Command::Claim { worker, limit } => Call::Claim { process: process(worker), limit: *limit },
            Command::ClaimSuspect { child } => {
                let busy = self.slots[*child].attempts.iter().any(|attempt| !attempt.over);
                return (!busy).then_some(Call::ClaimSuspect { process: process(child), among_equals: None });
            }
            Command::Renew(slot) => {
                let held = self.slots[*slot].attempts.iter().filter(|attempt| !attempt.over);
                let mut tokens: Vec<Token> = held.map(|attempt| attempt.token).collect();
                tokens.dedup();
                Call::Renew { process: process(slot), tokens }
            }
            Command::Finish(slot, picks) => return self.finish(*slot, picks),
            Command::Overrule(slot, pick) => {
                let (job, token) = self.pick(*slot, *pick)?;
                Call::Overrule { job, token }
            }
            Command::Lock(slot, pick) => {
                let (job, token) = self.pick(*slot, *pick)?;
                let free = self.slots[*slot].open.is_none();
                return free.then_some(Call::Lock { process: process(slot), job, token });
            }
            Command::Commit(slot) => {
                let (job, token) = self.slots[*slot].open?;
                Call::Commit { process: process(slot), job, token }
            }
            Command::Complete(slot) => {
                let (job, token) = self.slots[*slot].open?;
                Call::Complete { process: process(slot), job, token }
            }
            Command::Drop(slot) => {
                self.slots[*slot].open?;
                Call::Drop { process: process(slot) }
            }
            Command::Sweep { blame } => Call::Sweep { blame: *blame },
            Command::Cancel(pick) => {
                let jobs: Vec<Job> = self.deliveries.values().map(|(job, _)| *job).collect();
                Call::Cancel { job: *jobs.get(pick % jobs.len().max(1))? }
            }
            Command::ClearBlame(slot) => {
                let stale = self.stale(*slot);
                return (!stale.is_empty()).then_some(Call::ClearBlame { stale });
            }
            Command::Pass(seconds) => Call::Pass { seconds: *seconds },
            Command::Die { .. } | Command::Retire(_) => return None,
        })
    }

    /// Notes what the workers hear.
    pub(crate) fn hear(&mut self, call: &Call, answer: &Answer) {
        match (call, answer) {
            (Call::Enqueue { delivery, .. }, Answer::Enqueued { job, .. }) => {
                self.deliveries.entry(delivery.number).or_insert((*job, false));
            }
            (Call::Claim { process, .. } | Call::ClaimSuspect { process, .. }, Answer::Claimed { token, attempts }) => {
                let begun = attempts.keys().map(|job| Attempt { job: *job, token: *token, over: false });
                if let Some(slot) = self.slot(*process) {
                    slot.attempts.extend(begun);
                }
            }
            (Call::Finish { results }, Answer::Written(written)) => {
                for (job, token, _) in results {
                    self.is_over(*job, *token, !written.contains(&(*job, *token)));
                }
            }
            (Call::Overrule { job, token }, _) => self.is_over(*job, *token, false),
            (Call::Lock { process, job, token }, Answer::Held) => self.opens(*process, Some((*job, *token))),
            (Call::Lock { job, token, .. }, Answer::Stale) => self.is_over(*job, *token, true),
            (Call::Commit { process, .. } | Call::Drop { process }, _) => self.opens(*process, None),
            (Call::Complete { process, job, token }, _) => {
                self.opens(*process, None);
                self.is_over(*job, *token, false);
            }
            (Call::Cancel { job }, Answer::Cancelled(Cancelled::Now)) => {
                self.deliveries.values_mut().filter(|(of, _)| of == job).for_each(|(_, called_off)| *called_off = true);
            }
            _ => {}
        }
    }

    /// What brings a queue to rest: everything open is dropped, every lease runs out, and what is left is done.
    pub(crate) fn close(&self) -> Vec<Call> {
        let open = self.slots.iter().filter(|slot| slot.open.is_some());
        let mut calls: Vec<Call> = open.map(|slot| Call::Drop { process: slot.process }).collect();
        calls.extend([
            Call::Pass { seconds: 4_000 },
            Call::Sweep { blame: false },
            Call::Look { process: self.slots[0].process },
        ]);
        calls
    }

    /// The claims of a queue that comes to rest.
    pub(crate) fn last_claims(&self) -> [Call; 2] {
        let (worker, child) = (self.slots[0].process, self.slots[SLOTS - 1].process);
        [Call::Claim { process: worker, limit: 500 }, Call::ClaimSuspect { process: child, among_equals: None }]
    }

    /// Attempts that came too late and weren't reported yet.
    fn stale(&mut self, slot: usize) -> Vec<(Job, Token)> {
        std::mem::take(&mut self.slots[slot].stale)
    }

    /// A new process where one has gone, which knows nothing of what that one held.
    fn replace(&mut self, slot: usize) -> Call {
        let process = self.processes;
        self.processes += 1;
        self.slots[slot] = Slot { process, ..Slot::default() };
        Call::Start { process }
    }

    fn finish(&self, slot: usize, picks: &[(usize, Came)]) -> Option<Call> {
        let mut results = Vec::<(Job, Token, Came)>::new();
        for (pick, came) in picks {
            // One result an attempt: of two the first counts, and both would look written.
            if let Some((job, token)) = self.pick(slot, *pick)
                && results.iter().all(|(other, standing, _)| (*other, *standing) != (job, token))
            {
                results.push((job, token, *came));
            }
        }
        (!results.is_empty()).then_some(Call::Finish { results })
    }

    fn pick(&self, slot: usize, pick: usize) -> Option<(Job, Token)> {
        let attempts = &self.slots[slot].attempts;
        let attempt = attempts.iter().rev().nth(pick % attempts.len().clamp(1, REMEMBERED))?;
        let at = (attempt.job, attempt.token);
        (self.slots[slot].open != Some(at)).then_some(at)
    }

    fn is_over(&mut self, job: Job, token: Token, stale: bool) {
        for slot in &mut self.slots {
            for attempt in slot.attempts.iter_mut().filter(|attempt| (attempt.job, attempt.token) == (job, token)) {
                attempt.over = true;
                if stale {
                    slot.stale.push((job, token));
                }
            }
        }
    }

    /// Where a process sits; none, once it has gone.
    fn slot(&mut self, process: Process) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.process == process)
    }

    fn opens(&mut self, process: Process, open: Option<(Job, Token)>) {
        if let Some(slot) = self.slot(process) {
            slot.open = open;
        }
    }
}
