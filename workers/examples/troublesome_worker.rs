//! A worker process whose kinds misbehave on purpose: they abort, panic, hang, block their thread. The tests start it as
//! its own process, since only a real process can be killed. Arguments: see [`Arguments`].

use std::{path::PathBuf, time::Duration};

use agents::{
    chat::Chat,
    outbound::{Client, HostPort, Method, Policy, Request},
};
use clap::Parser;
use jobs::{
    installation,
    kinds::{Cx, Failure, Kind, Kinds, Policy as KindPolicy, entry},
    queue::{Backoff, Fate, Until},
};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;
use workers::{Config, Isolation, Limits, Role, run, stop_on_signal};

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long, env = "DATABASE_URL")]
    database_url: String,
    #[arg(long, env = "CHATKIT_BASE_URL")]
    chatkit_base_url: Url,
    #[arg(long, env = "VTOC_CONFIG_DIR")]
    config_dir: Option<PathBuf>,
    #[arg(long, env = "TEST_LEASE_MS", default_value_t = 2_000)]
    lease_ms: u64,
    #[arg(long, env = "TEST_POLL_MS", default_value_t = 200)]
    poll_ms: u64,
    #[arg(long, env = "TEST_CONCURRENCY", default_value_t = 10)]
    concurrency: usize,
    #[arg(long, env = "VTOC_POLL_ONLY")]
    poll_only: bool,
    #[arg(long)]
    worker_id: Option<Uuid>,
    #[arg(long)]
    isolated: bool,
}

/// Quick to try again, so that tests needn't wait.
const POLICY: KindPolicy = KindPolicy {
    queue: "default",
    attempts_max: 3,
    time_limit: Duration::from_millis(1_500),
    backoff: Backoff { base: Duration::from_millis(50), cap: Duration::from_millis(200) },
};

/// Ends its process, as a segmentation fault would.
#[derive(Debug, Serialize, Deserialize)]
struct AbortProcess {}

impl Kind for AbortProcess {
    const NAME: &'static str = "abort_process";
    const POLICY: KindPolicy = POLICY;

    async fn run(self, _: &Cx) -> Result<Fate, Failure> {
        std::process::abort();
    }
}

/// Panics.
#[derive(Debug, Serialize, Deserialize)]
struct Panic {}

impl Kind for Panic {
    const NAME: &'static str = "panic";
    const POLICY: KindPolicy = POLICY;

    async fn run(self, _: &Cx) -> Result<Fate, Failure> {
        panic!("as it was told to");
    }
}

/// Fails at its first attempt, and is done at its second.
#[derive(Debug, Serialize, Deserialize)]
struct FailOnce {}

impl Kind for FailOnce {
    const NAME: &'static str = "fail_once";
    const POLICY: KindPolicy = POLICY;

    async fn run(self, cx: &Cx) -> Result<Fate, Failure> {
        if cx.attempt.held.attempt == 1 {
            return Err(Failure::Other(anyhow::anyhow!("as it was told to")));
        }
        Ok(Fate::Done(None))
    }
}

/// Takes as long as it is told, and nothing else.
#[derive(Debug, Serialize, Deserialize)]
struct Rest {
    takes_ms: u64,
}

impl Kind for Rest {
    const NAME: &'static str = "rest";
    const POLICY: KindPolicy = POLICY;

    async fn run(self, _: &Cx) -> Result<Fate, Failure> {
        tokio::time::sleep(Duration::from_millis(self.takes_ms)).await;
        Ok(Fate::Done(None))
    }
}

/// Never returns, but lets its thread go.
#[derive(Debug, Serialize, Deserialize)]
struct Hang {}

impl Kind for Hang {
    const NAME: &'static str = "hang";
    const POLICY: KindPolicy = POLICY;

    async fn run(self, _: &Cx) -> Result<Fate, Failure> {
        std::future::pending().await
    }
}

/// Holds its thread and never returns.
#[derive(Debug, Serialize, Deserialize)]
struct BlockThread {}

impl Kind for BlockThread {
    const NAME: &'static str = "block_thread";
    const POLICY: KindPolicy = KindPolicy { attempts_max: 1, ..POLICY };

    async fn run(self, _: &Cx) -> Result<Fate, Failure> {
        loop {
            std::thread::park();
        }
    }
}

/// Holds its thread well beyond its time limit, and then returns as if nothing had been.
#[derive(Debug, Serialize, Deserialize)]
struct BlockAndReturn {}

impl Kind for BlockAndReturn {
    const NAME: &'static str = "block_and_return";
    const POLICY: KindPolicy = KindPolicy { attempts_max: 1, ..POLICY };

    async fn run(self, _: &Cx) -> Result<Fate, Failure> {
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(3_500) {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Ok(Fate::Done(None))
    }
}

/// Tells a receiver that it ran, under its idempotency key, and takes a while.
#[derive(Debug, Serialize, Deserialize)]
struct TellReceiver {
    url: String,
    #[serde(default)]
    takes_ms: u64,
}

impl Kind for TellReceiver {
    const NAME: &'static str = "tell_receiver";
    const POLICY: KindPolicy = KindPolicy { attempts_max: 5, time_limit: Duration::from_secs(30), ..POLICY };

    async fn run(self, cx: &Cx) -> Result<Fate, Failure> {
        let url: Url = self.url.parse().map_err(|error| Failure::Hopeless(format!("url: {error}")))?;
        let allowed = HostPort::of(&url).ok_or_else(|| Failure::Hopeless("no host".to_owned()))?;
        let client = Client::new(Policy { allow_hosts: vec![allowed], ..Policy::default() })?;
        client
            .send(Request::new(Method::Post, url).header("idempotency-key", &format!("{}:tell", cx.attempt.id)))
            .await?;
        tokio::time::sleep(Duration::from_millis(self.takes_ms)).await;
        Ok(Fate::Done(None))
    }
}

/// Enqueues jobs that tell a receiver, waits for them without a slot, and answers with how they ended.
#[derive(Debug, Serialize, Deserialize)]
struct AskAround {
    url: String,
    children: usize,
    #[serde(default)]
    ballast: String,
}

impl Kind for AskAround {
    const NAME: &'static str = "ask_around";
    const POLICY: KindPolicy = POLICY;

    async fn run(self, cx: &Cx) -> Result<Fate, Failure> {
        if let Some(woken) = cx.woken().await? {
            return Ok(Fate::Done(woken.answer));
        }
        let child = cx.follow_up(&TellReceiver { url: self.url, takes_ms: self.ballast.len() as u64 / 1_000 })?;
        let mut held = cx.attempt.lock().await?;
        held.enqueue_children(cx.attempt.id, &vec![child; self.children]).await?;
        held.wait(Until::Children, Duration::from_secs(60)).await?;
        Ok(Fate::Committed)
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let allowed = HostPort::of(&arguments.chatkit_base_url).expect("the test gives a host");
    let client = Client::new(Policy { allow_hosts: vec![allowed], ..Policy::default() })?;
    let chat = Chat::new(client, arguments.chatkit_base_url.clone(), "key".to_owned(), None);
    let services = installation::services(installation::files(arguments.config_dir.clone()), chat)?;
    let lease = Duration::from_millis(arguments.lease_ms);
    let config = Config {
        database_url: arguments.database_url.clone(),
        queues: ["default", "playbooks", "telemetry", "chat", "audit"].map(str::to_owned).to_vec(),
        concurrency: if arguments.isolated { 1 } else { arguments.concurrency },
        limits: Limits {
            lease,
            poll: Duration::from_millis(arguments.poll_ms),
            sweep: Duration::from_millis(400),
            drain: Duration::from_secs(3),
            overtime: Duration::from_millis(500),
            ..Limits::default()
        },
        isolation: Some(Isolation { program: std::env::current_exe()?.into(), arguments: vec!["--isolated".into()] }),
        poll_only: arguments.poll_only,
        worker_id: arguments.worker_id.unwrap_or_else(Uuid::now_v7),
    };
    let kinds = Kinds::released()
        .with(entry::<AbortProcess>())
        .with(entry::<Panic>())
        .with(entry::<FailOnce>())
        .with(entry::<Rest>())
        .with(entry::<Hang>())
        .with(entry::<BlockThread>())
        .with(entry::<BlockAndReturn>())
        .with(entry::<TellReceiver>())
        .with(entry::<AskAround>());
    let stop = stop_on_signal()?;
    let role = if arguments.isolated { Role::Isolated } else { Role::Member };
    let counters = run(config, kinds, services, role, stop).await?;
    tracing::info!(?counters, "worker ends");
    std::process::exit(0);
}
