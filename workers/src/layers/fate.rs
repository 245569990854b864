//! The outermost layer: turns whatever came of a job into its fate and hands it to the finisher. It never fails, and it
//! frees the slot only when the finisher has the result.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use apalis_core::{error::BoxDynError, task::Task};
use futures::future::BoxFuture;
use jobs::queue::{Fate, Fault};
use tower::{Layer, Service};

use crate::{
    engine::finisher::Results,
    flights::{Boarded, Flight},
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
        let flight = Arc::clone(&task.args.flight);
        let (room, slot) = (task.args.room.take(), task.args.slot.take());
        let results = self.results.clone();
        let running = self.inner.call(task);
        Box::pin(async move {
            let fate = fate_of(&flight, running).await;
            results.settle(&flight, fate).await;
            drop((room, slot));
            Ok(())
        })
    }
}

/// What came of a job, whichever comes first: its answer, or that it is called off.
pub(crate) async fn fate_of(flight: &Flight, running: impl Future<Output = Result<Fate, BoxDynError>>) -> Fate {
    let panicked = |error: BoxDynError| Fate::Retry { error: error.to_string(), after: None, fault: Fault::Panicked };
    if let Some(why) = flight.called_off() {
        return why.fate();
    }
    flight.begin();
    tokio::select! {
        biased;
        outcome = flight.show(running) => outcome.unwrap_or_else(panicked),
        why = flight.until_called_off() => why.fate(),
    }
}
