//! `vtoc up`: everything on one machine, in one process tree on loopback, until it is told to stop. Each part is made
//! elsewhere; here is their order, and that they end in the reverse of it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio::time::sleep;

use crate::cluster::{Cluster, Shutdown};
use crate::data_folder::{self, DataFolder};
use crate::fleet::{Fleet, Setting, pid_files};
use crate::installation::{self, DEFAULT_STATION, Given};
use crate::progress::{Step, say};
use crate::secrets::Secret;
use crate::stop_request::StopRequests;

/// How long to wait before a database server that died is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// Start everything on this machine: database, api and workers.
///
/// Without DATABASE_URL it runs a private Postgres server in the data folder. Ctrl-C stops everything in order; again,
/// and it hurries. The next start continues with the same data.
#[derive(Debug, Args)]
pub(super) struct Up {
    /// Port of the api on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Worker processes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Data folder [default: /var/lib/vtoc as root, else ~/.local/share/vtoc].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What runs so far, so that it can be stopped whatever happened on the way.
#[derive(Default)]
struct Running {
    cluster: Option<Cluster>,
    fleet: Option<Fleet>,
}

impl Up {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let mut stop_requests = StopRequests::listen()?;
        let folder = DataFolder::take(&self.data.clone().map_or_else(data_folder::default_path, Ok)?)?;
        let mut running = Running::default();
        let result = tokio::select! {
            started = self.start(&folder, &mut running) => match started {
                Ok(()) => running.until(&mut stop_requests).await,
                Err(error) => Err(error),
            },
            () = stop_requests.next() => Ok(()),
        };
        let stopped = running.stop(&mut stop_requests).await;
        result.and(stopped)?;
        say("stopped");
        Ok(ExitCode::SUCCESS)
    }

    async fn start(&self, folder: &DataFolder, running: &mut Running) -> Result<()> {
        let leftovers = pid_files::end_leftovers(&folder.run()).await.context("end what an earlier run left")?;
        if leftovers > 0 {
            say(format_args!("ended {leftovers} processes that an earlier run left"));
        }
        let port = choose_port(self.port)?;
        let url = database(folder, running).await?;
        installation::register_stations(&url).await?;
        folder.write_database_url(&url)?;
        let admin_token = Secret::from_environment_or_kept("VTOC_ADMIN_TOKEN", folder, "admin-token")?;
        let webhook_secret = Secret::from_environment_or_kept("CHATKIT_WEBHOOK_SECRET", folder, "webhook-secret")?;
        let chat_key = Secret::from_environment_or_kept("CHATKIT_API_KEY", folder, "chat-key")?;
        let setting = Setting {
            folder,
            database_url: &url,
            port,
            workers: self.workers,
            admin_token: &admin_token,
            webhook_secret: &webhook_secret,
            chat_key: &chat_key,
            default_station: DEFAULT_STATION,
        };
        let step = Step::begin(format!("api and {} worker{}", self.workers, if self.workers == 1 { "" } else { "s" }));
        let fleet = running.fleet.insert(Fleet::start(&setting)?);
        fleet.ready(&setting).await?;
        step.done("ready");
        say(format_args!("admin token: {}", admin_token.source()));
        say(format_args!("webhook secret: {}", webhook_secret.source()));
        say(format_args!("logs: {}", folder.path().join("log").display()));
        println!("vtoc ready http://127.0.0.1:{port}");
        Ok(())
    }
}

async fn database(folder: &DataFolder, running: &mut Running) -> Result<String> {
    let given = Given::from_environment();
    if given.application.is_some() || given.owner.is_some() {
        return installation::provision_given(folder, &given).await;
    }
    let cluster = running.cluster.insert(installation::start_cluster(folder).await?);
    let owner = cluster.url("postgres");
    installation::provision_as_owner(folder, &owner).await
}

/// The port asked for if it is free, or a free one for 0. It is let go again for the api to take.
fn choose_port(wanted: u16) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).with_context(|| {
        format!("port {wanted} of 127.0.0.1 can't be used: choose another with --port, or any free one with --port 0")
    })?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

impl Running {
    /// Until somebody asks to stop. A database server that dies is started again; the others wait for it.
    async fn until(&mut self, stop_requests: &mut StopRequests) -> Result<()> {
        let Some(cluster) = &mut self.cluster else {
            stop_requests.next().await;
            return Ok(());
        };
        loop {
            tokio::select! {
                () = stop_requests.next() => return Ok(()),
                ended = cluster.ended() => say(format_args!("the database server ended ({}); starting it again", ended?)),
            }
            tokio::select! {
                () = stop_requests.next() => return Ok(()),
                () = start_again(cluster) => say("the database server runs again"),
            }
        }
    }

    async fn stop(self, stop_requests: &mut StopRequests) -> Result<()> {
        if let Some(fleet) = self.fleet {
            say("stopping: what runs may finish; Ctrl-C again hurries");
            let hurry = fleet.hurry();
            let mut stopping = std::pin::pin!(fleet.stop());
            tokio::select! {
                () = &mut stopping => {}
                () = stop_requests.next() => {
                    hurry.cancel();
                    stopping.await;
                }
            }
        }
        match self.cluster {
            Some(cluster) => cluster.stop(Shutdown::Fast).await.context("stop the database server"),
            None => Ok(()),
        }
    }
}

/// Right after a crash the old server's processes may still hold its memory, so more than one try is normal.
async fn start_again(cluster: &mut Cluster) {
    loop {
        sleep(RESTART_PAUSE).await;
        match cluster.start_again().await {
            Ok(()) => return,
            Err(error) => say(format_args!("{error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_with_what_to_do() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let error = choose_port(taken.local_addr().unwrap().port()).unwrap_err().to_string();
        assert!(error.contains("--port 0"), "{error}");
        assert_ne!(choose_port(0).unwrap(), 0);
    }
}
