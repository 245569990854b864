//! The program `vtoc-bench` on a real Postgres, with so few jobs that its figures mean nothing: what is tested is that every
//! measure still runs on today's tables and reports where programs look for it.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod report;
