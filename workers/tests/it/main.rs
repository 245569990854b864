//! Worker processes against a real Postgres and a receiver that counts: killed, stopped, cut off, given jobs that
//! misbehave. What counts is what the receiver saw and what the database says, never what the worker believes.

#![expect(clippy::unwrap_used, reason = "what a test can't do fails the test")]

mod fair;
mod fleet;
mod killed;
mod misbehaving;
mod pooled;
mod receiver;
mod schedules;
mod timely;
mod waiting;
mod workbench;
