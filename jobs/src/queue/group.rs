//! Group commit: many callers of one process share a transaction. Each is answered only when its own row is durable, and none
//! pays for another's bad job. For callers that have nothing else to commit with their job.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    Enqueued, NewJob,
    enqueue::{check, enqueue, length},
};
use crate::{Database, Error, Scope, Wake};

/// Jobs in one transaction at most.
const BATCH_MAX: usize = 500;
/// Transactions under way at once: one is filled while the other is committed.
const LANES: usize = 2;
/// Callers that may wait before others are kept from asking.
const WAITING_MAX: usize = 10_000;

type Answer = oneshot::Sender<Result<Enqueued, Error>>;

/// The way into shared transactions. Cheap to clone; ends with its last clone.
#[derive(Debug, Clone)]
pub struct Grouped {
    requests: mpsc::Sender<(NewJob, Answer)>,
}

impl Grouped {
    /// Starts the tasks that commit. Must be called in a runtime.
    #[must_use]
    pub fn start(database: &Database, wake: &Wake) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..LANES {
            tokio::spawn(commit(Arc::clone(&waiting), database.clone(), wake.clone()));
        }
        Self { requests }
    }

    /// Enqueues one job, durable when this answers. Workers are woken.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a job that can't be enqueued; [`Error::Unavailable`]: it may be enqueued or not.
    pub async fn enqueue(&self, job: NewJob) -> Result<Enqueued, Error> {
        check(&job, length(&job.payload))?;
        let (answer, answered) = oneshot::channel();
        let gone = || Error::Unavailable("the process is stopping".to_owned());
        self.requests.send((job, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Commits what waits, as long as anybody may ask.
async fn commit(waiting: Arc<Mutex<mpsc::Receiver<(NewJob, Answer)>>>, database: Database, wake: Wake) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    // The lock is held only while gathering, so that the other lane gathers while this one commits.
    while waiting.lock().await.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (jobs, answers): (Vec<NewJob>, Vec<Answer>) = batch.drain(..).unzip();
        match together(&database, &jobs).await {
            Ok(enqueued) => {
                jobs.iter().for_each(|job| wake.hint(&job.queue));
                for (answer, enqueued) in answers.into_iter().zip(enqueued) {
                    // A caller that went away has its job all the same.
                    let _ = answer.send(Ok(enqueued));
                }
            }
            // Nothing is known to be committed.
            Err(Error::Unavailable(why)) => {
                answers.into_iter().for_each(|answer| drop(answer.send(Err(Error::Unavailable(why.clone())))));
            }
            // One of them can't be stored, or was in somebody's way: each for itself.
            Err(_) => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    let enqueued = together(&database, std::slice::from_ref(&job)).await;
                    wake.hint(&job.queue);
                    let _ = answer.send(enqueued.and_then(|mut one| {
                        one.pop().ok_or_else(|| Error::Internal("an enqueue without an answer".to_owned()))
                    }));
                }
            }
        }
    }
}

async fn together(database: &Database, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let enqueued = enqueue(&mut tx, jobs).await?;
            tx.commit().await?;
            Ok(enqueued)
        })
        .await
}
