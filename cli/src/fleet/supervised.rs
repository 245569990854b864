//! One process that `vtoc up` keeps running: started, started again when it dies, ended when asked. What the process does
//! and when the others go is decided elsewhere.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::pid_files;
use crate::progress::{say, seconds};
use crate::{log_file, process};

/// A process that ran this long before it died was well: its next start doesn't wait long.
const STEADY: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is started. Secrets go through the environment: arguments are readable by everybody.
#[derive(Clone)]
pub(crate) struct Program {
    /// Unique among the fleet's: `worker-1`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) environment_without: Vec<&'static str>,
    pub(crate) log: PathBuf,
    /// The folder for its process number.
    pub(crate) run: PathBuf,
    /// How long it may take to end by itself.
    pub(crate) drain: Duration,
}

/// A process that is being kept running.
#[derive(Debug)]
pub(crate) struct Supervised {
    name: String,
    stop: CancellationToken,
    deaths: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Supervised {
    /// Starts it. When `hurry` is cancelled while it stops, it is killed.
    pub(crate) fn start(program: Program, hurry: CancellationToken) -> Supervised {
        let stop = CancellationToken::new();
        let deaths = Arc::new(AtomicU32::new(0));
        let name = program.name.clone();
        let task = tokio::spawn(keep_running(program, stop.clone(), hurry, Arc::clone(&deaths)));
        Supervised { name, stop, deaths, task }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How often it died by itself so far.
    pub(crate) fn deaths(&self) -> u32 {
        self.deaths.load(Ordering::Relaxed)
    }

    /// Asks it to end and waits until it has.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if self.task.await.is_err() {
            say(format_args!("{}: its supervision failed; the next start ends what is left of it", self.name));
        }
    }
}

async fn keep_running(program: Program, stop: CancellationToken, hurry: CancellationToken, deaths: Arc<AtomicU32>) {
    let mut in_a_row = 0;
    loop {
        let began = Instant::now();
        let how = match spawn(&program) {
            Ok(mut child) => {
                let pid = child.id();
                let ended = tokio::select! {
                    ended = child.wait() => ended,
                    () = stop.cancelled() => return end(&program, child, &hurry).await,
                };
                pid_files::remove(&program.run, &program.name, pid);
                ended.map_or_else(|error| error.to_string(), |status| status.to_string())
            }
            Err(error) => format!("can't start {}: {error}", program.path.display()),
        };
        deaths.fetch_add(1, Ordering::Relaxed);
        in_a_row = if began.elapsed() >= STEADY { 0 } else { in_a_row + 1 };
        let pause = pause(in_a_row);
        say(format_args!(
            "{} ended ({how}); starting it again in {}; its log: {}",
            program.name,
            seconds(pause),
            program.log.display()
        ));
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// How long to wait before the next start after so many short lives in a row.
fn pause(in_a_row: u32) -> Duration {
    PAUSE_MIN.saturating_mul(2_u32.saturating_pow(in_a_row)).min(PAUSE_MAX)
}

fn spawn(program: &Program) -> io::Result<Child> {
    let log = log_file::open(&program.log)?;
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).envs(program.environment.iter().map(|(name, value)| (name, value)));
    for name in &program.environment_without {
        command.env_remove(name);
    }
    // A group of its own: Ctrl-C on the terminal reaches it through us, in order.
    command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn()?;
    if let Some(pid) = child.id() {
        pid_files::write(&program.run, &program.name, pid, &program.path)?;
    }
    Ok(child)
}

async fn end(program: &Program, mut child: Child, hurry: &CancellationToken) {
    let Some(pid) = child.id() else { return };
    let asked = process::send(pid, Signal::SIGTERM);
    let in_time = tokio::select! {
        ended = timeout(program.drain, child.wait()) => ended.is_ok() && asked.is_ok(),
        () = hurry.cancelled() => false,
    };
    if !in_time {
        say(format_args!("{} didn't end by itself; killing it", program.name));
        // Fails only when it is gone already.
        let _ = child.kill().await;
    }
    pid_files::remove(&program.run, &program.name, Some(pid));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        assert_eq!(pause(0), Duration::from_millis(500));
        assert_eq!(pause(1), Duration::from_secs(1));
        assert_eq!(pause(4), Duration::from_secs(8));
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }

    fn shell(folder: &std::path::Path, script: &str) -> Program {
        Program {
            name: "shell".to_owned(),
            path: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("MARK", folder.join("mark").into())],
            environment_without: vec!["HOME"],
            log: folder.join("shell.log"),
            run: folder.to_path_buf(),
            drain: Duration::from_secs(30),
        }
    }

    async fn until(what: impl Fn() -> bool) {
        timeout(Duration::from_secs(20), async {
            while !what() {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the condition holds within 20 s");
    }

    #[tokio::test]
    async fn a_process_that_dies_is_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let supervised =
            Supervised::start(shell(folder.path(), "echo once >> \"$MARK\"; exit 3"), CancellationToken::new());
        until(|| supervised.deaths() >= 2).await;
        supervised.stop().await;
        assert!(std::fs::read_to_string(folder.path().join("mark")).unwrap().lines().count() >= 2);
    }

    #[tokio::test]
    async fn stopping_lets_a_process_finish_and_clears_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap 'echo drained > \"$MARK\"; exit 0' TERM; echo up; while :; do sleep 0.05; done";
        let supervised = Supervised::start(shell(folder.path(), script), CancellationToken::new());
        until(|| log_file::tail(&folder.path().join("shell.log")).contains("up")).await;
        assert!(folder.path().join("shell.pid").exists());
        supervised.stop().await;
        assert_eq!(std::fs::read_to_string(folder.path().join("mark")).unwrap(), "drained\n");
        assert!(!folder.path().join("shell.pid").exists());
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_request_is_killed_when_hurried() {
        let folder = tempfile::tempdir().unwrap();
        let hurry = CancellationToken::new();
        let supervised = Supervised::start(
            shell(folder.path(), "trap '' TERM; echo up; while :; do sleep 0.05; done"),
            hurry.clone(),
        );
        until(|| log_file::tail(&folder.path().join("shell.log")).contains("up")).await;
        hurry.cancel();
        timeout(Duration::from_secs(10), supervised.stop())
            .await
            .expect("it is killed long before it would have drained");
    }
}
