//! Workers of the engine as processes: this program again, with the benchmark's kinds, and the shipped `vtoc-worker`, which
//! knows none of them, for what a worker costs that has nothing to do. Who is to be killed has short leases, children for
//! suspects, and a pipe for what it says at its end.

use std::{io::Write, path::PathBuf, process::Stdio, sync::atomic::Ordering, time::Duration};

use anyhow::Context;
use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, ChildStdout, Command};
use uuid::Uuid;
use workers::{Config, Isolation, Limits, Role, stop_on_signal};

/// How long a worker process may take to end its jobs.
pub(super) const DRAIN: Duration = Duration::from_secs(30);
/// How often lost jobs are looked for where leases are short.
const SWEEP: Duration = Duration::from_secs(1);

/// A worker process of the benchmark.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// The application's URL
    #[arg(long)]
    url: String,
    /// Jobs at once
    #[arg(long)]
    concurrency: usize,
    /// Seconds that a claim is good for without a renewal; suspects get processes of their own
    #[arg(long)]
    lease_seconds: Option<u64>,
    /// Run suspect jobs, one after another, and end
    #[arg(long)]
    isolated: bool,
    /// This process' id in the registry
    #[arg(long)]
    worker_id: Option<Uuid>,
}

/// What a worker process says on its standard output when it ends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LastWords {
    /// Results that were refused because their lease was gone.
    pub(super) stale: u64,
}

/// Serves as a worker process until SIGTERM or SIGINT.
pub(crate) async fn serve(worker: Worker) -> anyhow::Result<()> {
    let stop = stop_on_signal()?;
    let role = if worker.isolated { Role::Isolated } else { Role::Member };
    let counters = super::worker::serve(config(worker)?, role, stop).await?;
    let last_words = LastWords { stale: counters.stale.load(Ordering::Relaxed) };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&last_words)?)?;
    Ok(())
}

fn config(worker: Worker) -> anyhow::Result<Config> {
    let mut config = super::worker::config(worker.url.clone(), worker.concurrency);
    if let Some(seconds) = worker.lease_seconds {
        let alone = ["worker", "--isolated", "--concurrency", "1", "--lease-seconds", &seconds.to_string(), "--url"];
        let arguments = alone.into_iter().chain([&*worker.url]).map(Into::into).collect();
        config.isolation = Some(Isolation { program: std::env::current_exe()?.into(), arguments });
        config.limits = Limits { lease: Duration::from_secs(seconds), sweep: SWEEP, ..config.limits };
    }
    config.worker_id = worker.worker_id.unwrap_or(config.worker_id);
    Ok(config)
}

/// A worker process that was started here; it dies with this value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts one with the benchmark's kinds.
    pub(crate) fn start(url: &str, concurrency: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", "--url", url, "--concurrency", &concurrency.to_string()]).stdout(Stdio::null());
        Self::spawn(command)
    }

    /// Starts one that is to be killed: with such a lease, and with its [`LastWords`] and those of its children.
    pub(super) fn start_mortal(url: &str, concurrency: usize, lease: Duration) -> anyhow::Result<(Self, ChildStdout)> {
        let mut command = Command::new(std::env::current_exe()?);
        let (concurrency, seconds) = (concurrency.to_string(), lease.as_secs().to_string());
        command.args(["worker", "--url", url, "--concurrency", &concurrency, "--lease-seconds", &seconds]);
        command.stdout(Stdio::piped());
        let mut process = Self::spawn(command)?;
        let says = process.child.stdout.take().expect("its standard output is a pipe");
        Ok((process, says))
    }

    /// Starts the shipped program, which lies beside this one.
    pub(crate) fn start_shipped(url: &str) -> anyhow::Result<Self> {
        let program: PathBuf = std::env::current_exe()?.with_file_name("vtoc-worker");
        anyhow::ensure!(program.exists(), "{} isn't built: run scripts/bench", program.display());
        let mut command = Command::new(program);
        command.env("DATABASE_URL", url).env("RUST_LOG", "warn");
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn().context("start a worker process")?;
        Ok(Self { child })
    }

    /// Its resident memory in MiB; 0 where the system doesn't say.
    pub(crate) fn memory_mib(&self) -> f64 {
        let status = self.child.id().map(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")));
        let status = status.and_then(Result::ok).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        kib.unwrap_or_default() / 1_024.0
    }

    /// Its id, unless it has ended.
    pub(super) fn pid(&self) -> Option<i32> {
        self.child.id().and_then(|pid| i32::try_from(pid).ok())
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid().context("a worker process has ended by itself")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("send {signal} to a worker process"))
    }

    /// Kills it, whatever it is doing, and waits until it is gone.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill a worker process")
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)?;
        let ended = tokio::time::timeout(DRAIN, self.child.wait()).await.context("a worker process doesn't end")??;
        anyhow::ensure!(ended.success(), "a worker process ended with {ended}");
        Ok(())
    }
}
