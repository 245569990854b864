//! The main job, killed at seeded points: the final state is that of a run nobody disturbed, and the message is posted once.

use jobs::{
    Wake,
    accept::{Answer, ChatMessage, Delivery, Door, chat_message},
    testing::eventually,
};

use crate::fleet::{Fleet, SOON};

const BODY: &str = r#"{"id":"evt-1","channel":"toc-s1","text":"@agent run op_airtrack_merge","user":{"id":"u1"}}"#;

/// Sends the chat message through the door, as the api does once it has verified it.
async fn ask(fleet: &Fleet) {
    let wake = Wake::silent();
    let door = Door::new(None, None, wake).unwrap();
    let delivery = Delivery { signed_id: None, body: BODY.as_bytes(), station_hint: None };
    let message: ChatMessage = serde_json::from_str(BODY).unwrap();
    let answer = chat_message(&fleet.db.database, &door, &delivery, message).await.unwrap();
    assert!(matches!(answer, Answer::Accepted { duplicate: false, .. }));
}

/// What must be the same however often somebody was killed on the way.
async fn final_state(fleet: &Fleet) -> Vec<i64> {
    eventually("the audit has succeeded", SOON, || async {
        fleet.db.text("select status from vtoc.audit").await.as_deref() == Some("succeeded")
    })
    .await;
    fleet.until_quiet().await;
    let counts = [
        "select count(*) from ops.telemetry_event",
        "select count(*) from ops.track",
        "select sum(points) from ops.track",
        "select count(*) from vtoc.playbook_run where status = 'succeeded'",
        "select count(*) from vtoc.playbook_step",
        "select count(*) from vtoc.job where kind = 'run_playbook'",
        "select count(*) from vtoc.job where kind = 'post_chat'",
        "select count(*) from vtoc.job where kind = 'update_audit'",
        "select count(*) from vtoc.job_finished where state = 'done'",
        "select count(*) from vtoc.job_finished where state <> 'done'",
    ];
    let mut state = Vec::new();
    for count in counts {
        state.push(fleet.db.count(count).await);
    }
    state
}

/// The answer without its first line, which says when.
fn answer(fleet: &Fleet) -> String {
    let texts = fleet.receiver.texts();
    assert_eq!(texts.len(), 1, "{texts:?}");
    texts[0].split_once('\n').unwrap().1.to_owned()
}

async fn undisturbed() -> (Vec<i64>, String) {
    let fleet = Fleet::new().await;
    ask(&fleet).await;
    let _worker = fleet.worker();
    let state = final_state(&fleet).await;
    (state, answer(&fleet))
}

/// Kills the worker as soon as `reached` answers at least `least`, and lets another finish.
async fn killed_when(reached: &str, least: i64) {
    let expected = undisturbed().await;
    let fleet = Fleet::new().await;
    ask(&fleet).await;
    let mut worker = fleet.worker();
    fleet.until(reached, least).await;
    worker.kill();
    let _next = fleet.worker();
    let state = final_state(&fleet).await;
    assert_eq!((state, answer(&fleet)), expected);
    assert_eq!(fleet.receiver.effects(), 1);
}

#[tokio::test]
async fn killed_right_after_the_claim_the_run_ends_as_if_nothing_had_been() {
    killed_when("select count(*) from vtoc.job_running", 1).await;
}

#[tokio::test]
async fn killed_while_it_stores_events_none_is_lost_or_doubled() {
    // Where in the recordings: another place each day; VTOC_TEST_SEED brings one back.
    let today = || chrono::Utc::now().timestamp() / 86_400;
    let seed: i64 = std::env::var("VTOC_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(today);
    eprintln!("VTOC_TEST_SEED={seed}");
    killed_when("select count(*) from ops.telemetry_event", 1_000 + seed.rem_euclid(9) * 1_000).await;
}

#[tokio::test]
async fn killed_behind_a_stored_step_it_goes_on_at_the_next() {
    killed_when("select count(*) from vtoc.playbook_step where step = 'collect'", 1).await;
}

#[tokio::test]
async fn killed_while_the_receiver_has_the_message_and_has_not_answered_it_is_posted_once() {
    let expected = undisturbed().await;
    let fleet = Fleet::new().await;
    ask(&fleet).await;
    fleet.receiver.hold();
    let mut worker = fleet.worker();
    eventually("the message is on its way", SOON, || async { fleet.receiver.requests() == 1 }).await;
    worker.kill();
    fleet.receiver.answer();
    let _next = fleet.worker();
    assert_eq!((final_state(&fleet).await, answer(&fleet)), expected);
    assert_eq!((fleet.receiver.effects(), fleet.receiver.requests()), (1, 2));
}

#[tokio::test]
async fn killed_between_the_receivers_answer_and_the_completion_it_is_posted_once() {
    let expected = undisturbed().await;
    let fleet = Fleet::new().await;
    ask(&fleet).await;
    fleet.db.execute("create function hold() returns trigger language plpgsql as 'begin perform pg_sleep(3600); return new; end'; create trigger hold before insert on vtoc.effect for each row execute function hold()").await;
    let mut worker = fleet.worker();
    fleet.until("select count(*) from pg_stat_activity where datname = current_database() and query like '%vtoc.effect%' and state = 'active' and pid <> pg_backend_pid()", 1).await;
    assert_eq!(fleet.receiver.effects(), 1);
    worker.kill();
    fleet.db.execute("drop trigger hold on vtoc.effect; select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like '%vtoc.effect%' and pid <> pg_backend_pid()").await;
    let _next = fleet.worker();
    assert_eq!((final_state(&fleet).await, answer(&fleet)), expected);
    assert_eq!(fleet.receiver.effects(), 1);
}

#[tokio::test]
async fn a_restart_under_the_same_name_takes_its_own_jobs_up_again() {
    let fleet = Fleet::new().await;
    fleet.enqueue("tell_receiver", fleet.tell(5_000)).await;
    let mut worker = fleet.worker();
    eventually("it runs", SOON, || async { fleet.receiver.requests() == 1 }).await;
    worker.kill();
    // Host and pid make the name; the id is new, and that is what counts.
    let _same = fleet.worker();
    fleet.until_finished("done", 1).await;
    assert_eq!(fleet.receiver.effects(), 1);
}
