//! What can go wrong with a private Postgres cluster, each with what to do about it.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a cluster can't be made, started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No installation of Postgres on this machine.
    #[error("no PostgreSQL found on this machine: run scripts/setup, or name its bin folder in VTOC_POSTGRES_BIN")]
    NoBinaries,
    /// The folder that the environment names isn't one.
    #[error("VTOC_POSTGRES_BIN={folder}: no initdb, pg_ctl and postgres there that the server's account can run")]
    NoBinariesIn {
        /// What the variable says.
        folder: PathBuf,
    },
    /// The files on disk need another major version.
    #[error(
        "the data was made by PostgreSQL {wanted}, but this machine has {found}: install PostgreSQL {wanted}, or choose another data folder with --data"
    )]
    OtherVersion {
        /// Major version of the data.
        wanted: u32,
        /// Version of the first installation.
        found: String,
    },
    /// Root has nobody to run the server as.
    #[error(
        "PostgreSQL refuses to run as root, and there is no account postgres or nobody to run it as: create one, or start vtoc as an ordinary user"
    )]
    NoAccount,
    /// The server's account can't get at the data folder.
    #[error(
        "{account} can't enter {blocked}, so PostgreSQL can't use {folder}: choose another data folder with --data, or allow it with `chmod o+x {blocked}`"
    )]
    FolderOutOfReach {
        /// The data folder.
        folder: PathBuf,
        /// The folder on the way that refuses.
        blocked: PathBuf,
        /// Login name of the account.
        account: String,
    },
    /// The data folder belongs to a cluster that somebody else runs.
    #[error(
        "{folder} belongs to another account (was it made as root?): run vtoc as that account, or choose another data folder with --data"
    )]
    NotOurs {
        /// The cluster's folder.
        folder: PathBuf,
    },
    /// `initdb` or `pg_ctl` failed.
    #[error("{program} failed ({status}): {said}")]
    Program {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to its error output.
        said: String,
    },
    /// The server ended while it was starting.
    #[error("the database server stopped while starting ({status}); the end of {log}:\n{tail}")]
    Died {
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The server runs but takes no connections in time.
    #[error("the database server takes no connections after {seconds} s: see {log}")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// The server doesn't stop.
    #[error("the database server (process {pid}) doesn't stop: see its log, then end it with `kill -QUIT {pid}`")]
    WontStop {
        /// Its process id.
        pid: u32,
    },
    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: an operating system error with what was tried.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }
}
