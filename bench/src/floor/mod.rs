//! The floor: bare SQL over the engine's tables, with no tasks, handlers, renewals or waiting. What the engine costs is the
//! difference. The same code over one table updated in place is what the tables themselves are held against.

mod enqueue;
mod latency;
pub(crate) mod sql;

use std::time::Duration;

use anyhow::Context;
use serde_json::value::RawValue;
use sqlx::{Connection, PgConnection, types::Json};
use tokio::time::Instant;

pub(crate) use self::enqueue::Producer;
use self::sql::{ENGINE_TABLES, Statements};
use crate::{
    engine::{Figures, per_second},
    figure::Figure,
    measure::Measure,
    stock::Stocked,
};

/// Connections that claim and finish.
const CONNECTIONS: usize = 2;

/// The measures in which bare SQL has something to compare.
pub(crate) const CAN: [Measure; 7] = [
    Measure::Drain,
    Measure::Pending,
    Measure::Finished,
    Measure::IdleTransaction,
    Measure::Single,
    Measure::Concurrent,
    Measure::Latency,
];

/// Runs one measure of [`CAN`].
pub(crate) async fn run(measure: Measure, stocked: &Stocked) -> anyhow::Result<Figures> {
    let fresh = &stocked.fresh;
    Ok(match measure {
        Measure::Drain => {
            let enqueued = enqueue::batches(fresh, stocked.jobs).await?;
            fresh.settle().await?;
            vec![(Figure::EnqueueBatch, enqueued), (Figure::DrainNoop, drain(stocked).await?)]
        }
        Measure::Pending => {
            fresh.settle().await?;
            vec![(Figure::DrainPending, drain(stocked).await?)]
        }
        Measure::Finished => {
            enqueue::batches(fresh, stocked.jobs).await?;
            fresh.settle().await?;
            vec![(Figure::DrainFinished, drain(stocked).await?)]
        }
        Measure::IdleTransaction => {
            enqueue::batches(fresh, stocked.jobs).await?;
            fresh.settle().await?;
            let _idle = crate::stock::sit_idle(fresh).await?;
            vec![(Figure::DrainIdleTransaction, drain(stocked).await?)]
        }
        Measure::Single => vec![(Figure::EnqueueSingle, enqueue::singles(fresh, 1, 1).await?)],
        Measure::Concurrent => {
            let (producers, connections) = (crate::engine::PRODUCERS, crate::engine::SHARED_CONNECTIONS);
            vec![(Figure::EnqueueConcurrent, enqueue::singles(fresh, producers, connections).await?)]
        }
        Measure::Latency => latency::measure(stocked).await?,
        _ => Vec::new(),
    })
}

/// A claimed batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    token: i64,
    ids: Vec<i64>,
    attempts: Vec<i16>,
    payloads: Vec<Box<RawValue>>,
}

/// One connection that claims and finishes.
#[derive(Debug)]
pub(crate) struct Claimer {
    connection: PgConnection,
    statements: Statements,
}

impl Claimer {
    /// Connects.
    pub(crate) async fn connect(url: &str, statements: Statements) -> anyhow::Result<Self> {
        Ok(Self { connection: PgConnection::connect(url).await?, statements })
    }

    /// Takes up to 500 jobs and finishes them; answers how many.
    pub(crate) async fn turn(&mut self) -> anyhow::Result<usize> {
        let batch = self.claim().await?;
        if !batch.ids.is_empty() {
            self.finish(&batch).await?;
        }
        Ok(batch.ids.len())
    }

    async fn claim(&mut self) -> anyhow::Result<Batch> {
        type Row = (i64, i64, i16, Json<Box<RawValue>>);
        let rows: Vec<Row> =
            sqlx::query_as(self.statements.claim).fetch_all(&mut self.connection).await.context("the floor's claim")?;
        let mut batch = Batch::default();
        for (token, id, attempt, payload) in rows {
            batch.token = token;
            batch.ids.push(id);
            batch.attempts.push(attempt);
            batch.payloads.push(payload.0);
        }
        Ok(batch)
    }

    async fn finish(&mut self, batch: &Batch) -> anyhow::Result<()> {
        let (finished,): (i64,) = sqlx::query_as(self.statements.finish)
            .bind(batch.token)
            .bind(&batch.ids)
            .bind(&batch.attempts)
            .fetch_one(&mut self.connection)
            .await
            .context("the floor's finish")?;
        anyhow::ensure!(usize::try_from(finished)? == batch.ids.len(), "the floor finished {finished} of a batch");
        Ok(())
    }
}

/// Drains the jobs, or those in front of the backlog; answers how many a second.
async fn drain(stocked: &Stocked) -> anyhow::Result<f64> {
    let (url, jobs) = (stocked.fresh.owner_url.clone(), stocked.jobs);
    let started = Instant::now();
    let draining = (0..CONNECTIONS).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            let mut claimer = Claimer::connect(&url, ENGINE_TABLES).await?;
            let mut done = 0;
            // In front of a backlog each takes its share.
            while done < jobs {
                match claimer.turn().await? {
                    0 => break,
                    finished => done += finished,
                }
            }
            anyhow::Ok((done, started.elapsed()))
        })
    });
    let (mut done, mut elapsed) = (0, Duration::ZERO);
    for drained in futures::future::try_join_all(draining).await? {
        let (by_this, until) = drained?;
        done += by_this;
        elapsed = elapsed.max(until);
    }
    anyhow::ensure!(stocked.endless || done == jobs, "of {jobs} jobs the floor finished {done}");
    Ok(per_second(done, elapsed))
}
