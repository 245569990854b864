//! In and out together: a producer kept in step with whoever drains, for minutes, on top of what is there already. What
//! is of interest is not the rate alone but whether it falls, and whether dead tuples and tables grow without end.

mod flow;
mod sample;

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};

pub(crate) use self::sample::Sample;
use self::{
    flow::Flow,
    sample::{TableSizes, table_sizes},
};
use crate::{
    cluster::{Cluster, Fresh},
    floor::sql::{ENGINE_TABLES, FILL_ONE_TABLE, MAKE_ONE_TABLE, ONE_TABLE},
    stock::{Stock, sit_idle},
};

/// Between two samples, unless the course is too short for eight of them.
const SAMPLE_EVERY: Duration = Duration::from_secs(30);
/// How long jobs come and go beside an idle transaction.
const BESIDE_IDLE_MINUTES: f64 = 2.0;

/// Whose course it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Drainer {
    /// A worker of the engine.
    Engine,
    /// Bare SQL on the engine's tables.
    Floor,
    /// Bare SQL on one table updated in place.
    FloorOneTable,
}

/// What happened to one drainer over the minutes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Course {
    /// Who.
    pub(crate) who: Drainer,
    /// Jobs that waited, and finished ones that lay there, at the start.
    pub(crate) on_top_of: usize,
    /// Whether somebody sat idle in a transaction from the start to the end.
    pub(crate) idle_transaction: bool,
    /// How long it took.
    pub(crate) minutes: f64,
    /// In the order of time.
    pub(crate) samples: Vec<Sample>,
    /// Jobs finished per second from the start to the end.
    pub(crate) finished_per_s: f64,
    /// The rate of the last third by that of the first: under 1 it fell. None when nothing was finished at first.
    pub(crate) last_third_of_first: Option<f64>,
    /// Dead tuples of all tables at most.
    pub(crate) dead_tuples_most: i64,
}

/// Each of `drainers`, one after another, on a backlog and a history of `backlog` jobs.
pub(crate) async fn on_top_of_everything(
    cluster: &Cluster,
    stock: &Stock<'_>,
    drainers: &[Drainer],
    (backlog, minutes): (usize, f64),
) -> anyhow::Result<Vec<Course>> {
    let mut courses = Vec::new();
    for who in drainers.iter().copied() {
        let fresh = match who {
            Drainer::FloorOneTable => one_table(cluster, backlog).await?,
            _ => stock.full().await?,
        };
        courses.push(run(who, &fresh, backlog, minutes, false).await?);
        cluster.drop(fresh).await?;
    }
    Ok(courses)
}

/// The engine without and with somebody who sits idle in a transaction, on a backlog of `backlog` jobs.
pub(crate) async fn beside_an_idle_transaction(cluster: &Cluster, backlog: usize) -> anyhow::Result<Vec<Course>> {
    let mut courses = Vec::new();
    let stock = Stock::new(cluster, 0, backlog, 0);
    for idle_transaction in [false, true] {
        let fresh = stock.full().await?;
        courses.push(run(Drainer::Engine, &fresh, backlog, BESIDE_IDLE_MINUTES, idle_transaction).await?);
        cluster.drop(fresh).await?;
    }
    Ok(courses)
}

async fn one_table(cluster: &Cluster, backlog: usize) -> anyhow::Result<Fresh> {
    let fresh = cluster.migrated().await?;
    let mut owner = fresh.owner().await?;
    sqlx::raw_sql(MAKE_ONE_TABLE).execute(&mut owner).await?;
    eprintln!("  filling one table with twice {backlog} jobs …");
    sqlx::query(FILL_ONE_TABLE)
        .bind(i64::try_from(backlog)?)
        .bind(serde_json::json!({ "filler": crate::engine::kinds::FILLER }))
        .execute(&mut owner)
        .await?;
    fresh.settle().await?;
    Ok(fresh)
}

async fn run(
    who: Drainer,
    fresh: &Fresh,
    on_top_of: usize,
    minutes: f64,
    idle_transaction: bool,
) -> anyhow::Result<Course> {
    let beside = if idle_transaction { " beside an idle transaction" } else { "" };
    eprintln!("  {who}: in and out for {minutes} min{beside}");
    let idle = if idle_transaction { Some(sit_idle(fresh).await?) } else { None };
    let length = Duration::from_secs_f64(minutes * 60.0);
    let started = Instant::now();
    let mut flow = match who {
        Drainer::Engine => Flow::of_engine(fresh).await?,
        Drainer::Floor => Flow::of_floor(fresh, ENGINE_TABLES).await?,
        Drainer::FloorOneTable => Flow::of_floor(fresh, ONE_TABLE).await?,
    };
    let mut pace = tokio::time::interval(SAMPLE_EVERY.min(length / 8));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace.tick().await;
    let (mut samples, mut last) = (Vec::<Sample>::new(), (started, 0, 0));
    while started.elapsed() < length {
        pace.tick().await;
        let now = (Instant::now(), flow.finished().await?, flow.enqueued());
        let tables: TableSizes = table_sizes(fresh).await?;
        let sample = Sample::between(started, last, now, tables);
        eprintln!(
            "    {:>4.0} s: {:.0} in/s, {:.0} out/s, {} dead",
            sample.at_s,
            sample.enqueued_per_s,
            sample.finished_per_s,
            sample.dead_tuples()
        );
        samples.push(sample);
        last = now;
    }
    flow.stop().await?;
    drop(idle);
    let finished_per_s = last.1 as f64 / (last.0 - started).as_secs_f64();
    let dead_tuples_most = samples.iter().map(Sample::dead_tuples).max().unwrap_or(0);
    let last_third_of_first = last_third_of_first(&samples);
    Ok(Course {
        who,
        on_top_of,
        idle_transaction,
        minutes,
        samples,
        finished_per_s,
        last_third_of_first,
        dead_tuples_most,
    })
}

fn last_third_of_first(samples: &[Sample]) -> Option<f64> {
    let third = (samples.len() / 3).max(1).min(samples.len());
    let rate = |samples: &[Sample]| samples.iter().map(|sample| sample.finished_per_s).sum::<f64>();
    let (first, last) = (rate(&samples[..third]), rate(&samples[samples.len() - third..]));
    (first > 0.0).then(|| last / first)
}

impl std::fmt::Display for Drainer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Engine => "engine",
            Self::Floor => "floor",
            Self::FloorOneTable => "floor, one table",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_that_halves_says_so() {
        let sample = |finished_per_s| Sample { finished_per_s, ..Sample::default() };
        let falling = [10.0, 10.0, 7.0, 7.0, 5.0, 5.0].map(sample);
        assert_eq!(last_third_of_first(&falling), Some(0.5));
        assert_eq!(last_third_of_first(&[sample(3.0)]), Some(1.0));
        assert_eq!(last_third_of_first(&[sample(0.0)]), None);
    }
}
