//! The program `vtoc`: reads its arguments, runs the command, says what failed. Exit codes: 0 done, 1 failed, 2 misused.

use std::process::ExitCode;

use clap::Parser;
use cli::commands::Vtoc;

#[tokio::main]
async fn main() -> ExitCode {
    match Vtoc::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vtoc: {error:#}");
            ExitCode::FAILURE
        }
    }
}
