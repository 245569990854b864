//! Playbook runs: what a run writes into its station's own schema, and that a run whose job ends without success ends too,
//! with the audit that waits for it.

use jobs::{
    Database, JobId, PageRequest, Scope,
    accept::Answer,
    audits,
    kinds::Kinds,
    queue::{
        Claim, Claimed, Ending, Fate, Outcome,
        cancel::{Cancelled, cancel},
        claim::claim,
        finish::finish,
    },
    runs,
    testing::services,
};
use serde_json::json;
use uuid::Uuid;
use workers::testing::Workbench;

use crate::{
    accept::{By, Hall},
    fleet::LEASE,
};

/// A run that was asked for and is claimed.
struct Asked {
    hall: Hall,
    job: JobId,
    claimed: Claimed,
}

async fn claim_run(database: &Database) -> Claimed {
    let (queues, kinds) = (["playbooks".to_owned()], ["run_playbook".to_owned()]);
    let wish = Claim { worker: Uuid::now_v7(), queues: &queues, kinds: &kinds, limit: 1, lease: LEASE };
    claim(database, &wish).await.unwrap().remove(0)
}

pub(crate) async fn ask() -> (Hall, JobId) {
    let hall = Hall::new().await;
    let body = json!({ "channel": "toc-s1", "text": "@agent run op_airtrack_merge post=false" });
    let Answer::Accepted { job_id, .. } = hall.hears(By::default(), body).await else { panic!("not accepted") };
    (hall, job_id)
}

impl Asked {
    async fn new() -> Self {
        let (hall, job) = ask().await;
        let claimed = claim_run(&hall.base.database).await;
        Self { hall, job, claimed }
    }

    fn database(&self) -> &Database {
        &self.hall.base.database
    }

    /// Writes the run's row, as the first step of an attempt does.
    async fn begun(&self) {
        let begin = format!(
            "insert into vtoc.playbook_run (id, station_id, job_id, playbook, definition, parameters, status)
            select gen_random_uuid(), id, '{}', 'op_airtrack_merge', '{{}}', '{{}}', 'running' from vtoc.station",
            self.job
        );
        self.hall.base.execute(&begin).await;
    }

    async fn ends(&self, ending: Ending) {
        let outcome = Outcome { held: self.claimed.held.clone(), ending };
        assert_eq!(finish(self.database(), &[outcome], &[]).await.unwrap().len(), 1);
    }

    /// The status of the run and of the audit, and the audit's error.
    async fn story(&self) -> (String, String, Option<String>) {
        let run = runs::list(self.database(), Scope::Fleet, &PageRequest::default()).await.unwrap().items.remove(0);
        let audit =
            audits::list(self.database(), Scope::Fleet, &audits::AuditFilter::default(), &PageRequest::default())
                .await
                .unwrap()
                .items
                .remove(0);
        (run.status, audit.status, audit.error)
    }
}

async fn workbench(hall: &Hall) -> Workbench {
    Workbench::new(&hall.base, Kinds::released(), services()).await
}

#[tokio::test]
async fn a_dead_job_fails_its_run_and_its_audit_with_the_reason() {
    for outcome in ["dead", "timed_out", "panicked"] {
        let asked = Asked::new().await;
        asked.begun().await;
        asked.ends(Ending::Dead { outcome, error: "the sky fell".to_owned() }).await;
        assert_eq!(asked.story().await, ("failed".to_owned(), "failed".to_owned(), Some("the sky fell".to_owned())));
    }
}

#[tokio::test]
async fn a_retry_leaves_run_and_audit_as_they_are() {
    let asked = Asked::new().await;
    asked.begun().await;
    let retry = Ending::Again {
        delay: std::time::Duration::ZERO,
        burned: true,
        outcome: "retry",
        error: Some("no".to_owned()),
    };
    asked.ends(retry).await;
    assert_eq!(asked.story().await, ("running".to_owned(), "queued".to_owned(), None));
}

#[tokio::test]
async fn a_job_called_off_before_it_ran_fails_its_audit() {
    let (hall, job) = ask().await;
    assert_eq!(cancel(&hall.base.database, Scope::Fleet, job, "not needed").await.unwrap(), Cancelled::Now);
    let audit = hall.base.text("select status || ': ' || error from vtoc.audit").await;
    assert_eq!(audit.as_deref(), Some("failed: not needed"));
}

#[tokio::test]
async fn a_job_of_one_station_cannot_end_the_audit_of_another() {
    let asked = Asked::new().await;
    asked.begun().await;
    let other = asked.hall.base.station("toc-s2", jobs::stations::Role::Ops).await.id.0;
    asked.hall.base.execute(&format!("update vtoc.audit set station_id = {other}")).await;
    asked.ends(Ending::Cancelled("enough".to_owned())).await;
    assert_eq!(asked.hall.base.text("select status from vtoc.audit").await.as_deref(), Some("queued"));
}

#[tokio::test]
async fn a_run_writes_readings_and_tracks_into_its_stations_schema_and_ends_with_its_job() {
    let (hall, job) = ask().await;
    assert_eq!(workbench(&hall).await.perform_job(job).await.fate, Fate::Committed);
    let (base, database) = (&hall.base, &hall.base.database);
    let readings =
        base.count("select count(*) from ops.telemetry_event where station_id = (select id from vtoc.station)").await;
    assert!(readings > 1_000, "{readings}");
    assert!(base.count("select count(*) from ops.track").await > 10);
    for schema in ["intel", "logistics"] {
        assert_eq!(base.count(&format!("select count(*) from {schema}.telemetry_event")).await, 0);
    }
    let run = runs::list(database, Scope::Fleet, &PageRequest::default()).await.unwrap().items.remove(0);
    let detail = runs::find(database, Scope::Fleet, run.id).await.unwrap().unwrap();
    let steps: Vec<(&str, &str)> = detail.steps.iter().map(|step| (step.step.as_str(), step.status.as_str())).collect();
    assert_eq!(steps, [("collect", "done"), ("correlate", "done"), ("compose", "done"), ("post", "skipped")]);
    assert_eq!((run.status.as_str(), run.job_id), ("succeeded", job.uuid()));
    assert_eq!(base.count("select count(*) from vtoc.job_finished where state = 'done'").await, 1);
}

#[tokio::test]
async fn a_second_attempt_goes_on_behind_the_stored_steps_and_stores_no_reading_twice() {
    let (hall, job) = ask().await;
    let (base, workbench) = (&hall.base, workbench(&hall).await);
    base.execute("create function vtoc.refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end'; create trigger refuse before insert on vtoc.playbook_step for each row when (new.step = 'compose') execute function vtoc.refuse()").await;
    assert!(matches!(workbench.perform_job(job).await.fate, Fate::Retry { .. }));
    base.execute("drop trigger refuse on vtoc.playbook_step").await;
    let stored = async || {
        let collected = base.text("select xmin::text from vtoc.playbook_step where step = 'collect'").await;
        (base.count("select count(*) from ops.telemetry_event").await, collected)
    };
    let before = stored().await;
    assert_eq!(workbench.perform_job(job).await.fate, Fate::Committed);
    assert_eq!(stored().await, before);
    assert_eq!(base.count("select count(*) from vtoc.playbook_run").await, 1);
}
