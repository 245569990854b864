//! Suspects: jobs that were in a process when it died, with others. Each reruns alone in a child process, so that
//! the next death names its job.

use std::{ffi::OsString, process::Stdio, sync::Arc, time::Duration};

use jobs::{Database, queue::sweep::report_death};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{process::Command, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// How to start a process that runs suspects, one after another.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// The program.
    pub program: OsString,
    /// Its arguments; `--worker-id` and an id follow.
    pub arguments: Vec<OsString>,
}

/// Such processes of one worker at once: each runs one suspect at a time, so a death still names its job.
const PROCESSES_MAX: usize = 2;

/// Starts such processes.
#[derive(Debug, Clone)]
pub(crate) struct Suspects {
    isolation: Isolation,
    database: Database,
    processes: TaskTracker,
    /// Rung when a death was reported.
    sweeper: Arc<Notify>,
    stopping: CancellationToken,
    drain: Duration,
}

impl Suspects {
    pub(crate) fn new(
        isolation: Isolation,
        database: Database,
        sweeper: Arc<Notify>,
        stopping: CancellationToken,
        drain: Duration,
    ) -> Self {
        Self { isolation, database, processes: TaskTracker::new(), sweeper, stopping, drain }
    }

    /// Starts one more process for suspects, unless there are enough. Each takes suspects until none is left.
    pub(crate) fn start(&self) {
        if self.stopping.is_cancelled() || self.processes.len() >= PROCESSES_MAX {
            return;
        }
        let this = self.clone();
        self.processes.spawn(async move {
            if let Err(error) = this.one().await {
                tracing::error!(%error, "no process for suspect jobs");
            }
        });
    }

    /// Waits until the last of them has ended.
    pub(crate) async fn ended(&self) {
        self.processes.close();
        self.processes.wait().await;
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
