//! Draining: performing all that is due, in the order of a worker with one slot, until nothing is.

use std::fmt::Write;

use jobs::{
    queue::{
        Claimed,
        claim::{Claim, claim, claim_suspect},
    },
    testing::{Queued, queued},
};

use super::{Performed, Workbench};

/// Attempts after which a drain without a limit has run away.
const ATTEMPTS_MAX: usize = 200;
/// Attempts that a runaway drain shows.
const SHOWN_MAX: usize = 5;

/// What to drain.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    queues: Option<Vec<String>>,
    scheduled: bool,
    limit: Option<usize>,
}

impl Drain {
    /// Every queue.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// These queues; jobs of others stay where they are.
    #[must_use]
    pub fn queues<const N: usize>(names: [&str; N]) -> Self {
        Self { queues: Some(names.map(str::to_owned).to_vec()), ..Self::default() }
    }

    /// Also what is due later, retries included: whenever nothing is due, the clock moves on to the next that will be.
    #[must_use]
    pub fn with_scheduled(self) -> Self {
        Self { scheduled: true, ..self }
    }

    /// So many attempts at most; the rest stays.
    #[must_use]
    pub fn limit(self, attempts: usize) -> Self {
        Self { limit: Some(attempts), ..self }
    }

    fn includes(&self, job: &Queued) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.contains(&job.queue))
    }
}

impl Workbench {
    /// Performs what is due, follow-up work included, until nothing is. A retry that waits isn't due, and jobs of kinds
    /// that the workbench doesn't know are left alone. Answers with every attempt, in order.
    ///
    /// # Panics
    /// After 200 attempts, unless there is a limit, when still more are due: something enqueues itself for ever.
    pub async fn drain(&self, drain: Drain) -> Vec<Performed> {
        let mut performed = Vec::new();
        self.db.promote().await;
        while drain.limit.is_none_or(|limit| performed.len() < limit) {
            let waiting = self.of_interest(&drain).await;
            if drain.scheduled {
                // What came due since the last look; whatever waits with no time left can be claimed now, or never.
                self.db.promote().await;
            }
            let next_start = waiting.iter().map(|job| job.starts_in).filter(|wait| !wait.is_zero()).min();
            match (self.next(&waiting).await, next_start) {
                (Some(claimed), _) => {
                    assert!(drain.limit.is_some() || performed.len() < ATTEMPTS_MAX, "{}", runaway(&performed));
                    performed.push(self.run(claimed).await);
                }
                (None, Some(wait)) if drain.scheduled => self.db.advance(wait).await,
                (None, _) => break,
            }
        }
        performed
    }

    async fn of_interest(&self, drain: &Drain) -> Vec<Queued> {
        let known = |job: &Queued| self.kinds.get(&job.kind).is_some();
        queued(&self.db).await.into_iter().filter(|job| drain.includes(job) && known(job)).collect()
    }

    /// Claims the first of what is due; a suspect when there is nothing else.
    async fn next(&self, waiting: &[Queued]) -> Option<Claimed> {
        let mut queues: Vec<String> = waiting.iter().map(|job| job.queue.clone()).collect();
        queues.sort();
        queues.dedup();
        let kinds = self.kinds.names();
        let wish = Claim { worker: self.worker, queues: &queues, kinds: &kinds, limit: 1, lease: self.lease() };
        let mut claimed = claim(&self.db.database, &wish).await.expect("the test cluster answers");
        match claimed.pop() {
            Some(first) => Some(first),
            None => claim_suspect(&self.db.database, &wish).await.expect("the test cluster answers"),
        }
    }
}

fn runaway(performed: &[Performed]) -> String {
    let attempts = performed.len();
    let mut said = format!("a drain doesn't end: after {attempts} attempts there is more to do; the last were");
    for attempt in performed.iter().rev().take(SHOWN_MAX).rev() {
        let _ = write!(said, "\n- {attempt}");
    }
    said.push_str("\nDoes a job enqueue itself for ever? If not, say with Drain::limit how many there may be");
    said
}
