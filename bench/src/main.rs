//! `vtoc-bench`: what the engine does per second, beside bare SQL on the same tables and beside its peers. `run` measures,
//! `page` writes what was measured as a page with charts. `scripts/bench` builds everything and starts a Postgres for it.

mod cluster;
mod engine;
mod figure;
mod floor;
mod machine;
mod measure;
mod page;
mod peers;
mod record;
mod report;
mod session;
mod steady;
mod stock;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use tracing_subscriber::{EnvFilter, fmt::writer::MakeWriterExt};

/// As the released worker's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "vtoc-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, on the Postgres whose superuser's URL is in `VTOC_TEST_DATABASE_URL`
    Run(session::Run),
    /// Write docs/benchmarks.md and its charts from a file that `run --json` wrote
    Page {
        /// That file
        json: PathBuf,
        /// Where `benchmarks.md` and the folder `benchmarks` go
        #[arg(long, default_value = "docs")]
        folder: PathBuf,
    },
    /// A worker process with the benchmark's kinds
    #[command(hide = true)]
    Worker(engine::process::Worker),
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(run());
    // A worker whose database is gone for good ends with results that it couldn't write.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

async fn run() -> anyhow::Result<()> {
    // The filter of a real worker, so that spans cost what they cost there; but only warnings are shown.
    let filter = EnvFilter::new("info,apalis_core=warn,sqlx=error");
    let shown = std::io::stderr.with_max_level(tracing::Level::WARN);
    workers::log(filter, shown);
    match Arguments::parse().command {
        Command::Run(run) => session::run(run).await,
        Command::Page { json, folder } => page::write(&json, &folder),
        Command::Worker(worker) => engine::process::serve(worker).await,
    }
}
