//! `vtoc schedule`: jobs that are enqueued again and again, looked at and operated in the database itself. What a schedule is
//! made of is read in `definition`, how one is shown is in `shown`.

mod definition;
mod shown;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jobs::kinds::Kinds;
use jobs::schedules::{self, PAGE, ScheduleView};
use jobs::{Database, Scope};
use serde_json::json;

use self::definition::{Change, Definition};
use crate::installation;
use crate::progress::say;

/// Make, change and operate schedules.
///
/// Works on DATABASE_URL, or on the data folder of a `vtoc up` that runs.
#[derive(Debug, Args)]
pub(super) struct Schedule {
    #[command(subcommand)]
    action: Action,
    /// Data folder of a `vtoc up` that runs; wins over DATABASE_URL.
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show every schedule with its next tick.
    List,
    /// Show one with its next five ticks.
    Show {
        /// Its name.
        name: String,
    },
    /// Make one.
    Create(Box<Definition>),
    /// Change what is named, and nothing else.
    Edit(Box<Change>),
    /// Let no tick fire until it is resumed.
    Pause {
        /// Its name.
        name: String,
    },
    /// Go on with the next tick from now.
    Resume {
        /// Its name.
        name: String,
    },
    /// Enqueue one more of its jobs now, paused or not.
    Trigger {
        /// Its name.
        name: String,
    },
    /// Remove it; its jobs stay.
    Delete {
        /// Its name.
        name: String,
    },
}

impl Schedule {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let database = installation::connect(self.data.as_deref()).await?;
        let (fleet, kinds) = (Scope::Fleet, Kinds::released());
        match &self.action {
            Action::List => self.list(&database).await?,
            Action::Show { name } => self.answer(name, schedules::find(&database, fleet, name).await?)?,
            Action::Create(new) => {
                let new = new.read();
                let view = schedules::create(&database, &kinds, fleet, &new).await?;
                self.answer(&new.name, Some(view))?;
            }
            Action::Edit(change) => {
                let (name, changes) = (&change.name, change.read());
                self.answer(name, schedules::edit(&database, &kinds, fleet, name, &changes).await?)?;
            }
            Action::Pause { name } => self.answer(name, schedules::pause(&database, fleet, name).await?)?,
            Action::Resume { name } => self.answer(name, schedules::resume(&database, fleet, name).await?)?,
            Action::Trigger { name } => self.trigger(&database, name).await?,
            Action::Delete { name } => self.delete(&database, name).await?,
        }
        database.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn list(&self, database: &Database) -> Result<()> {
        let mut views: Vec<ScheduleView> = Vec::new();
        loop {
            let page = schedules::list(database, Scope::Fleet, views.last().map(|view| &*view.name)).await?;
            let last = page.len() < PAGE;
            views.extend(page);
            if last {
                break;
            }
        }
        if self.json {
            println!("{}", serde_json::to_string(&views).context("write JSON")?);
        } else {
            println!("{}", shown::table(&views));
        }
        Ok(())
    }

    fn answer(&self, name: &str, view: Option<ScheduleView>) -> Result<()> {
        let view = view.with_context(|| missing(name))?;
        if self.json {
            println!("{}", serde_json::to_string(&view).context("write JSON")?);
        } else {
            println!("{}", shown::card(&view));
        }
        Ok(())
    }

    async fn trigger(&self, database: &Database, name: &str) -> Result<()> {
        let job = schedules::trigger(database, Scope::Fleet, name).await?.with_context(|| missing(name))?;
        if self.json {
            println!("{}", json!({ "job_id": job }));
        } else {
            say(format_args!("schedule {name} is triggered; its job:"));
            println!("{job}");
        }
        Ok(())
    }

    async fn delete(&self, database: &Database, name: &str) -> Result<()> {
        if !schedules::delete(database, Scope::Fleet, name).await? {
            bail!(missing(name));
        }
        if self.json {
            println!("{}", json!({ "deleted": name }));
        } else {
            say(format_args!("schedule {name} is deleted"));
        }
        Ok(())
    }
}

fn missing(name: &str) -> String {
    format!("there is no schedule {name:?}: see `vtoc schedule list`")
}
