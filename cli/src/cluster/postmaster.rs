//! One running Postgres server: its start, the wait until it takes logins, its end. The files it serves are made elsewhere.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::initdb::{bare_environment, run};
use super::pid_file::PidFile;
use super::{Account, Binaries, Durability, Error, Options, probe};
use crate::{log_file, process};

/// Long, because a server that was killed reads its log again first.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// A fast shutdown ends sessions and writes a checkpoint.
const FAST_DEADLINE: Duration = Duration::from_secs(30);
const IMMEDIATE_DEADLINE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Somebody may take the chosen port before the server does.
const PORTS_TRIED: usize = 3;

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Ends every session, writes everything out; nothing to recover afterwards.
    Fast,
    /// Stops where it is; the next start recovers from the log.
    Immediate,
}

/// A server that is a child of this process.
#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
    pub(super) port: u16,
}

/// What a server runs on.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
    pub(super) binaries: Binaries,
    pub(super) account: Account,
}

impl Postmaster {
    /// Starts a server on a free loopback port and waits until it takes logins.
    pub(super) async fn start(place: &Place, options: &Options) -> Result<Postmaster, Error> {
        let mut tried = 1;
        loop {
            let started = Postmaster::start_on(free_port()?, place, options).await;
            match started {
                Err(Error::Died { tail, .. })
                    if tail.contains("could not create any TCP/IP sockets") && tried < PORTS_TRIED =>
                {
                    tried += 1;
                }
                result => return result,
            }
        }
    }

    async fn start_on(port: u16, place: &Place, options: &Options) -> Result<Postmaster, Error> {
        let log = log_file::open(&place.log).map_err(Error::io(format!("open {}", place.log.display())))?;
        let child = command(port, place, options, log)?
            .spawn()
            .map_err(Error::io(format!("start {}", place.binaries.program("postgres").display())))?;
        let mut postmaster = Postmaster { child, port };
        postmaster.ready(place).await?;
        Ok(postmaster)
    }

    async fn ready(&mut self, place: &Place) -> Result<(), Error> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().map_err(Error::io("watch the database server"))? {
                return Err(Error::Died { status, log: place.log.clone(), tail: log_file::tail(&place.log) });
            }
            let own = PidFile::read(&place.data).filter(|file| Some(file.pid) == self.child.id());
            if own.is_some_and(|file| file.is_ready) && probe::takes_logins(self.port).await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::NotReady { seconds: START_DEADLINE.as_secs(), log: place.log.clone() });
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Starts a server again on the port it had, which its clients know.
    pub(super) async fn start_again(&mut self, place: &Place, options: &Options) -> Result<(), Error> {
        *self = Postmaster::start_on(self.port, place, options).await?;
        Ok(())
    }

    /// Its process id, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the server ends by itself.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus, Error> {
        self.child.wait().await.map_err(Error::io("wait for the database server"))
    }

    /// Stops the server and waits until it is gone. What doesn't stop fast is stopped at once, which loses nothing either.
    pub(super) async fn stop(&mut self, how: Shutdown) -> Result<(), Error> {
        let asked = match how {
            Shutdown::Fast => [(Signal::SIGINT, FAST_DEADLINE), (Signal::SIGQUIT, IMMEDIATE_DEADLINE)].as_slice(),
            Shutdown::Immediate => [(Signal::SIGQUIT, IMMEDIATE_DEADLINE)].as_slice(),
        };
        for (signal, patience) in asked {
            let Some(pid) = self.child.id() else { return Ok(()) };
            process::send(pid, *signal).map_err(Error::io("signal the database server"))?;
            if timeout(*patience, self.child.wait()).await.is_ok() {
                return Ok(());
            }
        }
        self.child.id().map_or(Ok(()), |pid| Err(Error::WontStop { pid }))
    }
}

impl Drop for Postmaster {
    /// A test that fails must not leave a server behind; there is nobody left to tell that this didn't work.
    fn drop(&mut self) {
        if let Some(pid) = self.child.id() {
            let _ = process::send(pid, Signal::SIGINT);
        }
    }
}

/// Ends the server that an earlier run left on these files, if one still runs.
pub(super) async fn stop_leftover(place: &Place) -> Result<bool, Error> {
    let Some(file) = PidFile::read(&place.data) else { return Ok(false) };
    match Holder::of(file.pid, &place.data) {
        Holder::Nobody | Holder::Unknown => Ok(false),
        Holder::Stranger => {
            // Postgres would take the stranger for a running server and refuse to start.
            let path = place.data.join("postmaster.pid");
            std::fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))?;
            Ok(false)
        }
        Holder::Server => {
            let mut command = Command::new(place.binaries.program("pg_ctl"));
            command.arg("stop").arg("--pgdata").arg(&place.data).args(["--mode=fast", "--wait", "--silent"]);
            run("pg_ctl", command, &place.data, &place.account).await?;
            Ok(true)
        }
    }
}

/// Whose process number a `postmaster.pid` holds: numbers are used again after a crash of the machine.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    Server,
    Stranger,
    /// A Postgres, but it can't be told of which files; the new server judges it.
    Unknown,
}

impl Holder {
    fn of(pid: u32, data: &Path) -> Holder {
        let Some(line) = process::command_line(pid) else { return Holder::Nobody };
        if !line.contains("postgres") {
            return Holder::Stranger;
        }
        // A server works in the folder it serves.
        match std::fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(folder) if folder == data => Holder::Server,
            Ok(_) => Holder::Stranger,
            Err(_) if data.to_str().is_some_and(|data| line.contains(data)) => Holder::Server,
            Err(_) => Holder::Unknown,
        }
    }
}

/// Settings are arguments, not a file: the next version of `vtoc` starts an old cluster with its own.
fn command(port: u16, place: &Place, options: &Options, log: File) -> Result<Command, Error> {
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        format!("max_connections={}", options.connections_max),
        "password_encryption=scram-sha-256".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "logging_collector=off".to_owned(),
        "log_line_prefix=%m [%p] %q%a ".to_owned(),
    ];
    if options.durability == Durability::None {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
    }
    let mut command = Command::new(place.binaries.program("postgres"));
    command.arg("-D").arg(&place.data);
    for setting in settings {
        command.arg("-c").arg(setting);
    }
    bare_environment(&mut command, &place.data);
    place.account.apply(&mut command);
    // A group of its own: Ctrl-C on the terminal must reach the server last, through us.
    command.process_group(0).stdin(Stdio::null());
    let second = log.try_clone().map_err(Error::io("open the database server's log"))?;
    command.stdout(log).stderr(second);
    Ok(command)
}

fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port on 127.0.0.1"))
}

/// The folder has files that another account made, so a server of ours can't use them.
pub(super) fn is_foreign(data: &Path) -> bool {
    data.exists() && std::fs::read_dir(data).is_err()
}
