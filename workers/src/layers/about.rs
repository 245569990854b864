//! What job the code that runs is of, for the lines it logs. It is written down only when there is a line to write: a span would
//! cost every job that logs nothing a tenth of its time.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use apalis_core::{error::BoxDynError, task::Task};
use jobs::{JobId, queue::Fate};
use tokio::task::futures::TaskLocalFuture;
use tower::{Layer, Service};

use crate::flights::{Boarded, Flight};

tokio::task_local! {
    static ABOUT: About;
}

/// What an operator looks for in a log.
#[derive(Debug)]
pub(crate) struct About {
    flight: Arc<Flight>,
    id: JobId,
    trace_parent: Option<String>,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = &self.flight.held;
        write!(f, "job.id={} job.kind={} job.attempt={}", self.id, held.kind, held.attempt)?;
        if let Some(station) = held.station {
            write!(f, " station.id={}", station.0)?;
        }
        // It came from outside, and a line is a line.
        self.trace_parent.as_deref().map_or(Ok(()), |parent| write!(f, " trace.parent={parent:?}"))
    }
}

/// Writes ` job.id=… job.kind=…` when the task that asks runs a job, and otherwise nothing.
pub(crate) fn write_job(line: &mut impl fmt::Write) -> fmt::Result {
    ABOUT.try_with(|about| write!(line, " {about}")).unwrap_or(Ok(()))
}

/// Adds [`AboutService`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct AboutLayer;

impl<S> Layer<S> for AboutLayer {
    type Service = AboutService<S>;

    fn layer(&self, inner: S) -> AboutService<S> {
        AboutService { inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct AboutService<S> {
    inner: S,
}

impl<S> Service<Task<Boarded>> for AboutService<S>
where
    S: Service<Task<Boarded>, Response = Fate, Error = BoxDynError>,
{
    type Response = Fate;
    type Error = BoxDynError;
    type Future = TaskLocalFuture<About, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Boarded>) -> Self::Future {
        let job = &task.args;
        let (id, trace_parent) = (job.claimed.id, job.claimed.trace_parent.clone());
        let about = About { flight: Arc::clone(&job.flight), id, trace_parent };
        ABOUT.scope(about, self.inner.call(task))
    }
}
