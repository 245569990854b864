//! `collect`: reads the station's sources and stores what they yield, a thousand readings a transaction. Nothing is lost
//! or doubled when it is repeated: the readings' keys are the same for the same run.

use std::collections::BTreeSet;

use agents::{
    actions::collect::{Input, Output, SourceCount},
    connectors::{self, ConnectorError, Source},
    event::{Event, Quarantined},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Performed, Performing, hopeless, json};
use crate::{kinds::Failure, telemetry};

/// Readings per transaction.
const BATCH: usize = 1_000;
/// Batches decoded ahead of the database.
const AHEAD: usize = 2;

/// What a source yielded since the batch before.
#[derive(Debug, Default)]
struct Batch {
    events: Vec<Event>,
    bad: Vec<Quarantined>,
}

pub(super) async fn perform(performing: &Performing<'_>, input: &Value) -> Result<Performed, Failure> {
    let services = &performing.cx.services;
    let chosen = Input::of(input).and_then(|input| {
        let chosen = input.choose(&services.sources, &performing.station.slug)?;
        Ok(chosen.into_iter().cloned().collect::<Vec<Source>>())
    });
    let mut counts = Vec::new();
    for source in chosen.map_err(hopeless)? {
        counts.push(collect(performing, source).await?);
    }
    Ok(Performed { result: json(&Output::of(counts))?, ..Performed::default() })
}

async fn collect(performing: &Performing<'_>, source: Source) -> Result<SourceCount, Failure> {
    let mut count = SourceCount { name: source.name.clone(), ..SourceCount::default() };
    let (batches, mut received) = mpsc::channel(AHEAD);
    let files = performing.cx.services.files.clone();
    let anchor = performing.context.run.started_at;
    let (slug, kind) = (source.name.clone(), source.kind.clone());
    let reading = tokio::task::spawn_blocking(move || read(&source, &files, anchor, &batches));
    let mut days = BTreeSet::new();
    while let Some(batch) = received.recv().await {
        store(performing, &slug, &kind, &batch, &mut days, &mut count).await?;
    }
    // One source that can't be read doesn't keep the others from being heard.
    count.failed =
        reading.await.map_err(|error| anyhow::anyhow!("reading {slug}: {error}"))?.err().map(|error| error.to_string());
    Ok(count)
}

/// Decodes on a thread that may block. Stops when nobody listens any more.
fn read(
    source: &Source,
    files: &connectors::Files,
    anchor: DateTime<Utc>,
    batches: &mpsc::Sender<Batch>,
) -> Result<(), ConnectorError> {
    let mut batch = Batch::default();
    for item in connectors::read(source, files, anchor)? {
        match item {
            Ok(event) => batch.events.push(event),
            Err(bad) => batch.bad.push(bad),
        }
        if batch.events.len() + batch.bad.len() >= BATCH && batches.blocking_send(std::mem::take(&mut batch)).is_err() {
            return Ok(());
        }
    }
    // Nobody listening means the attempt is over.
    let _ = batches.blocking_send(batch);
    Ok(())
}

async fn store(
    performing: &Performing<'_>,
    slug: &str,
    kind: &str,
    batch: &Batch,
    days: &mut BTreeSet<NaiveDate>,
    count: &mut SourceCount,
) -> Result<(), Failure> {
    let (station, attempt) = (performing.station, &performing.cx.attempt);
    let missing: BTreeSet<NaiveDate> = telemetry::days_of(&batch.events).difference(days).copied().collect();
    telemetry::ensure_days(attempt.database(), station.role, &missing).await?;
    days.extend(missing);
    let mut held = attempt.lock().await?;
    let tx = held.station_data(station.role, station.id).await?;
    telemetry::ensure_source(tx, station.role, station.id, slug, kind).await?;
    let stored = telemetry::store(tx, station.role, station.id, Some(attempt.id.uuid()), &batch.events).await?;
    if !batch.bad.is_empty() {
        telemetry::quarantine(tx, station.role, station.id, slug, &batch.bad).await?;
    }
    held.commit().await?;
    count.events += batch.events.len() as u64;
    count.stored += stored.stored;
    count.duplicates += stored.repeated;
    count.quarantined += batch.bad.len() as u64;
    Ok(())
}
