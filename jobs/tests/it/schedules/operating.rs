//! What is done to a schedule while the fleet runs: edited, triggered, deleted, listed; and by whom it may be.

use std::time::Duration;

use jobs::{
    Scope,
    kinds::Kinds,
    schedules::{Changes, Missed, NewSchedule, create, delete, edit, find, list, pause, resume, tick, trigger},
    stations::{NewStation, Role, register},
    testing::{TestDatabase, assert_enqueued, refute_enqueued},
};
use serde_json::json;

use super::{created, edited, job, new, shown};

#[tokio::test]
async fn a_stations_schedule_has_its_zone_and_makes_its_jobs_and_is_no_others_to_see() {
    let db = TestDatabase::new().await;
    let berlin = NewStation {
        slug: "berlin".to_owned(),
        callsign: "BERLIN".to_owned(),
        role: Role::Ops,
        time_zone: "Europe/Berlin".to_owned(),
        default_channel: "berlin".to_owned(),
    };
    let berlin = Scope::Station(register(&db.database, &berlin).await.unwrap().id);
    let other = Scope::Station(db.station("other", Role::Ops).await.id);
    let kinds = Kinds::released();
    let view = create(&db.database, &kinds, berlin, &new("own", "0 6 * * *")).await.unwrap();
    assert_eq!((view.station.as_deref(), &*view.time_zone), (Some("berlin"), "Europe/Berlin"));
    created(&db, &new("fleets", "1h")).await;
    let foreign = NewSchedule { station: Some("berlin".to_owned()), ..new("foreign", "1h") };
    assert!(create(&db.database, &kinds, other, &foreign).await.unwrap_err().to_string().starts_with("station: "));
    trigger(&db.database, berlin, "own").await.unwrap().unwrap();
    assert_enqueued(&db, job("own").station("berlin").due().times(1)).await;

    assert_eq!(list(&db.database, berlin, None).await.unwrap(), [shown(&db, "own").await]);
    assert_eq!(list(&db.database, other, None).await.unwrap(), []);
    for name in ["own", "fleets"] {
        assert_eq!(find(&db.database, other, name).await.unwrap(), None);
        assert_eq!(edit(&db.database, &kinds, other, name, &Changes::default()).await.unwrap(), None);
        assert_eq!(pause(&db.database, other, name).await.unwrap(), None);
        assert_eq!(resume(&db.database, other, name).await.unwrap(), None);
        assert_eq!(trigger(&db.database, other, name).await.unwrap(), None);
        assert!(!delete(&db.database, other, name).await.unwrap());
    }
    assert!(delete(&db.database, berlin, "own").await.unwrap());
    assert!(!delete(&db.database, Scope::Fleet, "own").await.unwrap());
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_keeps_the_next_tick_unless_that_is_another() {
    let db = TestDatabase::new().await;
    let before = created(&db, &new("s", "0 * * * *")).await;
    let changes = Changes {
        payload: Some(json!({ "channel": "ops", "text": "other" })),
        priority: Some(7),
        missed: Some(Missed::Skip),
        ..Changes::default()
    };
    let after = edited(&db, "s", changes).await;
    assert_eq!((&after.next, after.priority, &*after.missed), (&before.next, 7, "skip"));
    assert_eq!(after.payload["text"], "other");
    let jitter = Changes { jitter: Some(Duration::from_secs(1_800)), ..Changes::default() };
    let jittered = edited(&db, "s", jitter).await;
    assert_eq!(jittered.next[0].at, before.next[0].at);
    assert!(jittered.next.iter().any(|tick| tick.run_at > tick.at));
    let often = Changes { expression: Some("1m".to_owned()), ..Changes::default() };
    assert!(edited(&db, "s", often).await.next[4].at - after.updated_at <= chrono::TimeDelta::seconds(301));
    for (wrong, said) in [
        (Changes { expression: Some("0 0 30 2 *".to_owned()), ..Changes::default() }, "never fires again"),
        (Changes { payload: Some(json!({})), ..Changes::default() }, "doesn't decode as post_chat"),
        (Changes { kind: Some("fly".to_owned()), ..Changes::default() }, "nobody knows"),
        (Changes { time_zone: Some("Mars".to_owned()), ..Changes::default() }, "no IANA time zone"),
        (Changes { missed: Some(Missed::All(0)), ..Changes::default() }, "missed: \"all:0\" is not"),
        (Changes { queue: Some(String::new()), ..Changes::default() }, "queue: expected"),
    ] {
        let kept = shown(&db, "s").await;
        let refused = edit(&db.database, &Kinds::released(), Scope::Fleet, "s", &wrong).await.unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
        assert_eq!(shown(&db, "s").await, kept);
    }
}

#[tokio::test]
async fn what_was_due_before_an_edit_fires_as_it_was() {
    let db = TestDatabase::new().await;
    created(&db, &new("s", "1m")).await;
    db.advance(Duration::from_secs(61)).await;
    let other = json!({ "channel": "ops", "text": "other" });
    edited(&db, "s", Changes { expression: Some("1h".to_owned()), payload: Some(other), ..Changes::default() }).await;
    assert_enqueued(&db, job("s").times(1)).await;
    refute_enqueued(&db, job("other")).await;
    assert_eq!(tick(&db.database).await.unwrap().jobs, 0);
}

#[tokio::test]
async fn now_fires_once_at_its_creation_and_again_when_an_edit_says_now() {
    let db = TestDatabase::new().await;
    let view = created(&db, &new("once", "now")).await;
    assert_eq!((view.state, view.ended.as_deref()), ("ended", Some("its expression never fires again")));
    assert_eq!(assert_enqueued(&db, job("once").due().times(1)).await[0].id, view.last_job_id.unwrap());
    assert_eq!(tick(&db.database).await.unwrap().jobs, 0);
    db.advance(Duration::from_secs(5)).await;
    edited(&db, "once", Changes { priority: Some(1), ..Changes::default() }).await;
    assert_enqueued(&db, job("once").times(1)).await;
    let again = Changes { expression: Some("now".to_owned()), ..Changes::default() };
    assert_eq!(edited(&db, "once", again).await.state, "ended");
    assert_enqueued(&db, job("once").times(2)).await;
    let goes_on = Changes { expression: Some("1h".to_owned()), ..Changes::default() };
    let view = edited(&db, "once", goes_on).await;
    assert_eq!((view.state, view.ended, view.next.len()), ("active", None, 5));
}

#[tokio::test]
async fn a_trigger_makes_one_more_job_paused_or_not_and_moves_no_tick() {
    let db = TestDatabase::new().await;
    let before = created(&db, &NewSchedule { priority: 3, ..new("s", "1h") }).await;
    let job_id = trigger(&db.database, Scope::Fleet, "s").await.unwrap().unwrap();
    let after = shown(&db, "s").await;
    assert_eq!((after.next, after.last_job_id), (before.next, Some(job_id)));
    pause(&db.database, Scope::Fleet, "s").await.unwrap();
    trigger(&db.database, Scope::Fleet, "s").await.unwrap().unwrap();
    assert_enqueued(&db, job("s").queue("chat").priority(3).due().times(2)).await;
}

#[tokio::test]
async fn a_list_goes_on_behind_a_name() {
    let db = TestDatabase::new().await;
    for name in ["b", "a", "c"] {
        created(&db, &NewSchedule { paused: true, ..new(name, "1h") }).await;
    }
    let names = async |after| -> Vec<String> {
        list(&db.database, Scope::Fleet, after).await.unwrap().into_iter().map(|view| view.name).collect()
    };
    assert_eq!(names(None).await, ["a", "b", "c"]);
    assert_eq!(names(Some("a")).await, ["b", "c"]);
}
