//! The processes of a fleet on one machine: the api and its workers, kept running as children of `vtoc up`, with everything
//! they must know in their environment. The database they share is there before them and goes after them.

pub(crate) mod pid_files;
mod ready;
mod supervised;

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use self::supervised::{Program, Supervised};
use crate::data_folder::DataFolder;
use crate::secrets::Secret;

/// A worker lets go of what it can't finish and is gone within 25 s; a little longer, and something is wrong with it.
const WORKER_DRAIN: Duration = Duration::from_secs(27);
/// The api gives requests under way 20 s.
const API_DRAIN: Duration = Duration::from_secs(22);

/// Variables of `vtoc` that its children have no business with.
const WITHHELD: [&str; 1] = ["DATABASE_URL_OWNER"];

/// What the processes are told.
pub(crate) struct Setting<'a> {
    pub(crate) folder: &'a DataFolder,
    pub(crate) database_url: &'a str,
    /// On loopback.
    pub(crate) port: u16,
    pub(crate) workers: u16,
    pub(crate) admin_token: &'a Secret,
    pub(crate) webhook_secret: &'a Secret,
    pub(crate) chat_key: &'a Secret,
    /// The station that a message without one belongs to.
    pub(crate) default_station: &'a str,
}

/// A fleet that runs.
#[derive(Debug)]
pub(crate) struct Fleet {
    api: Supervised,
    workers: Vec<Supervised>,
    hurry: CancellationToken,
}

impl Fleet {
    /// Starts every process; none is ready yet.
    pub(crate) fn start(setting: &Setting<'_>) -> Result<Fleet> {
        let api = program(setting, "vtoc-api", "api".to_owned(), API_DRAIN)?;
        let workers = (1..=setting.workers)
            .map(|number| program(setting, WORKER, format!("worker-{number}"), WORKER_DRAIN))
            .collect::<Result<Vec<_>>>()?;
        let hurry = CancellationToken::new();
        Ok(Fleet {
            api: Supervised::start(api, hurry.clone()),
            workers: workers.into_iter().map(|program| Supervised::start(program, hurry.clone())).collect(),
            hurry,
        })
    }

    /// Waits until the front door answers and every worker has reported.
    pub(crate) async fn ready(&self, setting: &Setting<'_>) -> Result<()> {
        ready::wait(self, setting).await
    }

    /// Cancelled: what still stops is killed.
    pub(crate) fn hurry(&self) -> CancellationToken {
        self.hurry.clone()
    }

    /// Workers first, so that the api still takes what comes in while they finish; then the api.
    pub(crate) async fn stop(self) {
        join_all(self.workers.into_iter().map(Supervised::stop)).await;
        self.api.stop().await;
    }
}

/// The program that runs jobs.
const WORKER: &str = "vtoc-worker";
/// Secrets that only the api needs to know.
const OF_THE_API: [&str; 3] = ["VTOC_ADMIN_TOKEN", "CHATKIT_WEBHOOK_SECRET", "CHATKIT_WEBHOOK_SECRET_PREVIOUS"];

fn program(setting: &Setting<'_>, binary: &str, name: String, drain: Duration) -> Result<Program> {
    let mut environment = environment(setting, env::var_os("CHATKIT_BASE_URL"));
    let mut environment_without = WITHHELD.to_vec();
    if binary == WORKER {
        environment.retain(|(name, _)| !OF_THE_API.contains(name));
        environment_without.extend(OF_THE_API);
    }
    Ok(Program {
        path: beside(binary)?,
        arguments: Vec::new(),
        environment,
        environment_without,
        log: setting.folder.log(&name),
        run: setting.folder.run(),
        name,
        drain,
    })
}

/// The other programs are installed, or built, into the folder of this one.
fn beside(binary: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("find the folder of this program")?;
    let path = own.with_file_name(binary);
    if !path.is_file() {
        bail!("{} isn't there: build it with `cargo build --workspace --bins`", path.display());
    }
    Ok(path)
}

/// What the children find besides the environment they inherit. Without a chat service outside, chat is the api's own.
fn environment(setting: &Setting<'_>, chat_outside: Option<OsString>) -> Vec<(&'static str, OsString)> {
    let mut variables: Vec<(&'static str, OsString)> = vec![
        ("DATABASE_URL", setting.database_url.into()),
        ("VTOC_BIND", format!("127.0.0.1:{}", setting.port).into()),
        ("VTOC_ADMIN_TOKEN", setting.admin_token.expose().into()),
        ("CHATKIT_WEBHOOK_SECRET", setting.webhook_secret.expose().into()),
        ("STATION_CALLSIGN", setting.default_station.into()),
    ];
    if chat_outside.is_none_or(|url| url.is_empty()) {
        variables.push(("CHATKIT_BASE_URL", format!("http://127.0.0.1:{}/chatkit", setting.port).into()));
        variables.push(("CHATKIT_API_KEY", setting.chat_key.expose().into()));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chat_outside: Option<OsString>) -> Vec<&'static str> {
        let path = tempfile::tempdir().unwrap();
        let folder = DataFolder::take(path.path()).unwrap();
        let secret = Secret::kept(&folder, "any").unwrap();
        let setting = Setting {
            folder: &folder,
            database_url: "postgres://x",
            port: 1,
            workers: 1,
            admin_token: &secret,
            webhook_secret: &secret,
            chat_key: &secret,
            default_station: "toc-s1",
        };
        environment(&setting, chat_outside).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn the_key_of_the_built_in_chat_is_not_shown_to_a_chat_outside() {
        assert!(names(None).contains(&"CHATKIT_API_KEY"));
        assert!(names(Some(OsString::new())).contains(&"CHATKIT_BASE_URL"));
        let outside = names(Some("https://chat.example".into()));
        assert!(!outside.contains(&"CHATKIT_API_KEY") && !outside.contains(&"CHATKIT_BASE_URL"));
    }
}
