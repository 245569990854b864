//! Other people's queues under one command line: one peer, one figure, one JSON line on standard output.
//!
//! Each run gets an empty database of its own from its caller, installs the peer's schema itself and starts one worker process'
//! worth of the peer in this process. What a peer is told at `best` and at `defaults`, and what it doesn't do, is in README.md.

mod answer;
mod args;
mod board;
mod database;
mod figure;
mod peer;
mod task;

use std::process::ExitCode;

use args::Args;
use clap::Parser as _;
use peer::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => {
            eprintln!("the runtime didn't start: {err}");
            return ExitCode::FAILURE;
        }
    };
    let code = match runtime.block_on(peer::run(&args)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(Failure::Refused(why)) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
        Err(Failure::Broken(err)) => {
            eprintln!("{} {}: {err:#}", args.peer, args.figure);
            ExitCode::FAILURE
        }
    };
    // The peer's workers are still up: nothing of theirs is waited for.
    runtime.shutdown_background();
    code
}
