//! Makes a new cluster on disk with `initdb`: passwords for everybody, UTF-8, checksums. It appears under its name only
//! when it is whole, so a crash in the middle leaves nothing that looks like a cluster.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::{Account, Binaries, Error};
use crate::private_file;

/// Locales tried in turn: the first sorts Unicode by code point, the second every system has.
const LOCALES: [&str; 2] = ["C.UTF-8", "C"];

/// Makes a cluster at `data`, whose superuser `postgres` has this password.
pub(super) async fn create(data: &Path, binaries: &Binaries, account: &Account, password: &str) -> Result<(), Error> {
    let unfinished = data.with_extension("new");
    let password_file = data.with_extension("password");
    for leftover in [&unfinished, &password_file] {
        remove(leftover)?;
    }
    hand_over(&password_file, password, account)?;
    let made = try_locales(&unfinished, &password_file, binaries, account).await;
    remove(&password_file)?;
    made?;
    fs::rename(&unfinished, data).map_err(Error::io(format!("rename {} to {}", unfinished.display(), data.display())))
}

async fn try_locales(data: &Path, password_file: &Path, binaries: &Binaries, account: &Account) -> Result<(), Error> {
    let mut result = Ok(());
    for locale in LOCALES {
        remove(data)?;
        fs::create_dir(data).map_err(Error::io(format!("create {}", data.display())))?;
        account.give(data).map_err(Error::io(format!("give {} to the server's account", data.display())))?;
        result = initdb(data, password_file, locale, binaries, account).await;
        match &result {
            Err(Error::Program { said, .. }) if said.contains("locale") => {}
            _ => return result,
        }
    }
    result
}

async fn initdb(
    data: &Path,
    password_file: &Path,
    locale: &str,
    binaries: &Binaries,
    account: &Account,
) -> Result<(), Error> {
    let mut command = Command::new(binaries.program("initdb"));
    command
        .arg("--pgdata")
        .arg(data)
        .arg("--pwfile")
        .arg(password_file)
        .args([
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--data-checksums",
            "--no-instructions",
        ])
        .arg(format!("--locale={locale}"));
    run("initdb", command, data, account).await
}

/// Runs one of Postgres' own programs to its end, as the server's account, with nothing of our environment.
pub(super) async fn run(
    program: &'static str,
    mut command: Command,
    folder: &Path,
    account: &Account,
) -> Result<(), Error> {
    bare_environment(&mut command, folder);
    account.apply(&mut command);
    let output = command.stdin(Stdio::null()).output().await.map_err(Error::io(format!("start {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Program { program, status: output.status, said })
}

/// Secrets in our environment are none of the server's business, `PG…` variables would change what its programs do, and
/// our own working folder may be one that its account can't enter.
pub(super) fn bare_environment(command: &mut Command, folder: &Path) {
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(folder);
}

fn hand_over(path: &Path, password: &str, account: &Account) -> Result<(), Error> {
    let what = || format!("write {}", path.display());
    let mut file = private_file::create(path).map_err(Error::io(what()))?;
    writeln!(file, "{password}").map_err(Error::io(what()))?;
    account.give(path).map_err(Error::io(what()))
}

fn remove(path: &Path) -> Result<(), Error> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Io { what: format!("remove {}", path.display()), source: error })
        }
        _ => Ok(()),
    }
}
