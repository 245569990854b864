//! The binary `vtoc-api`: settings from the environment, logging, signals. Everything else is the library's.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;
use jobs::{ConnectOptions, Database, Pooling, Wake, accept::Door};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

mod arguments;

use arguments::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = arguments.config()?;
    let url = &arguments.database_url;
    let options = ConnectOptions {
        application_name: "vtoc-api",
        connections_max: arguments.database_connections_max,
        pooling: if arguments.poll_only { Pooling::Transaction } else { Pooling::Session },
        ..ConnectOptions::default()
    };
    let database = Database::connect_lazy(url, &options)?;
    let wake = Wake::start(url, &ConnectOptions { application_name: "vtoc-api-wake", ..options })?;
    let door = Door::new(arguments.config_dir.clone(), arguments.default_station(), wake)?;
    let listener = TcpListener::bind(&arguments.bind)
        .await
        .with_context(|| format!("VTOC_BIND: {} can't be bound", arguments.bind))?;
    let shutdown = on_signal().context("signals can't be handled")?;
    tracing::info!(address = %listener.local_addr()?, "vtoc-api listens");
    let served = api::serve(config, database.clone(), door, listener, shutdown).await;
    database.close().await;
    served?;
    tracing::info!("vtoc-api finished what it had accepted");
    Ok(())
}

/// Cancelled by the first SIGTERM or SIGINT.
fn on_signal() -> io::Result<CancellationToken> {
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let cancelled = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(shutdown)
}
