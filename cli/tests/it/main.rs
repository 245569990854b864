//! `vtoc` by its doors: the program's arguments, output and exit codes, and the cluster it runs. Servers are real and
//! belong to one test each.

#![expect(clippy::unwrap_used, reason = "what a test can't do fails the test")]

mod arguments;
mod cluster;
mod faults;
mod place;
mod postgres_run;
mod running;
mod schedule;
mod up;
