//! What a schedule is made of, as arguments. They are checked where the schedule is stored.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use jobs::schedules::{Changes, Missed, NewSchedule, jitter};
use serde_json::Value;

/// A new schedule.
#[derive(Debug, Args)]
pub(super) struct Definition {
    /// Its name: lower-case letters, digits, dots, underscores and hyphens.
    name: String,
    /// When: `now`, an interval like 15m, or cron fields in quotes.
    expression: String,
    /// What its jobs do: a job kind.
    #[arg(long)]
    kind: String,
    /// The jobs' payload, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = payload)]
    payload: Value,
    /// The station whose jobs it makes; without one they are the fleet's.
    #[arg(long, value_name = "SLUG")]
    station: Option<String>,
    /// Begin paused.
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    rest: Rest,
}

/// What of a schedule is to be different.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Its name.
    pub(super) name: String,
    /// When; intervals count from now on.
    #[arg(long)]
    expression: Option<String>,
    /// What its jobs do.
    #[arg(long)]
    kind: Option<String>,
    /// The jobs' payload, as JSON.
    #[arg(long, value_name = "JSON", value_parser = payload)]
    payload: Option<Value>,
    #[command(flatten)]
    rest: Rest,
}

#[derive(Debug, Args)]
struct Rest {
    /// IANA time zone of cron fields; at first the station's, or UTC.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// How much later than its tick a job may be enqueued, like 30s.
    #[arg(long, value_parser = jitter)]
    jitter: Option<Duration>,
    /// What becomes of ticks that no worker was there for: skip, once, all, or all:N for the last N; at first once.
    #[arg(long)]
    missed: Option<Missed>,
    /// The jobs' queue; at first their kind's.
    #[arg(long)]
    queue: Option<String>,
    /// The jobs' priority, higher first; at first 0.
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i16>,
    /// Attempts that a job has; at first its kind's.
    #[arg(long, value_name = "N")]
    attempts: Option<i16>,
}

impl Definition {
    pub(super) fn read(&self) -> NewSchedule {
        let rest = &self.rest;
        NewSchedule {
            name: self.name.clone(),
            station: self.station.clone(),
            expression: self.expression.clone(),
            time_zone: rest.time_zone.clone(),
            jitter: rest.jitter.unwrap_or_default(),
            missed: rest.missed.unwrap_or_default(),
            kind: self.kind.clone(),
            queue: rest.queue.clone(),
            priority: rest.priority.unwrap_or_default(),
            attempts_max: rest.attempts,
            payload: self.payload.clone(),
            paused: self.paused,
        }
    }
}

impl Change {
    pub(super) fn read(&self) -> Changes {
        let rest = &self.rest;
        Changes {
            expression: self.expression.clone(),
            time_zone: rest.time_zone.clone(),
            jitter: rest.jitter,
            missed: rest.missed,
            kind: self.kind.clone(),
            queue: rest.queue.clone(),
            priority: rest.priority,
            attempts_max: rest.attempts,
            payload: self.payload.clone(),
        }
    }
}

fn payload(text: &str) -> Result<Value> {
    serde_json::from_str(text).context("expected JSON")
}
