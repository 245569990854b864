//! A private Postgres cluster, run with Postgres' own programs: made on first use, on loopback and behind a password,
//! the same files at every start. What is stored in it is the business of `jobs`.

mod account;
mod binaries;
mod error;
mod initdb;
mod pid_file;
mod postmaster;
mod probe;

use std::fs;
use std::path::Path;
use std::process::ExitStatus;

pub use self::account::Account;
pub use self::binaries::{BIN_VARIABLE, Binaries};
pub use self::error::Error;
pub use self::postmaster::Shutdown;
use self::postmaster::{Place, Postmaster};

/// What a power failure may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Full,
    /// Everything: nothing is forced to disk. For tests that don't ask about it.
    None,
}

/// How a cluster is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Sessions at once.
    pub connections_max: u32,
    /// Whether commits reach the disk.
    pub durability: Durability,
}

impl Default for Options {
    fn default() -> Self {
        Options { connections_max: 200, durability: Durability::Full }
    }
}

/// A cluster with a running server. Dropped without `stop`, it is asked to stop and not waited for.
#[derive(Debug)]
pub struct Cluster {
    place: Place,
    options: Options,
    postmaster: Postmaster,
    password: String,
}

impl Cluster {
    /// Starts the cluster in `<folder>/postgres`, making it when there is none and ending a server that an earlier run
    /// left on it. The caller holds the folder's lock. `password` is the superuser's, given when it was made.
    pub async fn start(folder: &Path, log: &Path, password: &str, options: Options) -> Result<Cluster, Error> {
        let account = Account::choose()?;
        let folder = fs::canonicalize(folder).map_err(Error::io(format!("find {}", folder.display())))?;
        let blocked = account.blocked_at(&folder).map_err(Error::io(format!("look at {}", folder.display())))?;
        if let (Some(blocked), Account::Unprivileged { name, .. }) = (blocked, &account) {
            return Err(Error::FolderOutOfReach { folder, blocked, account: name.clone() });
        }
        let data = folder.join("postgres");
        if postmaster::is_foreign(&data) {
            return Err(Error::NotOurs { folder: data });
        }
        let binaries = Binaries::find(&account, major_of(&data))?;
        if !data.exists() {
            initdb::create(&data, &binaries, &account, password).await?;
        }
        let place = Place { data, log: log.to_path_buf(), binaries, account };
        postmaster::stop_leftover(&place).await?;
        let postmaster = Postmaster::start(&place, &options).await?;
        Ok(Cluster { place, options, postmaster, password: password.to_owned() })
    }

    /// The superuser's URL of a database in this cluster. Holds the password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port())
    }

    /// The loopback port, another at every start.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.postmaster.port
    }

    /// The server's process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.postmaster.pid()
    }

    /// The programs it runs with.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.place.binaries
    }

    /// The server's own folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.place.data
    }

    /// Waits until the server ends by itself: it was killed.
    pub async fn ended(&mut self) -> Result<ExitStatus, Error> {
        self.postmaster.ended().await
    }

    /// Starts the server again, on the port it had, after it ended.
    pub async fn start_again(&mut self) -> Result<(), Error> {
        postmaster::stop_leftover(&self.place).await?;
        self.postmaster.start_again(&self.place, &self.options).await
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(mut self, how: Shutdown) -> Result<(), Error> {
        self.postmaster.stop(how).await?;
        // Somebody may have restarted it behind our back; then the server that runs now isn't our child.
        postmaster::stop_leftover(&self.place).await?;
        Ok(())
    }
}

/// The major version that made these files; none when there are none.
fn major_of(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}
