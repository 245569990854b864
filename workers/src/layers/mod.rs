//! What stands around every handler, from the outside in: the fate, the span, the panic, the time limit.

pub(crate) mod fate;
pub(crate) mod panic;
pub(crate) mod time_limit;
pub(crate) mod trace;
