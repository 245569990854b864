//! A cluster for the length of one command, in a temporary folder: for tests. What an interrupted run left behind is
//! removed by the next one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::cluster::{Account, Cluster, Options, Shutdown};
use crate::data_folder::DataFolder;
use crate::private_file;
use crate::secrets::Secret;

const PREFIX: &str = "vtoc-postgres-";

/// A cluster that nobody will ask for again.
#[derive(Debug)]
pub(crate) struct Ephemeral {
    pub(crate) cluster: Cluster,
    folder: DataFolder,
    temporary: TempDir,
}

impl Ephemeral {
    pub(crate) async fn start(options: Options) -> Result<Ephemeral> {
        let parent = std::env::temp_dir();
        for leftover in leftovers(&parent) {
            // Somebody else's, or in use after all: not ours to remove.
            let _ = remove(&leftover).await;
        }
        let temporary = tempfile::Builder::new().prefix(PREFIX).tempdir().context("make a temporary folder")?;
        private_file::set_mode(temporary.path(), Account::choose()?.folder_mode())
            .context("open the temporary folder to the server")?;
        let folder = DataFolder::take(temporary.path())?;
        let cluster = start(&folder, options).await?;
        Ok(Ephemeral { cluster, folder, temporary })
    }

    pub(crate) async fn remove(self) -> Result<()> {
        // Nothing of it is kept, so nothing need be written out.
        self.cluster.stop(Shutdown::Immediate).await?;
        drop(self.folder);
        self.temporary.close().context("remove the temporary folder")
    }
}

async fn start(folder: &DataFolder, options: Options) -> Result<Cluster> {
    let password = Secret::kept(folder, "postgres-password")?;
    Ok(Cluster::start(folder.path(), &folder.log("postgres"), password.expose(), options).await?)
}

/// Folders of earlier runs, in use or not.
fn leftovers(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let is_ours =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
    // Without a lock file it is being made at this moment.
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_ours)
        .filter(|path| path.join("vtoc.lock").exists())
        .collect()
}

/// Starting a cluster ends the server that was left on it; then the files can go.
async fn remove(leftover: &Path) -> Result<()> {
    let folder = DataFolder::take(leftover)?;
    if folder.path().join("postgres/postmaster.pid").exists() {
        start(&folder, Options::default()).await?.stop(Shutdown::Immediate).await?;
    }
    fs::remove_dir_all(folder.path()).context("remove a folder that an interrupted run left")
}
