//! The front door over real sockets. `limits` and `process` need no database; `webhooks`, `reads` and `chat` have one
//! for each test.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod chat;
mod front_door;
mod limits;
mod pooled;
mod process;
mod reads;
mod webhooks;
