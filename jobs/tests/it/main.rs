//! The package against a real Postgres, a database for each test: what the tables refuse to whom (`catalogue`, the leak
//! matrices, `logins`), what the queue engine promises, and what the rooms above it write down. Pure code has its
//! tests beside it.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod accept;
mod behalf;
mod cancel;
mod catalogue;
mod chat;
mod claim;
mod control_leaks;
mod data_leaks;
mod dead;
mod effects;
mod enqueue;
mod family;
mod finish;
mod fleet;
mod fronts;
mod group;
mod kept_plans;
mod large;
mod lease_model;
mod leases;
mod logins;
mod meaning;
mod pages;
mod plans;
mod proxy;
mod prune;
mod prune_meanwhile;
mod queued;
mod remind_channel;
mod repeats;
mod runs;
mod schedules;
mod silence;
mod sql_enqueue;
mod stations;
mod suspicion;
mod tokens;
mod trespass;
mod unanswered;
mod waiting;
mod wake;
