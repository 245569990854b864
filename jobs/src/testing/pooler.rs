//! A PgBouncer between a test and its database, in transaction mode and with fewer sessions than it has clients: what
//! works by luck with a session of its own fails here. It listens on a socket in a folder of its own.

use std::{
    env, fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sqlx::Row;
use url::Url;
use uuid::Uuid;

use super::eventually;
use crate::{ConnectOptions, Database, Pooling, Scope};

/// The name of its socket has a port in it.
const PORT: u16 = 6432;
/// Accounts that root gives it to: it refuses to run as root, as the database does.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];
const PATIENCE: Duration = Duration::from_secs(20);

/// A running PgBouncer; it ends with the test.
#[derive(Debug)]
pub struct Pooler {
    /// The database through it, for the same login.
    pub url: String,
    /// Sessions of the database at most.
    pub sessions: u32,
    folder: PathBuf,
    child: Child,
}

impl Pooler {
    /// Puts one before the database at `url`, with so many sessions at most.
    ///
    /// # Panics
    /// When PgBouncer isn't installed: `scripts/setup --tests` does that where it can.
    pub async fn start(url: &str, sessions: u32) -> Self {
        let server = Url::parse(url).expect("a URL");
        let folder = env::temp_dir().join(format!("vtoc-pooler-{}", Uuid::now_v7().simple()));
        fs::create_dir(&folder).expect("a new folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("our folder");
        write_settings(&folder, &server, sessions);
        give(&folder);
        let through = format!(
            "postgres://{}:{}@{}:{PORT}{}",
            server.username(),
            server.password().unwrap_or_default(),
            folder.to_str().expect("a readable path").replace('/', "%2F"),
            server.path()
        );
        let pooler = Self { child: spawn(&folder), url: through, sessions, folder };
        pooler.until_ready().await;
        pooler
    }

    /// Ends it as `kill -9` does, with everything that goes through it.
    pub fn kill(&mut self) {
        self.child.kill().expect("our own process");
        self.child.wait().expect("our own process");
    }

    /// Starts it again after [`Pooler::kill`].
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.folder);
        self.until_ready().await;
    }

    /// A pool of connections through it.
    #[must_use]
    pub fn database(&self) -> Database {
        let options = ConnectOptions { pooling: Pooling::Transaction, ..ConnectOptions::default() };
        Database::connect_lazy(&self.url, &options).expect("a URL")
    }

    /// Prepared statements that were left in its sessions, all of which it takes for a moment.
    pub async fn statements_left(&self) -> i64 {
        let database = self.database();
        let (mut held, mut left) = (Vec::new(), 0);
        for _ in 0..self.sessions {
            let mut tx = database.begin(Scope::Fleet).await.expect("a session comes free");
            let count = sqlx::raw_sql("select count(*) from pg_prepared_statements").fetch_one(&mut *tx).await;
            left += count.expect("the statement is right").get::<i64, _>(0);
            held.push(tx);
        }
        left
    }

    async fn until_ready(&self) {
        let database = self.database();
        eventually("the pooler answers", PATIENCE, || async { database.readiness().await.is_ok() }).await;
        database.close().await;
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn settings(folder: &Path) -> PathBuf {
    folder.join("pgbouncer.ini")
}

fn write_settings(folder: &Path, server: &Url, sessions: u32) {
    let users = folder.join("users");
    let login = format!("\"{}\" \"{}\"\n", server.username(), server.password().unwrap_or_default());
    fs::write(&users, login).expect("our folder");
    let ini = format!(
        "[databases]
* = host={} port={}
[pgbouncer]
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 500
unix_socket_dir = {}
listen_port = {PORT}
auth_type = scram-sha-256
auth_file = {}
logfile = {}
{}",
        server.host_str().expect("a URL with a host"),
        server.port().unwrap_or(5432),
        folder.display(),
        users.display(),
        folder.join("log").display(),
        account().map(|name| format!("user = {name}\n")).unwrap_or_default(),
    );
    fs::write(settings(folder), ini).expect("our folder");
}

/// Whom it is to run as; none when it may run as we do.
fn account() -> Option<&'static str> {
    let we_are_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let there = |name: &&&str| Command::new("id").arg(name).output().is_ok_and(|answer| answer.status.success());
    UNPRIVILEGED.iter().find(there).copied().filter(|_| we_are_root)
}

fn give(folder: &Path) {
    if let Some(name) = account() {
        let given = Command::new("chown").args(["-R", name]).arg(folder).status().expect("chown is everywhere");
        assert!(given.success(), "{} can be given to {name}", folder.display());
    }
}

fn spawn(folder: &Path) -> Child {
    let program = Path::new("/usr/sbin/pgbouncer");
    let program = if program.exists() { program } else { Path::new("pgbouncer") };
    Command::new(program)
        .arg("-q")
        .arg(settings(folder))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pgbouncer is installed: run scripts/setup --tests, or install it")
}
