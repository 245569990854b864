//! The clock of a replay. A shift is one constant for the whole recording, so distances in time stay what they were.

use chrono::{DateTime, TimeDelta, Utc};

use crate::connectors::config::Replay;

/// Moves recorded times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    shift: TimeDelta,
}

impl Clock {
    pub(crate) fn new(replay: Replay, anchor: DateTime<Utc>) -> Self {
        let shift = match replay {
            Replay::Keep => TimeDelta::zero(),
            Replay::Shift { recorded_until } => anchor - recorded_until,
        };
        Self { shift }
    }

    /// None for a time that no calendar holds.
    pub(crate) fn moved(self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        at.checked_add_signed(self.shift)
    }
}
