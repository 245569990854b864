//! No attempt takes longer than its kind may: the future is dropped and the attempt has failed. A handler that holds its
//! thread can't be dropped; the renewer overrules it.

use std::task::{Context, Poll};

use apalis_core::{error::BoxDynError, task::Task};
use futures::future::BoxFuture;
use jobs::queue::{Fate, Fault};
use tower::{Layer, Service};

use crate::flights::Boarded;

/// Adds [`TimeLimitService`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeLimitLayer;

impl<S> Layer<S> for TimeLimitLayer {
    type Service = TimeLimitService<S>;

    fn layer(&self, inner: S) -> TimeLimitService<S> {
        TimeLimitService { inner }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct TimeLimitService<S> {
    inner: S,
}

impl<S> Service<Task<Boarded>> for TimeLimitService<S>
where
    S: Service<Task<Boarded>, Response = Fate, Error = BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = Fate;
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<Fate, BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Boarded>) -> Self::Future {
        let limit = task.args.flight.time_limit;
        let running = self.inner.call(task);
        Box::pin(async move {
            tokio::time::timeout(limit, running).await.unwrap_or_else(|_| {
                Ok(Fate::Retry {
                    error: format!("took longer than {} s", limit.as_secs()),
                    after: None,
                    fault: Fault::TimedOut,
                })
            })
        })
    }
}
