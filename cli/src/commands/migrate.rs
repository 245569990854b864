//! `vtoc migrate`: brings the database up to date, as its owner. What the migrations do stands in `migrations/`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::installation::Given;
use crate::progress::Step;

/// Bring the database up to date.
///
/// Connects with DATABASE_URL_OWNER, or with DATABASE_URL where that isn't set. May be run again at any time.
#[derive(Debug, Args)]
pub(super) struct Migrate {}

impl Migrate {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let given = Given::from_environment();
        let url =
            given.owner.or(given.application).context("no database: set DATABASE_URL_OWNER to the owner's URL")?;
        let step = Step::begin("migrations");
        jobs::migrate::run(&url).await.context("migrate")?;
        step.done("the database is up to date");
        Ok(ExitCode::SUCCESS)
    }
}
