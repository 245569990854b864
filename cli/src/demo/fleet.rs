//! The fleet that is shown: `vtoc up` as a child, on a free port, with its data in a temporary folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::cluster::Account;
use crate::progress::{Step, say};
use crate::{data_folder, log_file, private_file, process};

const START_DEADLINE: Duration = Duration::from_secs(180);
/// Workers, api and database have deadlines of their own, which add up to less.
const STOP_DEADLINE: Duration = Duration::from_secs(120);

/// Settings of the person who runs the demonstration that must not leak into it.
const WITHHELD: [&str; 7] = [
    "DATABASE_URL",
    "DATABASE_URL_OWNER",
    "VTOC_ADMIN_TOKEN",
    "CHATKIT_WEBHOOK_SECRET",
    "CHATKIT_BASE_URL",
    "CHATKIT_API_KEY",
    "STATION_CALLSIGN",
];

/// How to talk to the fleet. Holds secrets: it has no debug output.
pub(crate) struct Address {
    pub(crate) url: String,
    pub(crate) admin_token: String,
    pub(crate) webhook_secret: String,
    pub(crate) chat_key: String,
}

/// The fleet, from its folder on.
#[derive(Debug)]
pub(crate) struct Fleet {
    temporary: TempDir,
    child: Option<Child>,
    url: Option<String>,
}

impl Fleet {
    /// Makes its folder.
    pub(crate) fn prepare() -> Result<Fleet> {
        let temporary = tempfile::Builder::new().prefix("vtoc-demo-").tempdir().context("make a temporary folder")?;
        private_file::set_mode(temporary.path(), Account::choose()?.folder_mode())
            .context("open the temporary folder to the server")?;
        Ok(Fleet { temporary, child: None, url: None })
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&mut self) -> Result<Address> {
        let step = Step::begin("starting a fleet: database, api, worker");
        let log = log_file::open(&self.log()).with_context(|| format!("open {}", self.log().display()))?;
        let mut command = Command::new(env::current_exe().context("find this program")?);
        command.args(["up", "--port", "0", "--data"]).arg(self.temporary.path());
        for name in WITHHELD {
            command.env_remove(name);
        }
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let child = self.child.insert(command.spawn().context("start `vtoc up`")?);
        let output = child.stdout.take().expect("invariant: the output is a pipe");
        let mut lines = BufReader::new(output).lines();
        let said = timeout(START_DEADLINE, lines.next_line()).await.context("`vtoc up` isn't ready in time")?;
        let Some(url) =
            said.context("read from `vtoc up`")?.and_then(|line| Some(line.strip_prefix("vtoc ready ")?.to_owned()))
        else {
            bail!("`vtoc up` didn't get ready:\n{}", log_file::tail(&self.log()));
        };
        step.done(&url);
        self.url = Some(url.clone());
        Ok(Address {
            url,
            admin_token: self.key("admin-token")?,
            webhook_secret: self.key("webhook-secret")?,
            chat_key: self.key("chat-key")?,
        })
    }

    /// Leaves it running and says how to use and how to stop it.
    pub(crate) fn keep(mut self) -> Result<()> {
        let pid = self.child.take().and_then(|child| child.id()).context("the fleet ended meanwhile")?;
        let folder = self.temporary.keep();
        say(format_args!("the fleet goes on at {}", self.url.unwrap_or_default()));
        say(format_args!("admin token: {}", data_folder::key(&folder, "admin-token").display()));
        say(format_args!("stop it with: kill {pid}; remove its data with: rm -r {}", folder.display()));
        Ok(())
    }

    /// Stops it and removes its folder.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.end().await?;
        self.temporary.close().context("remove the temporary folder")
    }

    /// Stops it; answers where its logs remain.
    pub(crate) async fn stop_and_keep_logs(mut self) -> Result<PathBuf> {
        self.end().await?;
        Ok(self.temporary.keep().join("log"))
    }

    async fn end(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let Some(pid) = child.id() else { return Ok(()) };
        let step = Step::begin("stopping the fleet: worker, api, database");
        process::send(pid, Signal::SIGTERM).context("signal `vtoc up`")?;
        let ended = timeout(STOP_DEADLINE, child.wait()).await.context("`vtoc up` doesn't stop")?;
        step.done(ended.context("wait for `vtoc up`")?);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.temporary.path().join("up.log")
    }

    fn key(&self, name: &str) -> Result<String> {
        read_key(self.temporary.path(), name)
    }
}

fn read_key(folder: &Path, name: &str) -> Result<String> {
    let path = data_folder::key(folder, name);
    fs::read_to_string(&path).map(|text| text.trim().to_owned()).with_context(|| format!("read {}", path.display()))
}
