//! From enqueue to start by bare SQL: a claimer that listens and polls as a worker does, told after each commit on a
//! connection of its own.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::json;
use sqlx::{Connection, PgConnection, postgres::PgListener};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, timeout},
};

use super::{Claimer, sql::ENGINE_TABLES};
use crate::{
    engine::{EVERY, Figures, kinds::FILLER, percentiles},
    stock::Stocked,
};

const CHANNEL: &str = "vtoc_bench_floor";
/// As a worker's.
const POLL: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
struct Numbered {
    number: usize,
}

pub(super) async fn measure(stocked: &Stocked) -> anyhow::Result<Figures> {
    let (fresh, jobs) = (&stocked.fresh, stocked.latency_jobs);
    let mut listener = PgListener::connect(&fresh.owner_url).await?;
    listener.listen(CHANNEL).await?;
    let claimer = Claimer::connect(&fresh.owner_url, ENGINE_TABLES).await?;
    let claiming = tokio::spawn(claim_all(listener, claimer, jobs));
    let hint = Arc::new(Notify::new());
    let notifying = tokio::spawn(notify(PgConnection::connect(&fresh.owner_url).await?, Arc::clone(&hint)));
    let mut producer = PgConnection::connect(&fresh.owner_url).await?;
    let mut sent = Vec::with_capacity(jobs);
    let mut pace = tokio::time::interval(EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..jobs {
        let payload = vec![json!({ "number": number, "filler": FILLER })];
        pace.tick().await;
        sent.push(Instant::now());
        sqlx::query(ENGINE_TABLES.enqueue).bind(payload).execute(&mut producer).await?;
        hint.notify_one();
    }
    let starts = claiming.await??;
    notifying.abort();
    Ok(percentiles(starts.into_iter().map(|(number, started)| started - sent[number]).collect()))
}

/// Claims and finishes until every job has been seen; answers when each started.
async fn claim_all(
    mut listener: PgListener,
    mut claimer: Claimer,
    jobs: usize,
) -> anyhow::Result<Vec<(usize, Instant)>> {
    let mut starts = Vec::with_capacity(jobs);
    while starts.len() < jobs {
        if let Ok(hint) = timeout(POLL, listener.recv()).await {
            hint?;
        }
        loop {
            let batch = claimer.claim().await?;
            let now = Instant::now();
            if batch.ids.is_empty() {
                break;
            }
            for payload in &batch.payloads {
                starts.push((serde_json::from_str::<Numbered>(payload.get())?.number, now));
            }
            claimer.finish(&batch).await?;
        }
    }
    Ok(starts)
}

async fn notify(mut connection: PgConnection, hint: Arc<Notify>) -> anyhow::Result<()> {
    loop {
        hint.notified().await;
        sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(&mut connection).await?;
    }
}
