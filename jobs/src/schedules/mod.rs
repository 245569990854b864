//! Schedules: jobs that are enqueued again and again, by cron fields in a time zone, by an interval, or once and now. They are
//! made, edited, paused, resumed, triggered and deleted while the fleet runs; `tick` enqueues what is due, and any number of
//! processes may call it at once. When a schedule ticks is pure (`timetable` and below); nothing here waits: that is the worker's.

mod change;
mod create;
mod expression;
mod fields;
mod job;
mod missed;
mod row;
mod switch;
#[cfg(test)]
mod tests;
mod tick;
mod ticks;
mod timetable;
mod trigger;
mod view;

use std::time::Duration;

use serde_json::Value;

pub use self::{
    change::{Changes, edit},
    create::create,
    expression::Expression,
    missed::{GRACE, MISSED_MAX, Missed},
    switch::{delete, pause, resume},
    tick::{Ticked, tick},
    timetable::{JITTER_MAX, Tick, Timetable, jitter},
    trigger::trigger,
    view::{PAGE, ScheduleView, find, list},
};

/// Ticks that are shown of a schedule.
pub const SHOWN: usize = 5;
/// Payload bytes of a schedule, as JSON text: a tick may enqueue it [`MISSED_MAX`] times.
pub const PAYLOAD_MAX: usize = 64 * 1024;

/// A schedule to create.
#[derive(Debug, Clone, Default)]
pub struct NewSchedule {
    /// Its name, unique in the fleet: lower-case letters, digits, `.`, `_` and `-`, at most 100.
    pub name: String,
    /// Slug of the station whose jobs it makes; none is the fleet.
    pub station: Option<String>,
    /// `now`, an interval or cron fields: see [`Expression`].
    pub expression: String,
    /// IANA name; without one the station's, or UTC.
    pub time_zone: Option<String>,
    /// See [`Timetable::jitter`].
    pub jitter: Duration,
    /// What becomes of ticks that nobody was there for.
    pub missed: Missed,
    /// What the jobs do. A kind that neither this program nor a live worker knows is refused: its jobs would wait for ever, one
    /// more with each tick.
    pub kind: String,
    /// The jobs' queue; without one the kind's.
    pub queue: Option<String>,
    /// The jobs' priority: higher first.
    pub priority: i16,
    /// The jobs' attempts; without them the kind's.
    pub attempts_max: Option<i16>,
    /// The jobs' payload, at most [`PAYLOAD_MAX`].
    pub payload: Value,
    /// Whether it begins paused.
    pub paused: bool,
}
