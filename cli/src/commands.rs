//! The list of commands, one file each. What several of them need is beside this folder.

mod demo;
mod migrate;
mod postgres;
mod schedule;
mod token;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Operates a vTOC fleet, and runs one on this machine.
#[derive(Debug, Parser)]
#[command(name = "vtoc", version, arg_required_else_help = true)]
pub struct Vtoc {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Migrate(migrate::Migrate),
    Token(token::Token),
    Schedule(schedule::Schedule),
    Demo(demo::Demo),
    Postgres(postgres::Postgres),
}

impl Vtoc {
    /// Runs the command. An error is a failure that the command couldn't turn into an answer.
    pub async fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Up(up) => up.run().await,
            Command::Migrate(migrate) => migrate.run().await,
            Command::Token(token) => token.run().await,
            Command::Schedule(schedule) => schedule.run().await,
            Command::Demo(demo) => demo.run().await,
            Command::Postgres(postgres) => postgres.run().await,
        }
    }
}
