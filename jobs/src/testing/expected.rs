//! What a test expects of a queued job, and how far a job is from it. Pure: nothing here asks the database.

use std::{fmt, ops::RangeInclusive, time::Duration};

use serde_json::Value;

use super::{
    Queued,
    queued::{rounded, shown},
};
use crate::kinds::Kind;

/// Weighs more than any number of other differences: a job of another kind is hardly the one that was meant.
const OTHER_KIND: usize = 1_000;

/// What a queued job should be like; what isn't said may be anything.
///
/// ```
/// # use jobs::{kinds::post_chat::PostChat, testing::Expected};
/// # use serde_json::json;
/// let _ = Expected::of::<PostChat>().station("toc-s1").payload_with(json!({ "text": "all well" })).times(1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Expected {
    kind: Option<String>,
    queue: Option<String>,
    station: Option<Option<String>>,
    payload: Option<Payload>,
    dedupe_key: Option<String>,
    priority: Option<i16>,
    starts_within: Option<RangeInclusive<Duration>>,
    pub(super) times: Option<usize>,
}

#[derive(Debug, Clone)]
enum Payload {
    Whole(Value),
    With(Value),
}

impl Expected {
    /// Any job.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// A job of kind `K`.
    #[must_use]
    pub fn of<K: Kind>() -> Self {
        Self::kind(K::NAME)
    }

    /// A job of the kind of this name.
    #[must_use]
    pub fn kind(name: &str) -> Self {
        Self { kind: Some(name.to_owned()), ..Self::default() }
    }

    /// In this queue.
    #[must_use]
    pub fn queue(self, name: &str) -> Self {
        Self { queue: Some(name.to_owned()), ..self }
    }

    /// Of the station with this slug.
    #[must_use]
    pub fn station(self, slug: &str) -> Self {
        Self { station: Some(Some(slug.to_owned())), ..self }
    }

    /// Of no station.
    #[must_use]
    pub fn fleet(self) -> Self {
        Self { station: Some(None), ..self }
    }

    /// With this payload and nothing more in it.
    #[must_use]
    pub fn payload(self, whole: Value) -> Self {
        Self { payload: Some(Payload::Whole(whole)), ..self }
    }

    /// With at least these fields in its payload, at any depth; arrays are compared whole.
    #[must_use]
    pub fn payload_with(self, fields: Value) -> Self {
        Self { payload: Some(Payload::With(fields)), ..self }
    }

    /// Under this key.
    #[must_use]
    pub fn dedupe_key(self, key: &str) -> Self {
        Self { dedupe_key: Some(key.to_owned()), ..self }
    }

    /// With this priority.
    #[must_use]
    pub fn priority(self, priority: i16) -> Self {
        Self { priority: Some(priority), ..self }
    }

    /// Its time has come.
    #[must_use]
    pub fn due(self) -> Self {
        self.starts_within(Duration::ZERO..=Duration::ZERO)
    }

    /// Its time comes so long from now, on the queue's clock. That clock goes on while a test runs: leave some room below.
    #[must_use]
    pub fn starts_within(self, range: RangeInclusive<Duration>) -> Self {
        Self { starts_within: Some(range), ..self }
    }

    /// So many such jobs, no more and no fewer. Without it one or more will do.
    #[must_use]
    pub fn times(self, jobs: usize) -> Self {
        Self { times: Some(jobs), ..self }
    }

    /// How `job` differs, and how much that weighs; nothing when it is what was expected.
    pub(super) fn compare(&self, job: &Queued) -> (usize, Vec<String>) {
        let mut differences = Vec::new();
        let mut differs = |what: &str, expected: Option<&str>, actual: &str| {
            if let Some(expected) = expected.filter(|expected| *expected != actual) {
                differences.push(format!("{what}: {actual}, not {expected}"));
            }
        };
        differs("kind", self.kind.as_deref(), &job.kind);
        differs("queue", self.queue.as_deref(), &job.queue);
        differs("station", self.station.as_ref().map(whose), whose(&job.station));
        let key = |key: &Option<String>| key.as_ref().map(|key| format!("{key:?}"));
        differs("key", key(&self.dedupe_key).as_deref(), &key(&job.dedupe_key).unwrap_or("none".to_owned()));
        differs("priority", self.priority.map(|priority| priority.to_string()).as_deref(), &job.priority.to_string());
        if let Some(range) = self.starts_within.as_ref().filter(|range| !range.contains(&job.starts_in)) {
            differences.push(format!("starts in {:?}, not {}", rounded(job.starts_in), within(range)));
        }
        match &self.payload {
            Some(Payload::Whole(expected)) => differ("payload", expected, &job.payload, true, &mut differences),
            Some(Payload::With(expected)) => differ("payload", expected, &job.payload, false, &mut differences),
            None => {}
        }
        let other_kind = self.kind.as_ref().is_some_and(|kind| *kind != job.kind);
        (differences.len() + if other_kind { OTHER_KIND } else { 0 }, differences)
    }
}

/// Gathers where two values differ, by their paths.
fn differ(path: &str, expected: &Value, actual: &Value, whole: bool, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (name, value) in expected {
                match actual.get(name) {
                    Some(other) => differ(&format!("{path}.{name}"), value, other, whole, found),
                    None => found.push(format!("{path}.{name}: missing, not {}", shown(value))),
                }
            }
            for (name, value) in actual.iter().filter(|(name, _)| whole && !expected.contains_key(*name)) {
                found.push(format!("{path}.{name}: {}, unexpected", shown(value)));
            }
        }
        (expected, actual) if expected == actual => {}
        (expected, actual) => found.push(format!("{path}: {}, not {}", shown(actual), shown(expected))),
    }
}

fn whose(station: &Option<String>) -> &str {
    station.as_deref().unwrap_or("the fleet's")
}

fn within(range: &RangeInclusive<Duration>) -> String {
    if range.end().is_zero() {
        return "due".to_owned();
    }
    format!("{:?} to {:?}", range.start(), range.end())
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = [
            self.kind.as_ref().map(|kind| format!("kind {kind}")),
            self.queue.as_ref().map(|queue| format!("queue {queue}")),
            self.station.as_ref().map(|station| format!("station {}", whose(station))),
            self.dedupe_key.as_ref().map(|key| format!("key {key:?}")),
            self.priority.map(|priority| format!("priority {priority}")),
            self.starts_within.as_ref().map(|range| format!("start {}", within(range))),
            self.payload.as_ref().map(|payload| match payload {
                Payload::Whole(value) => format!("payload {}", shown(value)),
                Payload::With(value) => format!("payload with {}", shown(value)),
            }),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        f.write_str(if said.is_empty() { "anything" } else { "" })?;
        f.write_str(&said.join(", "))
    }
}
