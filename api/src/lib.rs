//! The front door: authenticate, validate, one call into `jobs`, answer. It never does the work it takes in, and it
//! sees neither SQL nor the worker runtime. [`serve`] is the whole of it; the binary `vtoc-api` reads its settings from the environment.

mod auth;
mod body;
pub mod config;
mod endpoint;
mod error;
mod etag;
mod json;
mod path;
mod problem;
mod query;
mod routes;
pub mod secret;
mod serve;
mod server;
mod shared;
pub mod signature;
mod station_hint;

pub use config::{Config, Limits, Webhooks};
pub use serve::serve;
pub use server::Unfinished;
