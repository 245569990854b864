//! The only file that names apalis' backend traits. Jobs come out of a channel that the claimer fills; nothing is driven
//! by the worker's polling, and nothing here ever answers with an error, since that would end the worker.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder},
    worker::context::WorkerContext,
};
use futures::future::BoxFuture;
use jobs::{JobId, queue::Fate};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::PollSemaphore;
use tower::layer::util::Identity;

use crate::{engine::finisher::Results, flights::Boarded};

/// The claimer's channel as apalis sees it.
pub(crate) struct Claims {
    jobs: mpsc::Receiver<Boarded>,
    /// Jobs that may run at once.
    slots: PollSemaphore,
    slot: Option<OwnedSemaphorePermit>,
    results: Results,
    closing: Option<BoxFuture<'static, ()>>,
}

impl Claims {
    pub(crate) fn new(jobs: mpsc::Receiver<Boarded>, concurrency: usize, results: Results) -> Self {
        let slots = PollSemaphore::new(Arc::new(Semaphore::new(concurrency)));
        Self { jobs, slots, slot: None, results, closing: None }
    }

    /// Takes what was claimed and not started, to be released without burning an attempt.
    fn release(&mut self) -> BoxFuture<'static, ()> {
        self.jobs.close();
        let unstarted: Vec<Boarded> = std::iter::from_fn(|| self.jobs.try_recv().ok()).collect();
        let results = self.results.clone();
        Box::pin(async move {
            for job in unstarted {
                results.settle(&job.flight, Fate::Interrupted).await;
            }
        })
    }
}

impl Backend for Claims {
    type Task = Task<Boarded>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Self::Task, Infallible>>> {
        if self.slot.is_none() {
            self.slot = ready!(self.slots.poll_acquire(cx));
        }
        let job = ready!(self.jobs.poll_recv(cx));
        Poll::Ready(job.map(|mut job| {
            job.slot = self.slot.take();
            Ok(TaskBuilder::new(job).build())
        }))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        let mut closing = self.closing.take().unwrap_or_else(|| self.release());
        let polled = Pin::new(&mut closing).poll(cx);
        self.closing = Some(if polled.is_ready() { Box::pin(std::future::ready(())) } else { closing });
        polled.map(Ok)
    }
}

impl BackendConfig for Claims {
    type Args = Boarded;
    type Id = JobId;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
