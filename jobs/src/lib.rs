//! What work exists and where it is written down: job kinds, the queue engine, receipts, and every SQL statement of the
//! fleet. Nothing here serves HTTP or drives a worker; `api` and `workers` call in, and `agents` is called out to.

pub mod accept;
mod aftermath;
pub mod audits;
pub mod chat;
mod database;
mod error;
mod ids;
pub mod inspect;
pub mod installation;
pub mod kinds;
pub mod laws;
pub mod migrate;
mod nul;
mod page;
pub mod provision;
pub mod queue;
pub mod receipts;
pub mod runs;
pub mod schedules;
pub mod stations;
mod steps;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tokens;
pub mod workers;

pub use database::{ConnectOptions, Database, Line, POOL_TIMEOUTS_MAX, Pooling, Readiness, Scope, Tx};
pub use error::Error;
pub use ids::{JobId, StationId};
pub use page::{Page, PageRequest};
pub use queue::wake::Wake;
