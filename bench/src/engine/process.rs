//! Workers of the engine as processes: this program again, with the benchmark's kinds, and the shipped `vtoc-worker`, which
//! knows none of them, for what a worker costs that has nothing to do.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::Context;
use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

/// How long a worker process may take to end its jobs.
const DRAIN: Duration = Duration::from_secs(30);

/// A worker process of the benchmark.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// The application's URL
    #[arg(long)]
    url: String,
    /// Jobs at once
    #[arg(long)]
    concurrency: usize,
}

/// Serves as a worker process until SIGTERM or SIGINT.
pub(crate) async fn serve(worker: Worker) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    super::worker::serve(worker.url, worker.concurrency, stop).await
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
        command.args(["worker", "--url", url, "--concurrency", &concurrency.to_string()]);
        Self::spawn(command)
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

    /// Asks it to end and waits until it has.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).context("tell a worker process to end")?;
        }
        let ended = tokio::time::timeout(DRAIN, self.child.wait()).await.context("a worker process doesn't end")??;
        anyhow::ensure!(ended.success(), "a worker process ended with {ended}");
        Ok(())
    }
}
