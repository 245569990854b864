//! `run_playbook`: runs a playbook step by step. Each step's result is stored in the transaction that enqueues what
//! follows from it, so an attempt after a crash goes on behind the last stored step, with the playbook as it was.

use std::{collections::BTreeMap, time::Duration};

use agents::playbooks::{Context, Next, Retry, Run, Station as StationFacts, next};
use chrono::SubsecRound;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Cx, Failure, Kind, Policy, follow_up_key, update_audit::UpdateAudit};
use crate::{
    Error, Scope,
    audits::AuditStatus,
    queue::{Backoff, Fate, NewJob},
    runs::{self, Begun},
    stations::{self, Station},
    steps::{Performed, Performing, concluding_post, perform},
    telemetry,
};

/// The payload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunPlaybook {
    /// The playbook's name.
    pub playbook: String,
    /// Its parameters, checked and with defaults.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// Where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The thread it was asked for in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// The audit of the action that this run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<Uuid>,
}

impl Kind for RunPlaybook {
    const NAME: &'static str = "run_playbook";
    const POLICY: Policy = Policy {
        queue: "playbooks",
        attempts_max: 8,
        time_limit: Duration::from_secs(600),
        backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(900) },
    };

    async fn run(self, cx: &Cx) -> Result<Fate, Failure> {
        let station = station_of(cx).await?;
        let mut run = self.begin(cx, &station).await?;
        loop {
            let context = self.context(&station, &run);
            match next(&run.playbook, &context).map_err(|error| Failure::Hopeless(error.to_string()))? {
                Next::Step { id, action, input, timeout, retry } => {
                    let performing = Performing {
                        cx,
                        station: &station,
                        playbook: &run.playbook,
                        context: &context,
                        step: &id,
                        audit: self.audit_id,
                    };
                    let performed = tried(retry, timeout, || perform(&performing, action, &input)).await?;
                    store(cx, &station, &run, &id, "done", &performed).await?;
                    run.steps.push((id, performed.result));
                }
                Next::Skip { id } => {
                    store(cx, &station, &run, &id, "skipped", &Performed::default()).await?;
                    run.steps.push((id, Value::Null));
                }
                Next::Done { reply } => return self.end(cx, &run, reply).await,
            }
        }
    }
}

impl RunPlaybook {
    /// Begins the run, or takes it up where an earlier attempt left it. The audit hears of it once.
    async fn begin(&self, cx: &Cx, station: &Station) -> Result<Begun, Failure> {
        let playbook = cx
            .services
            .catalogue
            .get(&self.playbook)
            .filter(|playbook| playbook.roles.contains(&station.role))
            .ok_or_else(|| {
                Failure::Hopeless(format!("station {} has no playbook {:?}", station.slug, self.playbook))
            })?;
        let mut held = cx.attempt.lock().await?;
        let run = runs::begin(held.tx(), cx.attempt.id, station.id, playbook, &self.parameters).await?;
        if let Some(audit) = self.audit_id {
            held.enqueue(&[update(cx, audit, AuditStatus::Running, None)?]).await?;
        }
        held.commit().await?;
        Ok(run)
    }

    fn context(&self, station: &Station, run: &Begun) -> Context {
        Context {
            params: run.parameters.clone(),
            station: StationFacts {
                slug: station.slug.clone(),
                callsign: station.callsign.clone(),
                role: station.role,
                channel: station.default_channel.clone(),
            },
            run: Run {
                id: run.id.to_string(),
                // Whole seconds: a replay shifted to this moment falls on the same fractions of a second in every run.
                started_at: run.started_at.trunc_subsecs(0),
                channel: self.channel.clone(),
                thread: self.thread.clone(),
                requested_by: self.requested_by.clone(),
            },
            results: run.steps.iter().cloned().collect::<BTreeMap<_, _>>(),
        }
    }

    /// Ends the run. Its audit is concluded by the message that tells the result, or here when there is none.
    async fn end(&self, cx: &Cx, run: &Begun, reply: String) -> Result<Fate, Failure> {
        let result = json!({ "run_id": run.id, "reply": reply });
        let posted = concluding_post(&run.playbook)
            .is_some_and(|id| run.steps.iter().any(|(step, result)| step == id && !result.is_null()));
        let mut held = cx.attempt.lock().await?;
        runs::end(held.tx(), run.id, None).await?;
        if let Some(audit) = self.audit_id.filter(|_| !posted) {
            held.enqueue(&[update(cx, audit, AuditStatus::Succeeded, Some(result.clone()))?]).await?;
        }
        held.complete(Some(result)).await?;
        Ok(Fate::Committed)
    }
}

async fn station_of(cx: &Cx) -> Result<Station, Failure> {
    let id = cx.station()?;
    let database = cx.attempt.database();
    let station = database
        .bounded(async {
            let mut tx = database.begin(Scope::Station(id)).await?;
            let station = stations::by_id(&mut tx, id).await?;
            tx.commit().await?;
            Ok(station)
        })
        .await?;
    station.ok_or_else(|| Failure::Hopeless("the job's station is gone".to_owned()))
}

fn update(cx: &Cx, audit: Uuid, status: AuditStatus, result: Option<Value>) -> Result<NewJob, Error> {
    let mut job = cx.follow_up(&UpdateAudit { audit, status, result, error: None })?;
    job.dedupe = Some(follow_up_key(cx.attempt.id, status.as_str()));
    Ok(job)
}

/// Tries a step as often as it says, each try within its time limit. What fails the same way each time isn't tried again.
async fn tried<F: Future<Output = Result<Performed, Failure>>>(
    retry: Retry,
    limit: Duration,
    step: impl Fn() -> F,
) -> Result<Performed, Failure> {
    let mut tries = 1;
    loop {
        let outcome = tokio::time::timeout(limit, step())
            .await
            .unwrap_or_else(|_| Err(Failure::Other(anyhow::anyhow!("a step took longer than {limit:?}"))));
        match outcome {
            Err(failure) if tries < retry.attempts && failure.may_pass() => {
                tracing::warn!(error = %failure, "a step failed and is tried again");
                tries += 1;
                tokio::time::sleep(retry.wait).await;
            }
            outcome => return outcome,
        }
    }
}

/// Stores a step with all that follows from it.
async fn store(
    cx: &Cx,
    station: &Station,
    run: &Begun,
    step: &str,
    status: &str,
    performed: &Performed,
) -> Result<(), Failure> {
    let mut held = cx.attempt.lock().await?;
    if !performed.tracks.is_empty() {
        let tx = held.station_data(station.role, station.id).await?;
        telemetry::store_tracks(tx, station.role, station.id, run.id, &performed.tracks).await?;
    }
    runs::store_step(held.fleet().await?, run, station.id, step, status, &performed.result).await?;
    held.enqueue(&performed.jobs).await?;
    Ok(held.commit().await?)
}
