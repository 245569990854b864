//! The folder where one installation on one machine keeps everything: the cluster, generated secrets, logs, and who runs.
//! One `vtoc up` at a time holds it. What is in the database is not known here.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::unistd::Uid;

use crate::cluster::Account;
use crate::private_file;

/// A data folder held by this process; let go when dropped, or when the process dies.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder where there is none, and takes it.
    pub fn take(path: &Path) -> Result<DataFolder> {
        let mode = Account::choose().map_or(0o700, |account| account.folder_mode());
        let make = |path: &Path, mode| {
            private_file::create_folder(path, mode)
                .with_context(|| format!("create the data folder {}", path.display()))
        };
        make(path, mode)?;
        let path = fs::canonicalize(path).with_context(|| format!("find the data folder {}", path.display()))?;
        for part in ["keys", "log", "run"] {
            make(&path.join(part), 0o700)?;
        }
        let lock = lock(&path)?;
        Ok(DataFolder { path, _lock: lock })
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log of a process that runs here.
    #[must_use]
    pub fn log(&self, process: &str) -> PathBuf {
        self.path.join("log").join(format!("{process}.log"))
    }

    /// Where process numbers stand.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.path.join("run")
    }

    /// The file of a generated secret.
    #[must_use]
    pub fn key(&self, name: &str) -> PathBuf {
        key(&self.path, name)
    }

    /// Leaves the application's database URL to commands that run meanwhile.
    pub fn write_database_url(&self, url: &str) -> Result<()> {
        let path = database_url(&self.path);
        private_file::replace(&path, url).with_context(|| format!("write {}", path.display()))
    }
}

/// The file of a generated secret in the data folder `path`, which somebody else may hold.
#[must_use]
pub fn key(path: &Path, name: &str) -> PathBuf {
    path.join("keys").join(name)
}

/// The file with the application's database URL in the data folder `path`, which somebody else may hold.
#[must_use]
pub fn database_url(path: &Path) -> PathBuf {
    path.join("run/database-url")
}

/// Where the data folder is when nobody says: the system's place for root, the user's own otherwise.
pub fn default_path() -> Result<PathBuf> {
    choose_path(Uid::effective().is_root(), env::var_os("XDG_DATA_HOME"), env::var_os("HOME"))
        .context("no data folder: HOME isn't set; name one with --data")
}

fn choose_path(is_root: bool, xdg_data_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    if is_root {
        return Some(PathBuf::from("/var/lib/vtoc"));
    }
    // The XDG rule: a relative path there is to be ignored.
    let data_home = xdg_data_home.map(PathBuf::from).filter(|path| path.is_absolute());
    let own = || home.filter(|home| !home.is_empty()).map(|home| PathBuf::from(home).join(".local/share"));
    data_home.or_else(own).map(|data_home| data_home.join("vtoc"))
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("vtoc.lock");
    let what = || format!("lock {}", path.display());
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(what)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            bail!(
                "the data folder {} is in use by another vtoc (process {}): stop that one, or choose another folder with --data",
                folder.display(),
                holder.trim(),
            );
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(what),
    }
    write_holder(&mut file).with_context(what)?;
    Ok(file)
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_held_is_refused_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let held = DataFolder::take(folder.path()).unwrap();
        let refused = DataFolder::take(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("in use by another vtoc (process {})", std::process::id())), "{refused}");
        drop(held);
        DataFolder::take(folder.path()).unwrap();
    }

    #[test]
    fn the_default_follows_the_account() {
        let xdg = || Some(OsString::from("/data"));
        let home = || Some(OsString::from("/home/ann"));
        assert_eq!(choose_path(true, xdg(), home()), Some(PathBuf::from("/var/lib/vtoc")));
        assert_eq!(choose_path(false, xdg(), home()), Some(PathBuf::from("/data/vtoc")));
        assert_eq!(choose_path(false, None, home()), Some(PathBuf::from("/home/ann/.local/share/vtoc")));
        assert_eq!(
            choose_path(false, Some("relative".into()), home()),
            Some(PathBuf::from("/home/ann/.local/share/vtoc"))
        );
        assert_eq!(choose_path(false, None, None), None);
    }
}
