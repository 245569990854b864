//! Schedules on a real database. `creating` has what is stored and what is refused, `operating` what is done to a schedule and by
//! whom, `ticking` what ticks come to. When the ticks are is tested beside the code.

mod creating;
mod operating;
mod ticking;

use jobs::{
    Scope,
    kinds::Kinds,
    schedules::{Changes, NewSchedule, ScheduleView, create, edit, find},
    testing::{Expected, TestDatabase},
};
use serde_json::json;

/// A schedule that posts, of the fleet.
fn new(name: &str, expression: &str) -> NewSchedule {
    NewSchedule {
        name: name.to_owned(),
        expression: expression.to_owned(),
        kind: "post_chat".to_owned(),
        payload: json!({ "channel": "ops", "text": name }),
        ..NewSchedule::default()
    }
}

async fn created(db: &TestDatabase, new: &NewSchedule) -> ScheduleView {
    create(&db.database, &Kinds::released(), Scope::Fleet, new).await.unwrap()
}

async fn edited(db: &TestDatabase, name: &str, changes: Changes) -> ScheduleView {
    edit(&db.database, &Kinds::released(), Scope::Fleet, name, &changes).await.unwrap().unwrap()
}

async fn shown(db: &TestDatabase, name: &str) -> ScheduleView {
    find(&db.database, Scope::Fleet, name).await.unwrap().unwrap()
}

/// Jobs of the schedule that wait.
fn job(name: &str) -> Expected {
    Expected::kind("post_chat").payload_with(json!({ "text": name }))
}
