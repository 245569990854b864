//! The kinds of work there are: one file a kind, payload and behaviour together. A kind's name, once released, keeps its
//! meaning; its payload only gains optional fields. This file holds the list and what all kinds share.

mod failure;
pub mod post_chat;
pub mod run_playbook;
pub mod update_audit;

use std::{future::Future, sync::Arc, time::Duration};

use agents::{
    chat::Chat,
    connectors::{Files, Sources},
    playbooks::Catalogue,
};
use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

pub use self::failure::Failure;
use crate::{
    Error, JobId, StationId,
    queue::{Attempt, Backoff, Dedupe, Fate, NewJob, Woken, large},
};

/// The list: every released kind.
const LIST: [Entry; 3] =
    [entry::<post_chat::PostChat>(), entry::<run_playbook::RunPlaybook>(), entry::<update_audit::UpdateAudit>()];

/// How a kind is queued and how often and how long it may try.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The queue it goes to.
    pub queue: &'static str,
    /// Attempts at most.
    pub attempts_max: i16,
    /// How long one attempt may take.
    pub time_limit: Duration,
    /// How long a retry waits.
    pub backoff: Backoff,
}

impl Policy {
    /// For work whose effect must come about: 25 attempts over some days, a minute each.
    #[must_use]
    pub const fn effect(queue: &'static str) -> Self {
        Self {
            queue,
            attempts_max: 25,
            time_limit: Duration::from_secs(60),
            backoff: Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(6 * 3600) },
        }
    }
}

/// A kind of work: its fields are the payload.
pub trait Kind: Serialize + DeserializeOwned + Send + 'static {
    /// The released name: an imperative verb phrase, like the type's and the file's.
    const NAME: &'static str;
    /// How it is queued and retried.
    const POLICY: Policy;

    /// Does the work. May run twice: database effects go through [`Attempt::lock`], outbound ones carry a stable key.
    fn run(self, cx: &Cx) -> impl Future<Output = Result<Fate, Failure>> + Send;
}

/// What a running job may use.
#[derive(Debug, Clone)]
pub struct Cx {
    /// The hold on the job.
    pub attempt: Attempt,
    /// What was built once for the process.
    pub services: Arc<Services>,
}

impl Cx {
    /// The station of a job that must have one.
    ///
    /// # Errors
    /// [`Failure::Hopeless`] when it has none.
    pub fn station(&self) -> Result<StationId, Failure> {
        self.attempt.held.station.ok_or_else(|| Failure::Hopeless("the job belongs to no station".to_owned()))
    }

    /// What ended the job's last wait; nothing when it hasn't waited.
    ///
    /// # Errors
    /// [`Failure::Database`] without the database.
    pub async fn woken(&self) -> Result<Option<Woken>, Failure> {
        Ok(self.attempt.woken().await?)
    }

    /// A job of kind `K` on this job's behalf and for its station.
    ///
    /// # Errors
    /// As [`new_job`].
    pub fn follow_up<K: Kind>(&self, payload: &K) -> Result<NewJob, Error> {
        let mut job = new_job(payload, self.attempt.held.station)?;
        job.parent = Some(self.attempt.id);
        job.trace_parent.clone_from(&self.attempt.trace_parent);
        Ok(job)
    }
}

/// What the process built once for all its jobs.
#[derive(Debug)]
pub struct Services {
    /// Where posts go.
    pub chat: Chat,
    /// The playbooks.
    pub catalogue: Arc<Catalogue>,
    /// The sources of every station.
    pub sources: Sources,
    /// Where recordings are read from.
    pub files: Files,
}

/// One line of the list.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The released name.
    pub name: &'static str,
    /// How it is queued and retried.
    pub policy: Policy,
    run: fn(Box<RawValue>, Cx) -> BoxFuture<'static, Fate>,
    check: fn(&Value) -> Result<(), serde_json::Error>,
}

/// The list line of a kind.
#[must_use]
pub const fn entry<K: Kind>() -> Entry {
    Entry { name: K::NAME, policy: K::POLICY, run: run::<K>, check: check::<K> }
}

fn check<K: Kind>(payload: &Value) -> Result<(), serde_json::Error> {
    K::deserialize(payload).map(drop)
}

fn run<K: Kind>(payload: Box<RawValue>, cx: Cx) -> BoxFuture<'static, Fate> {
    Box::pin(async move {
        let payload = if large::is_beside(&payload) {
            // Boxed apart: the room that its calls need would be moved about with each of the many jobs that don't.
            match Box::pin(large::whole(&cx.attempt)).await {
                Ok(payload) => payload,
                Err(error) => return Failure::from(error).fate(),
            }
        } else {
            payload
        };
        match serde_json::from_str::<K>(payload.get()) {
            Ok(kind) => kind.run(&cx).await.unwrap_or_else(Failure::fate),
            Err(error) => Fate::Dead(format!("the payload doesn't decode as {}: {error}", K::NAME)),
        }
    })
}

/// The kinds one process knows.
#[derive(Debug, Clone)]
pub struct Kinds {
    entries: Vec<Entry>,
}

impl Kinds {
    /// Every released kind.
    #[must_use]
    pub fn released() -> Self {
        Self { entries: LIST.to_vec() }
    }

    /// The same and one more, for people who write kinds.
    #[must_use]
    pub fn with(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.entries.iter().map(|entry| entry.name.to_owned()).collect()
    }

    /// The kind of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

impl Entry {
    /// Decodes and runs one job.
    #[must_use]
    pub fn run(&self, payload: Box<RawValue>, cx: Cx) -> BoxFuture<'static, Fate> {
        (self.run)(payload, cx)
    }

    /// Whether `payload` decodes, for who wants to know before a job of it is enqueued.
    ///
    /// # Errors
    /// What the kind has against it.
    pub fn check(&self, payload: &Value) -> Result<(), serde_json::Error> {
        (self.check)(payload)
    }
}

/// A job of kind `K`, ready to be enqueued.
///
/// # Errors
/// [`Error::Internal`] when the payload isn't JSON.
pub fn new_job<K: Kind>(payload: &K, station: Option<StationId>) -> Result<NewJob, Error> {
    Ok(NewJob {
        queue: K::POLICY.queue.to_owned(),
        kind: K::NAME.to_owned(),
        station,
        priority: 0,
        delay: Duration::ZERO,
        attempts_max: K::POLICY.attempts_max,
        dedupe: None,
        parent: None,
        trace_parent: None,
        payload: serde_json::to_value(payload).map_err(|error| Error::Internal(error.to_string()))?,
    })
}

/// The key that makes a follow-up of `job` the same job whenever it is enqueued again.
#[must_use]
pub fn follow_up_key(job: JobId, name: &str) -> Dedupe {
    Dedupe { key: format!("{job}:{name}"), keep_for: Some(Duration::from_secs(24 * 3600)) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Kinds;

    #[test]
    fn the_list_of_kinds_equals_the_files() {
        let files: BTreeSet<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/kinds"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .filter(|stem| !["mod", "failure"].contains(&stem.as_str()))
            .collect();
        assert_eq!(files, Kinds::released().names().into_iter().collect());
    }
}
