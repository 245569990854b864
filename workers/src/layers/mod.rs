//! What stands around every handler, from the outside in: the fate, the span, the panic, the time limit.

pub(crate) mod fate;
pub(crate) mod panic;
pub(crate) mod time_limit;
pub(crate) mod trace;

use apalis::layers::catch_panic::CatchPanicLayer;
use tower::layer::util::Stack;

use self::{
    panic::{Caught, Panicked, caught},
    time_limit::TimeLimitLayer,
    trace::TraceLayer,
};

/// All of them but the fate.
pub(crate) type Guards = Stack<TimeLimitLayer, Stack<CatchPanicLayer<Caught, Panicked>, TraceLayer>>;

/// All of them but the fate, which is the worker's own: the rest is the same wherever a job runs.
pub(crate) fn guards() -> Guards {
    Stack::new(TimeLimitLayer, Stack::new(CatchPanicLayer::with_panic_handler(caught as Caught), TraceLayer))
}
