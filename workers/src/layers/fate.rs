//! The outermost layer: turns whatever came of a job into its fate and hands it to the finisher. It never fails, and it
//! frees the slot only when the finisher has the result.

use std::task::{Context, Poll};

use apalis_core::{error::BoxDynError, task::Task};
use futures::future::BoxFuture;
use jobs::queue::{Fate, Fault};
use tokio::sync::watch;
use tower::{Layer, Service};

use crate::{
    engine::finisher::Results,
    flights::{Boarded, CalledOff, Facts},
};

/// Adds [`FateService`].
#[derive(Debug, Clone)]
pub(crate) struct FateLayer {
    pub(crate) results: Results,
}

impl<S> Layer<S> for FateLayer {
    type Service = FateService<S>;

    fn layer(&self, inner: S) -> FateService<S> {
        FateService { inner, results: self.results.clone() }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct FateService<S> {
    inner: S,
    results: Results,
}

impl<S> Service<Task<Boarded>> for FateService<S>
where
    S: Service<Task<Boarded>, Response = Fate, Error = BoxDynError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut task: Task<Boarded>) -> Self::Future {
        let called_off = task.args.called_off.clone();
        let facts = Facts::of(&task.args.claimed);
        let slot = task.args.slot.take();
        let results = self.results.clone();
        let running = task.args.on_thread.clone().show(self.inner.call(task));
        Box::pin(async move {
            results.settle(&facts, fate_of(called_off, running).await).await;
            drop(slot);
            Ok(())
        })
    }
}

/// What came of a job, whichever comes first: its answer, or that it is called off.
pub(crate) async fn fate_of(
    mut called_off: watch::Receiver<Option<CalledOff>>,
    running: impl Future<Output = Result<Fate, BoxDynError>>,
) -> Fate {
    let panicked = |error: BoxDynError| Fate::Retry { error: error.to_string(), after: None, fault: Fault::Panicked };
    tokio::select! {
        biased;
        why = until_called_off(&mut called_off) => why.fate(),
        outcome = running => outcome.unwrap_or_else(panicked),
    }
}

async fn until_called_off(called_off: &mut watch::Receiver<Option<CalledOff>>) -> CalledOff {
    loop {
        if let Some(why) = called_off.borrow_and_update().clone() {
            return why;
        }
        if called_off.changed().await.is_err() {
            // The registry has forgotten the job: its result was written by somebody else.
            return CalledOff::Lost;
        }
    }
}
