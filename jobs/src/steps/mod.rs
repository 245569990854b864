//! How the steps of a playbook meet the database. What a step computes is decided in `agents`; here its input is read
//! from and its result written to the station's own schema, under the run's lease.

mod collect;
mod correlate;

use agents::{
    actions::{Action, compose, post},
    playbooks::{Context, Playbook},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    kinds::{Cx, Failure, follow_up_key, post_chat::PostChat},
    queue::NewJob,
    stations::Station,
    telemetry::StoredTrack,
};

/// What performing a step came to, not yet written.
#[derive(Debug, Default)]
pub(crate) struct Performed {
    /// The result that later steps see.
    pub(crate) result: Value,
    /// Tracks to store.
    pub(crate) tracks: Vec<StoredTrack>,
    /// Jobs that exist only if the result is stored.
    pub(crate) jobs: Vec<NewJob>,
}

/// One step of one run.
#[derive(Debug)]
pub(crate) struct Performing<'a> {
    pub(crate) cx: &'a Cx,
    pub(crate) station: &'a Station,
    pub(crate) playbook: &'a Playbook,
    pub(crate) context: &'a Context,
    pub(crate) step: &'a str,
    pub(crate) audit: Option<Uuid>,
}

/// Performs a step. Readings it collects are stored as they come, since a repeat finds them there; everything else is
/// in the answer, for the transaction that stores the step.
pub(crate) async fn perform(performing: &Performing<'_>, action: Action, input: &Value) -> Result<Performed, Failure> {
    match action {
        Action::Collect => collect::perform(performing, input).await,
        Action::Correlate => correlate::perform(performing, input).await,
        Action::Compose => {
            let composed = compose::compose(input, performing.context).map_err(hopeless)?;
            Ok(Performed { result: json(&composed)?, ..Performed::default() })
        }
        Action::Post => post(performing, input),
    }
}

fn post(performing: &Performing<'_>, input: &Value) -> Result<Performed, Failure> {
    let outgoing = post::resolve(input, performing.context).map_err(hopeless)?;
    let concludes = concluding_post(performing.playbook) == Some(performing.step);
    let payload = PostChat {
        channel: outgoing.channel.clone(),
        thread: outgoing.message.thread.clone(),
        text: outgoing.message.text,
        audit_id: performing.audit.filter(|_| concludes),
    };
    let mut job = performing.cx.follow_up(&payload)?;
    job.dedupe = Some(follow_up_key(performing.cx.attempt.id, performing.step));
    let result = json!({ "channel": outgoing.channel, "thread": outgoing.message.thread, "queued": true });
    Ok(Performed { result, jobs: vec![job], ..Performed::default() })
}

/// The step whose message concludes the action that asked for the run: the last one that posts.
pub(crate) fn concluding_post(playbook: &Playbook) -> Option<&str> {
    playbook.steps.iter().rev().find(|step| step.action == Action::Post).map(|step| step.id.as_str())
}

/// A step that fails the same way however often it is tried.
fn hopeless(error: impl std::fmt::Display) -> Failure {
    Failure::Hopeless(error.to_string())
}

fn json(value: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(hopeless)
}
