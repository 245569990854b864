//! `vtoc token`: bearer tokens, made, listed and revoked in the database itself. A secret is printed once, alone on the
//! output, so that it can be piped where it belongs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use comfy_table::Table;
use jobs::Database;
use jobs::tokens::{self, TokenRow, TokenScope};
use serde_json::json;

use crate::installation;
use crate::progress::say;

/// Make, list and revoke bearer tokens.
///
/// Works on DATABASE_URL, or on the data folder of a `vtoc up` that runs.
#[derive(Debug, Args)]
pub(super) struct Token {
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
    /// Make a token; its secret is printed this once.
    Create {
        /// Its name, unique.
        #[arg(long)]
        name: String,
        /// The station it is for; without one it is for the whole fleet.
        #[arg(long, value_name = "SLUG")]
        station: Option<String>,
        /// What it allows: ingest, read, operate, admin; may be repeated.
        #[arg(long = "scope", required = true)]
        scopes: Vec<TokenScope>,
    },
    /// Show every token, without secrets.
    List,
    /// Make a token useless from now on.
    Revoke {
        /// Its name or id.
        name: String,
    },
}

impl Token {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let database = installation::connect(self.data.as_deref()).await?;
        match &self.action {
            Action::Create { name, station, scopes } => {
                self.create(&database, name, station.as_deref(), scopes).await?
            }
            Action::List => self.list(&database).await?,
            Action::Revoke { name } => self.revoke(&database, name).await?,
        }
        database.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn create(
        &self,
        database: &Database,
        name: &str,
        station: Option<&str>,
        scopes: &[TokenScope],
    ) -> Result<()> {
        let new = tokens::create(database, name, station, scopes).await?;
        if self.json {
            println!("{}", json!({"token": new.token, "secret": new.secret}));
        } else {
            say(format_args!("token {} for {}; its secret, shown this once:", new.token.name, whom(&new.token)));
            println!("{}", new.secret);
        }
        Ok(())
    }

    async fn list(&self, database: &Database) -> Result<()> {
        let rows = tokens::list(database).await?;
        if self.json {
            println!("{}", serde_json::to_string(&rows).context("write JSON")?);
        } else {
            println!("{}", table(&rows));
        }
        Ok(())
    }

    async fn revoke(&self, database: &Database, name: &str) -> Result<()> {
        if !tokens::revoke(database, name).await? {
            bail!("there is no token {name:?} that could be revoked: see `vtoc token list`");
        }
        if self.json {
            println!("{}", json!({"revoked": name}));
        } else {
            say(format_args!("token {name} is revoked"));
        }
        Ok(())
    }
}

fn table(rows: &[TokenRow]) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(["NAME", "FOR", "SCOPES", "CREATED", "REVOKED", "ID"]);
    for row in rows {
        let revoked = row.revoked_at.map(|at| at.format("%F %T").to_string()).unwrap_or_default();
        table.add_row([
            row.name.clone(),
            whom(row),
            row.scopes.join(","),
            row.created_at.format("%F %T").to_string(),
            revoked,
            row.id.to_string(),
        ]);
    }
    table
}

fn whom(row: &TokenRow) -> String {
    row.station_slug.clone().unwrap_or_else(|| "the fleet".to_owned())
}
