//! Suspects: jobs that were in a process when it died, with others. Each reruns in a child process of its own, one at a
//! time, so that the next death names its job.

use std::{
    ffi::OsString,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jobs::{Database, queue::sweep::report_death};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{process::Command, runtime::Handle, sync::Notify};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How to start a process that runs one suspect.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// The program.
    pub program: OsString,
    /// Its arguments; `--worker-id` and an id follow.
    pub arguments: Vec<OsString>,
}

/// Starts such processes, one at a time.
#[derive(Debug, Clone)]
pub(crate) struct Suspects {
    isolation: Isolation,
    database: Database,
    busy: Arc<AtomicBool>,
    /// Rung when a death was reported.
    sweeper: Arc<Notify>,
    /// Rung when there may be another suspect.
    stopping: CancellationToken,
    drain: Duration,
    runtime: Handle,
}

impl Suspects {
    pub(crate) fn new(
        isolation: Isolation,
        database: Database,
        sweeper: Arc<Notify>,
        stopping: CancellationToken,
        drain: Duration,
    ) -> Self {
        Self { isolation, database, busy: Arc::default(), sweeper, stopping, drain, runtime: Handle::current() }
    }

    /// Starts a process for a suspect, unless one is running.
    pub(crate) fn start(&self) {
        if self.stopping.is_cancelled() || self.busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let this = self.clone();
        self.runtime.spawn(async move {
            if let Err(error) = this.one().await {
                tracing::error!(%error, "no process for a suspect job");
            }
            this.busy.store(false, Ordering::Release);
        });
    }

    async fn one(&self) -> std::io::Result<()> {
        let worker = Uuid::now_v7();
        let mut child = Command::new(&self.isolation.program)
            .args(&self.isolation.arguments)
            .arg("--worker-id")
            .arg(worker.to_string())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let status = tokio::select! {
            status = child.wait() => status?,
            () = self.stopping.cancelled() => {
                if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                    // Gone already is as good.
                    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
                }
                match tokio::time::timeout(self.drain, child.wait()).await {
                    Ok(status) => status?,
                    Err(_) => return child.kill().await,
                }
            }
        };
        if !status.success() {
            tracing::warn!(worker.id = %worker, %status, "the process of a suspect job ended badly");
            if report_death(&self.database, worker).await.is_ok() {
                self.sweeper.notify_one();
            }
        }
        Ok(())
    }
}
