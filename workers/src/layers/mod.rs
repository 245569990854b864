//! What stands around every handler, from the outside in: the fate, what its log lines say, the panic, the time limit.

pub(crate) mod about;
pub(crate) mod fate;
pub(crate) mod panic;
pub(crate) mod time_limit;

use apalis::layers::catch_panic::CatchPanicLayer;
use tower::layer::util::Stack;

use self::{
    about::AboutLayer,
    panic::{Caught, Panicked, caught},
    time_limit::TimeLimitLayer,
};

/// All of them but the fate.
pub(crate) type Guards = Stack<TimeLimitLayer, Stack<CatchPanicLayer<Caught, Panicked>, AboutLayer>>;

/// All of them but the fate, which is the worker's own: the rest is the same wherever a job runs.
pub(crate) fn guards() -> Guards {
    Stack::new(TimeLimitLayer, Stack::new(CatchPanicLayer::with_panic_handler(caught as Caught), AboutLayer))
}
