//! Four worker processes and what is done to them. The first is stopped and goes on, again and again; the others are killed
//! in turn. Nobody is disturbed who has no job in flight: nothing would come of it.

use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal;
use sqlx::PgConnection;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::ChildStdout,
    task::JoinSet,
    time::Instant,
};

use crate::engine::process::{DRAIN, LastWords, Process};

/// As many are killed in turn as there are beside the one that is stopped.
const KILLED_IN_TURN: usize = 3;
const LEASE: Duration = Duration::from_secs(3);
/// Between two kills. The oldest then lives for more than a lease, or no sweep could tell who is to blame.
const KILL_EVERY: Duration = Duration::from_millis(1_500);
/// How long one is stopped: until its lease has run out and was swept.
const STOP_FOR: Duration = Duration::from_secs(5);
/// How long it works before it is stopped again.
const WORK_FOR: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Crew {
    /// Processes killed so far.
    pub(super) killed: u64,
    /// Stops so far.
    pub(super) stopped: u64,
    url: String,
    concurrency: usize,
    sleeper: Process,
    /// When it goes on, while it is stopped.
    sleeps_until: Option<Instant>,
    works_until: Instant,
    mortals: Vec<Process>,
    next_kill: Instant,
    /// One a process: each adds up what it and its children say at their ends.
    listeners: JoinSet<anyhow::Result<u64>>,
}

impl Crew {
    /// Starts all of them; the first faults come as soon as there are jobs in flight.
    pub(super) fn start(url: &str, concurrency: usize) -> anyhow::Result<Self> {
        let mut listeners = JoinSet::new();
        let sleeper = recruit(url, concurrency, &mut listeners)?;
        let mortals: anyhow::Result<Vec<Process>> =
            (0..KILLED_IN_TURN).map(|_| recruit(url, concurrency, &mut listeners)).collect();
        Ok(Self {
            killed: 0,
            stopped: 0,
            url: url.to_owned(),
            concurrency,
            sleeper,
            sleeps_until: None,
            works_until: Instant::now(),
            mortals: mortals?,
            next_kill: Instant::now(),
            listeners,
        })
    }

    /// Kills, stops or continues whoever's time has come.
    pub(super) async fn disturb(&mut self, owner: &mut PgConnection) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.sleeps_until.is_some_and(|until| now >= until) {
            self.wake(now)?;
        }
        let (stops, kills) = (self.sleeps_until.is_none() && now >= self.works_until, now >= self.next_kill);
        if !stops && !kills {
            return Ok(());
        }
        let busy = busy(owner).await?;
        let is_busy = |process: &Process| process.pid().is_some_and(|pid| busy.contains(&pid));
        if stops && is_busy(&self.sleeper) {
            self.sleeper.signal(Signal::SIGSTOP)?;
            (self.sleeps_until, self.stopped) = (Some(now + STOP_FOR), self.stopped + 1);
        }
        if kills && let Some(next) = self.mortals.iter().position(is_busy) {
            // The newest stands last, so that every one lives for a while.
            self.mortals.remove(next).kill().await?;
            self.mortals.push(recruit(&self.url, self.concurrency, &mut self.listeners)?);
            (self.next_kill, self.killed) = (now + KILL_EVERY, self.killed + 1);
        }
        Ok(())
    }

    fn wake(&mut self, now: Instant) -> anyhow::Result<()> {
        self.sleeper.signal(Signal::SIGCONT)?;
        (self.sleeps_until, self.works_until) = (None, now + WORK_FOR);
        Ok(())
    }

    /// Lets those that live end in good order and waits for the children of the dead, too. Answers how many results were
    /// refused, as far as those who were refused lived to tell.
    pub(super) async fn end(mut self) -> anyhow::Result<u64> {
        if self.sleeps_until.is_some() {
            self.wake(Instant::now())?;
        }
        futures::future::try_join_all(self.mortals.into_iter().chain([self.sleeper]).map(Process::stop)).await?;
        let mut refused = 0;
        let listening = async {
            while let Some(heard) = self.listeners.join_next().await {
                refused += heard??;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(DRAIN, listening).await.context("a process for suspects doesn't end")??;
        Ok(refused)
    }
}

fn recruit(url: &str, concurrency: usize, listeners: &mut JoinSet<anyhow::Result<u64>>) -> anyhow::Result<Process> {
    let (process, says) = Process::start_mortal(url, concurrency, LEASE)?;
    listeners.spawn(listen(says));
    Ok(process)
}

/// Adds up refused results until the process and its children have ended.
async fn listen(says: ChildStdout) -> anyhow::Result<u64> {
    let (mut lines, mut refused) = (BufReader::new(says).lines(), 0);
    while let Some(line) = lines.next_line().await? {
        let said: LastWords = serde_json::from_str(&line).with_context(|| format!("a worker process says {line:?}"))?;
        refused += said.stale;
    }
    Ok(refused)
}

/// The process ids of workers with jobs in flight.
async fn busy(owner: &mut PgConnection) -> anyhow::Result<Vec<i32>> {
    let pids = sqlx::query_scalar(
        "select w.pid
        from vtoc.worker w
        where not w.isolated and exists (select from vtoc.job_running r where r.worker_id = w.id)",
    )
    .fetch_all(owner)
    .await?;
    Ok(pids)
}
