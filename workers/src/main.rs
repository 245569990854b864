//! `vtoc-worker`: a process that runs jobs. Settings come from the command line and the environment; secrets from the
//! environment only.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use agents::{
    chat::Chat,
    outbound::{Client, HostPort, Policy},
};
use anyhow::Context;
use clap::{
    Parser,
    builder::{FalseyValueParser, StringValueParser},
};
use jobs::{installation, kinds::Kinds};
use url::Url;
use uuid::Uuid;
use workers::{Config, Isolation, Limits, Role, run, stop_on_signal};

/// Jobs are allocated on one thread and freed on another, which the system's allocator locks for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs jobs until it is told to stop (SIGTERM, SIGINT), then drains within 25 s.
#[derive(Debug, Parser)]
#[command(name = "vtoc-worker", version)]
struct Arguments {
    /// Where the jobs are: the application's login
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Queues to drain
    #[arg(long, value_delimiter = ',', default_value = "default,playbooks,telemetry,chat,audit")]
    queues: Vec<String>,
    /// Jobs at once
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    concurrency: u16,
    /// Seconds a claim is good for without a renewal; the same for all workers of a fleet
    #[arg(long, env = "VTOC_LEASE_SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=3600))]
    lease_seconds: u64,
    /// The database is behind a transaction pooler: leave nothing in its sessions, find work by polling alone
    #[arg(long, env = "VTOC_POLL_ONLY", value_parser = FalseyValueParser::new())]
    poll_only: bool,
    /// Folder with agents.yml and agentkit.yml; the shipped ones without it
    #[arg(long, env = "VTOC_CONFIG_DIR", value_parser = StringValueParser::new())]
    config_dir: Option<String>,
    /// Where posts go; without it, the built-in chat of VTOC_URL
    #[arg(long, env = "CHATKIT_BASE_URL")]
    chatkit_base_url: Option<String>,
    /// The api whose built-in chat is used
    #[arg(long, env = "VTOC_URL", default_value = "http://127.0.0.1:8080")]
    vtoc_url: Url,
    /// What the chat takes as bearer
    #[arg(long, env = "CHATKIT_API_KEY", hide_env_values = true, default_value = "")]
    chatkit_api_key: String,
    /// The chat's organisation
    #[arg(long, env = "CHATKIT_ORG_ID")]
    chatkit_org_id: Option<String>,
    /// This process' id in the registry
    #[arg(long, hide = true)]
    worker_id: Option<Uuid>,
    /// Run suspect jobs, one after another, and end
    #[arg(long, hide = true)]
    isolated: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "info,apalis_core=warn,sqlx=warn".into());
    workers::log(filter, std::io::stderr);
    // A handler that blocks its thread takes one of these; the engine has threads of its own.
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("no threads")?;
    let ended = runtime.block_on(serve(arguments));
    // A handler that holds its thread mustn't keep the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let folder = filled(&arguments.config_dir).map(PathBuf::from);
    let services = installation::services(installation::files(folder), chat(&arguments)?)?;
    let role = if arguments.isolated { Role::Isolated } else { Role::Member };
    let config = config(&arguments)?;
    let (worker_id, queues, concurrency) = (config.worker_id, config.queues.join(","), config.concurrency);
    let stop = stop_on_signal()?;
    tracing::info!(worker.id = %worker_id, queues, concurrency, ?role, "worker starts");
    let counters = run(config, Kinds::released(), services, role, stop).await?;
    tracing::info!(worker.id = %worker_id, ?counters, "worker ends");
    Ok(())
}

fn config(arguments: &Arguments) -> anyhow::Result<Config> {
    let program = std::env::current_exe().context("this program's own path")?.into();
    // A suspect's process is told what this one was told, but for who it is.
    let mut told: Vec<OsString> = std::env::args_os().skip(1).chain(["--isolated".into()]).collect();
    if let Some(at) = told.iter().position(|argument| argument == "--worker-id") {
        told.drain(at..told.len().min(at + 2));
    }
    let concurrency = if arguments.isolated { 1 } else { usize::from(arguments.concurrency) };
    Ok(Config {
        database_url: arguments.database_url.clone(),
        queues: arguments.queues.clone(),
        concurrency,
        limits: Limits { lease: Duration::from_secs(arguments.lease_seconds), ..Limits::default() },
        isolation: Some(Isolation { program, arguments: told }),
        poll_only: arguments.poll_only,
        worker_id: arguments.worker_id.unwrap_or_else(Uuid::now_v7),
    })
}

/// The chat that posts go to. An operator's own base URL may be an internal host; nothing else may.
fn chat(arguments: &Arguments) -> anyhow::Result<Chat> {
    let base = match filled(&arguments.chatkit_base_url) {
        Some(url) => url.parse().context("CHATKIT_BASE_URL")?,
        None => arguments.vtoc_url.join("chatkit").context("VTOC_URL")?,
    };
    let host = HostPort::of(&base).context("the chat's URL names no host")?;
    let policy = Policy { allow_hosts: vec![host], ..Policy::default() };
    let client = Client::new(policy).context("the outbound client")?;
    let org = filled(&arguments.chatkit_org_id).map(str::to_owned);
    Ok(Chat::new(client, base, arguments.chatkit_api_key.clone(), org))
}

/// A setting that says something: an empty variable is one that isn't set.
fn filled(setting: &Option<String>) -> Option<&str> {
    setting.as_deref().filter(|setting| !setting.is_empty())
}
