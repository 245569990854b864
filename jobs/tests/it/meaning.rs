//! What a message is taken to mean, and for which station: by its body, its channel, a header, or the installation.

use jobs::{
    Wake,
    accept::{Answer, Door},
    stations::Role,
    testing::{Expected, Queued, assert_enqueued},
};
use serde_json::{Value, json};

use crate::accept::{By, Hall};

/// The only job, which must be of this kind and station, and its text.
async fn only_job(hall: &Hall, kind: &str, station: &str) -> (Queued, String) {
    assert_enqueued(&hall.base, Expected::any().times(1)).await;
    let job = assert_enqueued(&hall.base, Expected::kind(kind).station(station)).await.remove(0);
    let text = job.payload["text"].as_str().unwrap_or_default().to_owned();
    (job, text)
}

async fn ignored_because(hall: &Hall, body: Value) -> String {
    match hall.hears(By::default(), body).await {
        Answer::Ignored { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_nobodys_command_is_ignored_with_the_reason() {
    let hall = Hall::new().await;
    let command = "@agent run op_airtrack_merge";
    let cases = [
        (json!({ "channel": "toc-s1", "text": "run op_airtrack_merge" }), "@agent"),
        (json!({ "channel": "toc-s1", "text": "mail me@agent.org" }), "@agent"),
        (json!({ "channel": "toc-s1", "text": command, "type": "reaction.added" }), "type"),
        (json!({ "channel": "toc-s1", "text": command, "user": { "id": "agent" } }), "own messages"),
        (json!({ "channel": "toc-s1", "text": command, "user": { "id": "7", "name": "Vtoc-Agent" } }), "own messages"),
        (json!({ "channel": "elsewhere", "text": command }), "no station"),
        (json!({ "text": command }), "no station"),
        (json!({ "channel": "toc-s1", "station": "toc-s9", "text": command }), "no station"),
    ];
    for (body, part) in cases {
        let reason = ignored_because(&hall, body).await;
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(hall.base.count("select count(*) from vtoc.job").await, 0);
}

#[tokio::test]
async fn message_types_are_messages() {
    let hall = Hall::new().await;
    for (n, r#type) in ["message", "message.created", "chat.message"].into_iter().enumerate() {
        let body = json!({ "id": format!("{n}"), "type": r#type, "channel": "toc-s1", "text": "@agent status" });
        assert!(matches!(hall.hears(By::default(), body).await, Answer::Accepted { .. }), "{type}");
    }
}

#[tokio::test]
async fn what_cannot_be_run_is_answered_with_what_can() {
    let misunderstood = [
        "run no_such_playbook",
        "run op_airtrack_merge window=soon",
        "run op_airtrack_merge colour=red",
        "fly to the moon",
        "run",
    ];
    for said in misunderstood {
        let hall = Hall::new().await;
        hall.hears(By::default(), json!({ "channel": "toc-s1", "text": format!("@agent {said}") })).await;
        let (_, text) = only_job(&hall, "post_chat", "toc-s1").await;
        assert!(text.contains("op_airtrack_merge"), "{said}: {text}");
        assert_eq!(hall.base.count("select count(*) from vtoc.audit").await, 0);
    }
}

#[tokio::test]
async fn an_answer_repeats_little_of_what_was_said() {
    let long = "x".repeat(130_000);
    let misunderstood = [
        long.clone(),
        format!("run {long}"),
        format!("run op_airtrack_merge {long}"),
        format!("run op_airtrack_merge window={long}"),
        format!("run op_airtrack_merge {long}=1"),
        "\u{1}".repeat(130_000),
    ];
    for said in misunderstood {
        let hall = Hall::new().await;
        hall.hears(By::default(), json!({ "channel": "toc-s1", "text": format!("@agent {said}") })).await;
        let (_, text) = only_job(&hall, "post_chat", "toc-s1").await;
        assert!(
            text.chars().count() < 5_000 && text.contains('…') && text.contains("op_airtrack_merge"),
            "{text:.500}"
        );
    }
}

#[tokio::test]
async fn one_stations_answer_never_goes_to_another_stations_channel() {
    let hall = Hall::new().await;
    hall.base.station("toc-s2", Role::Ops).await;
    for said in ["status", "help", "run op_airtrack_merge", "fly"] {
        let body = json!({ "channel": "toc-s2", "station": "toc-s1", "text": format!("@agent {said}") });
        let reason = ignored_because(&hall, body).await;
        assert!(reason.contains("another station"), "{reason}");
    }
    let shared = "update vtoc.station set default_channel = 'toc-s2'";
    hall.base.execute(shared).await;
    let body = json!({ "id": "shared", "channel": "toc-s2", "station": "toc-s1", "text": "@agent help" });
    hall.hears(By::default(), body).await;
    // A channel of both is its own too.
    only_job(&hall, "post_chat", "toc-s1").await;
}

#[tokio::test]
async fn a_playbook_of_another_role_is_not_there() {
    let hall = Hall::new().await;
    hall.base.station("toc-i1", Role::Intel).await;
    hall.hears(By::default(), json!({ "channel": "toc-i1", "text": "@agent run op_airtrack_merge" })).await;
    let (_, text) = only_job(&hall, "post_chat", "toc-i1").await;
    assert!(text.contains("no playbook"), "{text}");
}

#[tokio::test]
async fn a_phrase_runs_its_playbook() {
    let hall = Hall::new().await;
    hall.hears(By::default(), json!({ "channel": "toc-s1", "text": "@agent: who is flying?" })).await;
    only_job(&hall, "run_playbook", "toc-s1").await;
}

#[tokio::test]
async fn help_and_status_are_answered_in_the_channel_and_thread_they_were_asked_in() {
    for (said, part) in [("help", "op_airtrack_merge"), ("status", "0 workers")] {
        let hall = Hall::new().await;
        hall.hears(
            By::default(),
            json!({ "channel": "lobby", "thread": "t-1", "station": "TOC-S1", "text": format!("@agent {said}") }),
        )
        .await;
        let (job, text) = only_job(&hall, "post_chat", "toc-s1").await;
        assert!(text.contains(part), "{text}");
        assert_eq!((&job.payload["channel"], &job.payload["thread"]), (&json!("lobby"), &json!("t-1")));
    }
}

#[tokio::test]
async fn the_station_is_the_bodys_then_the_channels_then_the_hints_then_the_default() {
    let hint = By { station_hint: Some("Hinted"), ..By::default() };
    let cases = [
        (hint, json!({ "station": "named", "channel": "nobodys", "text": "@agent status" }), "named"),
        (hint, json!({ "channel": "toc-s1", "text": "@agent status" }), "toc-s1"),
        (hint, json!({ "channel": "nobodys", "text": "@agent status" }), "hinted"),
        (By::default(), json!({ "channel": "nobodys", "text": "@agent status" }), "standard"),
        (By::default(), json!({ "text": "@agent status" }), "standard"),
    ];
    for (by, body, expected) in cases {
        let mut hall = Hall::new().await;
        hall.door = Door::new(None, Some("standard".to_owned()), Wake::silent()).unwrap();
        for slug in ["named", "hinted", "standard"] {
            hall.base.station(slug, Role::Ops).await;
        }
        hall.hears(by, body).await;
        only_job(&hall, "post_chat", expected).await;
        assert_eq!(
            hall.base
                .text("select s.slug from vtoc.receipt r join vtoc.station s on s.id = r.station_id")
                .await
                .as_deref(),
            Some(expected)
        );
    }
}
