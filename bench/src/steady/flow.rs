//! A producer and a drainer that run side by side until they are stopped. The producer stays a little ahead of what was
//! finished, so that the backlog neither grows nor shrinks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::Fresh,
    engine::{BATCH, kinds, one_transaction, worker::InProcess},
    floor::{Claimer, Producer, sql::Statements},
};

/// How far ahead the producer may be.
const AHEAD: i64 = 5_000;
/// How long it waits when it is.
const BREATH: Duration = Duration::from_millis(1);
/// Jobs at once in the engine's worker.
const CONCURRENCY: usize = 200;
/// Connections that claim and finish by bare SQL.
const CONNECTIONS: usize = 2;

/// Both sides, running.
pub(super) struct Flow {
    enqueued: Arc<AtomicI64>,
    drained: Drained,
    tasks: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
    worker: Option<InProcess>,
}

/// How many are finished: bare SQL knows, the engine's rows are counted by the server as they are inserted.
enum Drained {
    Acknowledged(Arc<AtomicI64>),
    Inserted { fresh: Fresh, before: i64 },
}

impl Flow {
    /// Of a worker of the engine and its batch enqueue.
    pub(super) async fn of_engine(fresh: &Fresh) -> anyhow::Result<Self> {
        let before = inserted(fresh).await?;
        let (enqueued, stop) = (Arc::new(AtomicI64::new(0)), CancellationToken::new());
        let (mut tasks, ran_before) = (JoinSet::new(), kinds::RUN.load(Ordering::Relaxed));
        let database = fresh.application(1)?;
        let (counted, stopped) = (Arc::clone(&enqueued), stop.clone());
        tasks.spawn(async move {
            let batch = vec![kinds::noop()?; BATCH];
            while !stopped.is_cancelled() {
                // In step with what has run: what is finished follows within milliseconds.
                if counted.load(Ordering::Relaxed) > kinds::RUN.load(Ordering::Relaxed) - ran_before + AHEAD {
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
                one_transaction(&database, &batch).await?;
                counted.fetch_add(i64::try_from(BATCH)?, Ordering::Relaxed);
            }
            Ok(())
        });
        let worker = Some(InProcess::start(&fresh.url, CONCURRENCY)?);
        Ok(Self { enqueued, drained: Drained::Inserted { fresh: fresh.clone(), before }, tasks, stop, worker })
    }

    /// Of bare SQL.
    pub(super) async fn of_floor(fresh: &Fresh, statements: Statements) -> anyhow::Result<Self> {
        let (enqueued, finished) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let mut producer = Producer::connect(&fresh.owner_url, statements).await?;
        let (counted, done, stopped) = (Arc::clone(&enqueued), Arc::clone(&finished), stop.clone());
        tasks.spawn(async move {
            while !stopped.is_cancelled() {
                if counted.load(Ordering::Relaxed) > done.load(Ordering::Relaxed) + AHEAD {
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
                producer.batch(BATCH).await?;
                counted.fetch_add(i64::try_from(BATCH)?, Ordering::Relaxed);
            }
            Ok(())
        });
        for _ in 0..CONNECTIONS {
            let mut claimer = Claimer::connect(&fresh.owner_url, statements).await?;
            let (finished, stopped) = (Arc::clone(&finished), stop.clone());
            tasks.spawn(async move {
                while !stopped.is_cancelled() {
                    finished.fetch_add(i64::try_from(claimer.turn().await?)?, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Ok(Self { enqueued, drained: Drained::Acknowledged(finished), tasks, stop, worker: None })
    }

    /// Jobs enqueued so far.
    pub(super) fn enqueued(&self) -> i64 {
        self.enqueued.load(Ordering::Relaxed)
    }

    /// Jobs finished so far, as the database says. Fails when a side has failed.
    pub(super) async fn finished(&mut self) -> anyhow::Result<i64> {
        if let Some(ended) = self.tasks.try_join_next() {
            ended??;
        }
        match &self.drained {
            Drained::Acknowledged(finished) => Ok(finished.load(Ordering::Relaxed)),
            Drained::Inserted { fresh, before } => Ok(inserted(fresh).await? - before),
        }
    }

    /// Stops both sides and waits until they have ended.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        if let Some(worker) = self.worker {
            worker.stop().await?;
        }
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// Rows of history ever inserted, by the server's own counters: counting the rows themselves would weigh on the run.
async fn inserted(fresh: &Fresh) -> anyhow::Result<i64> {
    fresh
        .number(
            "select coalesce(sum(n_tup_ins), 0)::bigint from pg_stat_user_tables
            where schemaname = 'vtoc' and relname like 'job_finished%'",
        )
        .await
}
