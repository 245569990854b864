//! One span a job, with what an operator looks for.

use std::task::{Context, Poll};

use apalis_core::{error::BoxDynError, task::Task};
use jobs::queue::Fate;
use tower::{Layer, Service};
use tracing::{Instrument, instrument::Instrumented};

use crate::flights::Boarded;

/// Adds [`TraceService`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = TraceService<S>;

    fn layer(&self, inner: S) -> TraceService<S> {
        TraceService { inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct TraceService<S> {
    inner: S,
}

impl<S> Service<Task<Boarded>> for TraceService<S>
where
    S: Service<Task<Boarded>, Response = Fate, Error = BoxDynError>,
{
    type Response = Fate;
    type Error = BoxDynError;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Boarded>) -> Self::Future {
        let job = &task.args.claimed;
        let span = tracing::info_span!(
            "job",
            job.id = %job.id,
            job.kind = &*job.held.kind,
            job.attempt = job.held.attempt,
            station.id = job.held.station.map(|station| station.0),
            trace.parent = job.trace_parent,
        );
        self.inner.call(task).instrument(span)
    }
}
