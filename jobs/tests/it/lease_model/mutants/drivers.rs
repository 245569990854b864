//! Three drivers of any queue that each leave out one precaution.

use std::collections::{BTreeSet, HashMap};

use super::super::call::{Answer, Call, Came, Job, Place, Process, Queue, Seen, Token};

/// Finishes with whatever token the job has now: fencing off.
pub(super) struct Unfenced<Q>(pub(super) Q);

impl<Q: Queue> Queue for Unfenced<Q> {
    fn perform(&mut self, call: &Call) -> Answer {
        let Call::Finish { results } = call else { return self.0.perform(call) };
        let seen = self.0.seen();
        let current = |job: &Job, theirs: &Token| match seen.jobs[job].place {
            Place::Running { token, .. } => token,
            _ => *theirs,
        };
        let meant: Vec<(Job, Token, Came)> =
            results.iter().map(|(job, token, came)| (*job, current(job, token), *came)).collect();
        let Answer::Written(written) = self.0.perform(&Call::Finish { results: meant.clone() }) else {
            panic!("a finish answers with what was written");
        };
        // Its caller takes what was written for its own.
        let theirs = results.iter().zip(&meant).filter(|(_, (job, token, _))| written.contains(&(*job, *token)));
        Answer::Written(theirs.map(|((job, token, _), _)| (*job, *token)).collect())
    }

    fn seen(&mut self) -> Seen {
        self.0.seen()
    }
}

/// Says that it renewed, and doesn't.
pub(super) struct Unrenewed<Q>(pub(super) Q);

impl<Q: Queue> Queue for Unrenewed<Q> {
    fn perform(&mut self, call: &Call) -> Answer {
        match call {
            Call::Renew { tokens, .. } => Answer::Stand(BTreeSet::from_iter(tokens.iter().copied())),
            other => self.0.perform(other),
        }
    }

    fn seen(&mut self) -> Seen {
        self.0.seen()
    }
}

/// Checks that the job is its own, and commits the effect in another transaction: the row's lock off.
pub(super) struct Unlocked<Q> {
    queue: Q,
    /// Whose check said that there is an effect to write.
    checked: HashMap<Process, bool>,
}

impl<Q> Unlocked<Q> {
    pub(super) fn new(queue: Q) -> Self {
        Self { queue, checked: HashMap::new() }
    }
}

impl<Q: Queue> Unlocked<Q> {
    fn write(&mut self, process: Process, job: Job) {
        if self.checked.remove(&process) == Some(true) {
            self.queue.perform(&Call::Scribble { job });
        }
    }
}

impl<Q: Queue> Queue for Unlocked<Q> {
    fn perform(&mut self, call: &Call) -> Answer {
        match call {
            Call::Lock { process, job, .. } => {
                let answer = self.queue.perform(call);
                if answer == Answer::Held {
                    self.queue.perform(&Call::Drop { process: *process });
                    self.checked.insert(*process, self.queue.seen().jobs[job].effects == 0);
                }
                answer
            }
            Call::Commit { process, job, .. } => {
                self.write(*process, *job);
                Answer::Nothing
            }
            Call::Complete { process, job, token } => {
                self.write(*process, *job);
                self.queue.perform(&Call::Finish { results: vec![(*job, *token, Came::Done)] });
                Answer::Nothing
            }
            Call::Drop { process } => {
                self.checked.remove(process);
                Answer::Nothing
            }
            other => self.queue.perform(other),
        }
    }

    fn seen(&mut self) -> Seen {
        self.queue.seen()
    }
}
