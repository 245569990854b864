//! `vtoc postgres run`: a Postgres server for the length of one command. What a test does with it is the test's affair.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use crate::cluster::{BIN_VARIABLE, Durability, Options};
use crate::ephemeral::Ephemeral;
use crate::process;
use crate::stop_request::StopRequests;

/// Sessions at once: tests run side by side, each with a database and pools of its own.
const CONNECTIONS_MAX: u32 = 300;

/// A private Postgres server.
#[derive(Debug, Args)]
pub(super) struct Postgres {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Run(Run),
}

/// Run a command with a Postgres server of its own, which is removed afterwards.
///
/// The command finds the superuser's URL in VTOC_TEST_DATABASE_URL, the server's folder in VTOC_TEST_POSTGRES_DATA and
/// its programs in VTOC_POSTGRES_BIN. The exit code is the command's.
#[derive(Debug, Args)]
struct Run {
    /// Force nothing to disk: faster, and a power failure loses everything.
    #[arg(long)]
    fast_unsafe: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Postgres {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let Action::Run(run) = self.action;
        run.run().await
    }
}

impl Run {
    async fn run(self) -> Result<ExitCode> {
        let mut stop_requests = StopRequests::listen()?;
        let durability = if self.fast_unsafe { Durability::None } else { Durability::Full };
        let server = Ephemeral::start(Options { connections_max: CONNECTIONS_MAX, durability }).await?;
        let status = self.with(&server, &mut stop_requests).await;
        server.remove().await?;
        Ok(exit_code(status?))
    }

    async fn with(&self, server: &Ephemeral, stop_requests: &mut StopRequests) -> Result<ExitStatus> {
        let (program, arguments) = self.command.split_first().expect("invariant: clap requires a word");
        let mut child = Command::new(program)
            .args(arguments)
            .env("VTOC_TEST_DATABASE_URL", server.cluster.url("postgres"))
            .env("VTOC_TEST_POSTGRES_DATA", server.cluster.data())
            .env(BIN_VARIABLE, &server.cluster.binaries().folder)
            .spawn()
            .with_context(|| format!("run {}", program.display()))?;
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            tokio::select! {
                status = child.wait() => return status.context("wait for the command"),
                () = stop_requests.next() => pass_on(&child, signal)?,
            }
        }
        child.wait().await.context("wait for the command")
    }
}

fn pass_on(child: &Child, signal: Signal) -> Result<()> {
    child.id().map_or(Ok(()), |pid| process::send(pid, signal)).context("signal the command")
}

/// As a shell says it: the code, or 128 and the signal.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_a_signal_ended_answers_as_in_a_shell() {
        assert_eq!(exit_code(ExitStatus::from_raw(0)), ExitCode::from(0));
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), ExitCode::from(3));
        assert_eq!(exit_code(ExitStatus::from_raw(9)), ExitCode::from(137));
    }
}
