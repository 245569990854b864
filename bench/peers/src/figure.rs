//! The figures, the same way for every peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::time::MissedTickBehavior;

use crate::answer::Measured;
use crate::args::{Args, Figure};
use crate::board::Board;
use crate::database::Database;
use crate::peer::{History, Peer};

/// Jobs in one call of a batch API.
const BATCH: u64 = 500;
/// What a drain may take; longer is an error that says what was left.
const PATIENCE: Duration = Duration::from_secs(120);
/// Jobs that are enqueued singly before the clock starts, so that connections and statements are warm.
const WARM_UP: u64 = 50;

/// Installs the peer and measures the figure of the command line.
pub(crate) async fn measure<P: Peer>(args: &Args, concurrency: u32) -> anyhow::Result<Measured> {
    let peer = P::install(&args.url, args.settings, concurrency).await.context("cannot install the peer")?;
    let mut database = Database::connect(&args.url).await?;
    write_history(&peer, &mut database, args.finished).await?;
    match args.figure {
        Figure::DrainNoop => drain(&peer, &mut database, args, Duration::ZERO).await,
        Figure::Drain1ms => drain(&peer, &mut database, args, Duration::from_millis(1)).await,
        Figure::EnqueueBatch => enqueue_batch(&peer, &mut database, args).await,
        Figure::EnqueueSingle => enqueue_single(&peer, &mut database, args).await,
        Figure::StartLatency => start_latency(&peer, &mut database, args).await,
    }
}

async fn fill<P: Peer>(peer: &P, jobs: u64) -> anyhow::Result<()> {
    let mut from = 0;
    while from < jobs {
        let count = BATCH.min(jobs - from);
        peer.enqueue_batch(from, count).await.context("cannot enqueue a batch")?;
        from += count;
    }
    Ok(())
}

/// Fills the peer's history, as if `jobs` had run before.
async fn write_history<P: Peer>(peer: &P, database: &mut Database, jobs: u64) -> anyhow::Result<()> {
    if jobs == 0 {
        return Ok(());
    }
    eprintln!("writing {jobs} finished jobs");
    fill(peer, jobs).await?;
    match P::HISTORY {
        History::None => bail!("the peer keeps no finished jobs"),
        History::Sql(finish) => {
            database.run(finish).await?;
            database.run("vacuum (full)").await
        }
        History::Drained => {
            let board = Board::new(jobs, Duration::ZERO);
            let worker = peer.prepare(Arc::clone(&board)).await?();
            // Not measured: the time goes with the number of jobs.
            finish(peer, database, &board, jobs, jobs, PATIENCE * 10).await?;
            peer.stop(worker).await;
            Ok(())
        }
    }
}

async fn drain<P: Peer>(peer: &P, database: &mut Database, args: &Args, work: Duration) -> anyhow::Result<Measured> {
    let total = args.jobs + args.pending;
    eprintln!("filling {total} jobs");
    fill(peer, total).await?;
    database.settle().await?;
    let board = Board::new(total, work);
    eprintln!("draining {}", args.jobs);
    let start = peer.prepare(Arc::clone(&board)).await?;
    let began = Instant::now();
    let worker = start();
    let (jobs, at) = finish(peer, database, &board, args.jobs, total, PATIENCE).await?;
    drop(worker);
    Ok(Measured::Rate { jobs, taken: at - began })
}

/// Waits until the database says that at least `jobs` of `total` are finished. Answers with how many were at which time.
///
/// The database is asked only once as many handlers have started, so that the asking doesn't slow the drain. The time is taken before
/// the count is sent: what was finished since isn't counted.
async fn finish<P: Peer>(
    peer: &P,
    database: &mut Database,
    board: &Board,
    jobs: u64,
    total: u64,
    patience: Duration,
) -> anyhow::Result<(u64, Instant)> {
    let began = Instant::now();
    loop {
        board.check()?;
        let at = Instant::now();
        let impatient = at - began > patience;
        if board.starts() >= jobs || impatient {
            let finished = total.saturating_sub(peer.unfinished(database).await?);
            if finished >= jobs {
                return Ok((finished, at));
            }
            if impatient {
                bail!("{} of {jobs} jobs left after {} s", jobs - finished, patience.as_secs());
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn enqueue_batch<P: Peer>(peer: &P, database: &mut Database, args: &Args) -> anyhow::Result<Measured> {
    fill(peer, args.pending + BATCH).await?;
    database.settle().await?;
    let began = Instant::now();
    fill(peer, args.jobs).await?;
    Ok(Measured::Rate { jobs: args.jobs, taken: began.elapsed() })
}

async fn enqueue_single<P: Peer>(peer: &P, database: &mut Database, args: &Args) -> anyhow::Result<Measured> {
    fill(peer, args.pending).await?;
    for number in 0..WARM_UP {
        peer.enqueue_single(number).await?;
    }
    database.settle().await?;
    let span = Duration::from_secs(args.seconds.unwrap_or(3));
    let began = Instant::now();
    let mut jobs = 0;
    while began.elapsed() < span {
        peer.enqueue_single(WARM_UP + jobs).await.context("cannot enqueue a job")?;
        jobs += 1;
    }
    Ok(Measured::Rate { jobs, taken: began.elapsed() })
}

async fn start_latency<P: Peer>(peer: &P, database: &mut Database, args: &Args) -> anyhow::Result<Measured> {
    let counted = args.rate * args.seconds.unwrap_or(10);
    let jobs = WARM_UP + counted;
    let board = Board::new(jobs, Duration::ZERO);
    database.settle().await?;
    let worker = peer.prepare(Arc::clone(&board)).await?();
    let mut tick =
        tokio::time::interval(Duration::from_secs(1) / u32::try_from(args.rate).context("the rate is too high")?);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut enqueued_at = Vec::new();
    for number in 0..jobs {
        tick.tick().await;
        enqueued_at.push(Instant::now());
        peer.enqueue_single(number).await.context("cannot enqueue a job")?;
    }
    let began = Instant::now();
    while board.starts() < jobs {
        board.check()?;
        if began.elapsed() > PATIENCE {
            bail!("{} of {jobs} jobs never started", jobs - board.starts());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(worker);
    let warm = usize::try_from(WARM_UP).expect("invariant: a small constant");
    let mut waits: Vec<Duration> = (warm..enqueued_at.len())
        .filter_map(|number| Some(board.started_at(number)?.saturating_duration_since(enqueued_at[number])))
        .collect();
    waits.sort_unstable();
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part).round() as usize];
    Ok(Measured::Latency { p50: at(0.5), p99: at(0.99), jobs: counted })
}
