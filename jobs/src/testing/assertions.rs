//! Assertions about what is queued. A failed one shows what is there, the nearest miss first.

use std::{fmt::Write, future::Future, panic::Location};

use super::{Expected, Queued, TestDatabase, queued};

/// Jobs that a failure shows.
const SHOWN_MAX: usize = 10;

/// Fails the test unless such a job waits: one or more, or as many as [`Expected::times`] says. Answers with them.
///
/// # Panics
/// When there isn't, with a list of what waits.
#[track_caller]
pub fn assert_enqueued(db: &TestDatabase, expected: Expected) -> impl Future<Output = Vec<Queued>> {
    let asked_at = Location::caller();
    async move {
        let queued = queued(db).await;
        let found = matching(&expected, &queued);
        let enough = expected.times.map_or(!found.is_empty(), |times| found.len() == times);
        assert!(enough, "{}\nasked at {asked_at}", missed(&expected, &queued, found.len()));
        found
    }
}

/// Fails the test when such a job waits.
///
/// # Panics
/// When there is one, with a list of those there are.
#[track_caller]
pub fn refute_enqueued(db: &TestDatabase, unexpected: Expected) -> impl Future<Output = ()> {
    let asked_at = Location::caller();
    async move {
        let found = matching(&unexpected, &queued(db).await);
        assert!(found.is_empty(), "{}\nasked at {asked_at}", unwanted(&unexpected, &found));
    }
}

fn matching(expected: &Expected, queued: &[Queued]) -> Vec<Queued> {
    queued.iter().filter(|job| expected.compare(job).1.is_empty()).cloned().collect()
}

/// What a failed [`assert_enqueued`] says.
fn missed(expected: &Expected, queued: &[Queued], found: usize) -> String {
    let wish = expected.times.map_or("a job".to_owned(), jobs);
    let mut said = format!("expected {wish} to wait with {expected}; found {}\n", jobs(found));
    if queued.is_empty() {
        said.push_str("no job waits at all");
        return said;
    }
    let mut judged: Vec<_> = queued.iter().map(|job| (expected.compare(job), job)).collect();
    judged.sort_by_key(|((weight, _), _)| *weight);
    let _ = write!(said, "waiting: {}, the nearest first:", jobs(queued.len()));
    for ((_, differences), job) in judged.iter().take(SHOWN_MAX) {
        let _ = write!(said, "\n- {job}");
        let verdict = if differences.is_empty() { "as expected" } else { &differences.join("; ") };
        let _ = write!(said, "\n    {verdict}");
    }
    rest(&mut said, queued.len());
    said
}

/// What a failed [`refute_enqueued`] says.
fn unwanted(unexpected: &Expected, found: &[Queued]) -> String {
    let mut said = format!("expected no job to wait with {unexpected}; found {}:", jobs(found.len()));
    for job in found.iter().take(SHOWN_MAX) {
        let _ = write!(said, "\n- {job}");
    }
    rest(&mut said, found.len());
    said
}

fn jobs(n: usize) -> String {
    if n == 1 { "1 job".to_owned() } else { format!("{n} jobs") }
}

fn rest(said: &mut String, jobs: usize) {
    if jobs > SHOWN_MAX {
        let _ = write!(said, "\nand {} more", jobs - SHOWN_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use serde_json::{Value, json};

    use super::*;
    use crate::JobId;

    fn job(kind: &str, payload: Value) -> Queued {
        Queued {
            id: JobId::new(1, DateTime::UNIX_EPOCH),
            kind: kind.to_owned(),
            queue: "chat".to_owned(),
            station: Some("toc-s1".to_owned()),
            priority: 0,
            attempt: 0,
            dedupe_key: None,
            payload,
            run_at: DateTime::UNIX_EPOCH,
            starts_in: Duration::ZERO,
        }
    }

    #[test]
    fn a_miss_shows_what_waits_and_how_it_differs_with_the_nearest_first() {
        let later = Queued {
            dedupe_key: Some("k".to_owned()),
            starts_in: Duration::from_millis(59_940),
            station: None,
            ..job("post_chat", json!({ "channel": "ops", "text": "all well", "more": { "a": 1, "b": [2] } }))
        };
        let waiting =
            [job("update_audit", json!({ "audit": 7 })), later, job("post_chat", json!({ "text": "not so well" }))];
        let expected = Expected::kind("post_chat")
            .queue("chat")
            .station("toc-s1")
            .due()
            .payload_with(json!({ "text": "all well", "more": { "b": [2] } }));
        insta::assert_snapshot!(missed(&expected, &waiting, 0), @r#"
        expected a job to wait with kind post_chat, queue chat, station toc-s1, start due, payload with {"more":{"b":[2]},"text":"all well"}; found 0 jobs
        waiting: 3 jobs, the nearest first:
        - post_chat on chat, the fleet's, priority 0, in 59.9s, key "k", payload {"channel":"ops","more":{"a":1,"b":[2]},"text":"all well"}
            station: the fleet's, not toc-s1; starts in 59.9s, not due
        - post_chat on chat, station toc-s1, priority 0, due, payload {"text":"not so well"}
            payload.more: missing, not {"b":[2]}; payload.text: "not so well", not "all well"
        - update_audit on chat, station toc-s1, priority 0, due, payload {"audit":7}
            kind: update_audit, not post_chat; payload.more: missing, not {"b":[2]}; payload.text: missing, not "all well"
        "#);
    }

    #[test]
    fn a_whole_payload_has_no_other_fields_and_a_wrong_count_is_said() {
        let waiting =
            [job("post_chat", json!({ "text": "hi", "thread": "t" })), job("post_chat", json!({ "text": "hi" }))];
        let expected = Expected::kind("post_chat").payload(json!({ "text": "hi" })).priority(0).times(2);
        assert_eq!(matching(&expected, &waiting).len(), 1);
        insta::assert_snapshot!(missed(&expected, &waiting, 1), @r#"
        expected 2 jobs to wait with kind post_chat, priority 0, payload {"text":"hi"}; found 1 job
        waiting: 2 jobs, the nearest first:
        - post_chat on chat, station toc-s1, priority 0, due, payload {"text":"hi"}
            as expected
        - post_chat on chat, station toc-s1, priority 0, due, payload {"text":"hi","thread":"t"}
            payload.thread: "t", unexpected
        "#);
    }

    #[test]
    fn a_long_list_and_a_long_payload_are_cut() {
        let waiting = vec![job("post_chat", json!({ "text": "x".repeat(5_000) })); 12];
        let said = unwanted(&Expected::any(), &waiting);
        assert!(
            said.starts_with("expected no job to wait with anything; found 12 jobs:\n- post_chat on chat"),
            "{said}"
        );
        assert!(said.ends_with("…\nand 2 more") && said.len() < 5_000, "{said}");
    }

    #[test]
    fn nothing_at_all_is_said_to_be_nothing() {
        insta::assert_snapshot!(missed(&Expected::any().fleet().dedupe_key("k"), &[], 0), @r#"
        expected a job to wait with station the fleet's, key "k"; found 0 jobs
        no job waits at all
        "#);
    }
}
