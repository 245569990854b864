//! The engine room: processes that claim jobs, run them through apalis and write down what came of them. What a job does
//! is in `jobs`; here is how a process stays honest about it: slots, leases, time limits, panics, drain.

mod backend;
mod config;
mod dispatch;
mod engine;
mod flights;
mod isolation;
mod layers;
mod logging;
mod process;
mod stop;
#[cfg(feature = "testing")]
pub mod testing;

pub use config::{Config, Limits};
pub use flights::Counters;
pub use isolation::Isolation;
pub use logging::log;
pub use process::{Role, run};
pub use stop::stop_on_signal;
