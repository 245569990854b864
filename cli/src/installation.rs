//! The database that a fleet on this machine works with: the one the environment names, or a private cluster. Brought up
//! to date, with a login for the application and, when it has no stations yet, three to begin with.

use std::{env, path::Path};

use anyhow::{Context, Result, bail};
use jobs::stations::{self, NewStation, Role};
use jobs::{ConnectOptions, Database, Pooling, Scope, provision};

use crate::cluster::{Cluster, Options};
use crate::data_folder::{self, DataFolder};
use crate::progress::Step;
use crate::secrets::Secret;

/// The application's login where we make it.
const LOGIN: &str = "vtoc_app";

/// The stations of a new installation. The first is the default.
const STATIONS: [(&str, &str, Role); 3] =
    [("toc-s1", "TOC-S1", Role::Ops), ("toc-s2", "TOC-S2", Role::Intel), ("toc-s3", "TOC-S3", Role::Logistics)];

/// The slug of the station that a message without one belongs to.
pub(crate) const DEFAULT_STATION: &str = STATIONS[0].0;

/// How `vtoc` itself connects: its few calls go through any pooler.
pub(crate) fn connect_options() -> ConnectOptions {
    ConnectOptions { pooling: Pooling::Transaction, ..ConnectOptions::default() }
}

/// URLs of a database that somebody else runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    pub(crate) application: Option<String>,
    pub(crate) owner: Option<String>,
}

impl Given {
    /// As the environment says; a blank variable counts as not set.
    pub(crate) fn from_environment() -> Given {
        let read = |name| env::var(name).ok().filter(|url: &String| !url.trim().is_empty());
        Given { application: read("DATABASE_URL"), owner: read("DATABASE_URL_OWNER") }
    }
}

/// Connects a command to the database of a `vtoc up` that runs with the data folder, or else to that of `DATABASE_URL`.
pub(crate) async fn connect(data: Option<&Path>) -> Result<Database> {
    let given = Given::from_environment().application.filter(|_| data.is_none());
    let url = match given {
        Some(url) => url,
        None => {
            let folder = data.map_or_else(data_folder::default_path, |data| Ok(data.to_owned()))?;
            let path = data_folder::database_url(&folder);
            std::fs::read_to_string(&path).with_context(|| {
                format!(
                    "no database: set DATABASE_URL, or start `vtoc up` and name its folder with --data (read {})",
                    path.display()
                )
            })?
        }
    };
    Database::connect(&url, &connect_options()).await.context("connect to the database; is `vtoc up` running?")
}

/// Starts the private cluster of a data folder.
pub(crate) async fn start_cluster(folder: &DataFolder) -> Result<Cluster> {
    let step = Step::begin("database server");
    let password = Secret::kept(folder, "postgres-password")?;
    let cluster = Cluster::start(folder.path(), &folder.log("postgres"), password.expose(), Options::default()).await?;
    step.done(format_args!("PostgreSQL {} on 127.0.0.1:{}", cluster.binaries().version, cluster.port()));
    Ok(cluster)
}

/// Migrates as `owner` and answers with the URL of the application's login, which is made or given its password again.
pub(crate) async fn provision_as_owner(folder: &DataFolder, owner: &str) -> Result<String> {
    let step = Step::begin("migrations");
    let password = Secret::kept(folder, "application-password")?;
    let url = provision::installation(owner, LOGIN, password.expose()).await.context("prepare the database")?;
    step.done("the database is up to date");
    Ok(url)
}

/// Makes a database that somebody else runs ready, as far as the logins given may.
pub(crate) async fn provision_given(folder: &DataFolder, given: &Given) -> Result<String> {
    let Some(application) = &given.application else {
        bail!("DATABASE_URL_OWNER is set, DATABASE_URL isn't: set both, or neither")
    };
    let rights = provision::rights(application).await.context("look at DATABASE_URL")?;
    match (&given.owner, rights.serves, rights.migrates) {
        (Some(owner), true, _) => {
            let step = Step::begin("migrations");
            jobs::migrate::run(owner).await.context("migrate as DATABASE_URL_OWNER")?;
            step.done("the database is up to date");
            Ok(application.clone())
        }
        (Some(owner), false, _) => provision_as_owner(folder, owner).await,
        (None, false, true) => provision_as_owner(folder, application).await,
        (None, true, _) => Ok(application.clone()),
        (None, false, false) => {
            bail!("the login of DATABASE_URL may neither migrate nor serve: give the owner's URL in DATABASE_URL_OWNER")
        }
    }
}

/// Registers the first stations of an installation that has none.
pub(crate) async fn register_stations(url: &str) -> Result<()> {
    let step = Step::begin("stations");
    let database = Database::connect(url, &connect_options()).await.context("connect as the application")?;
    let mut known = stations::list(&database, Scope::Fleet).await?;
    if known.is_empty() {
        for (slug, callsign, role) in STATIONS {
            let new = NewStation {
                slug: slug.to_owned(),
                callsign: callsign.to_owned(),
                role,
                time_zone: "UTC".to_owned(),
                default_channel: callsign.to_ascii_lowercase(),
            };
            known.push(stations::register(&database, &new).await.with_context(|| format!("register {slug}"))?);
        }
    }
    database.close().await;
    let names: Vec<_> = known.iter().map(|station| format!("{} ({})", station.slug, station.role)).collect();
    step.done(names.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_owner_without_an_application_is_a_half_given_database() {
        let path = tempfile::tempdir().unwrap();
        let folder = DataFolder::take(path.path()).unwrap();
        let given = Given { application: None, owner: Some("postgres://owner@localhost/x".to_owned()) };
        let error = provision_given(&folder, &given).await.unwrap_err().to_string();
        assert!(error.contains("set both, or neither"), "{error}");
    }
}
