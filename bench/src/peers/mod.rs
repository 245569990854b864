//! Other people's queues: programs under `bench/peers` that are started anew for every figure, on an empty database, and
//! answer with one line of JSON. What a peer's settings are stands in `bench/peers/README.md`.

mod list;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use serde::Deserialize;
use tokio::process::Command;

pub(crate) use self::list::{PEERS, PUBLISHED, Peer};
use crate::{cluster::Cluster, engine::Figures, figure::Figure, record::Who};

/// A peer gives up by itself after two minutes of a drain.
const PATIENCE: Duration = Duration::from_secs(300);
/// What a program that lacks the peer or the figure ends with.
const CANNOT: i32 = 2;
/// A peer that failed so often at a figure isn't asked for it again.
const FAILURES_MAX: usize = 2;
/// Jobs of the first run, which only tells how fast a peer is.
const TRIAL_JOBS: usize = 2_000;
/// How long a drain, or an enqueue of as many, should take: long enough that its start doesn't matter.
const RUN_FOR_S: f64 = 4.0;

/// What a peer's program answers.
#[derive(Debug, Deserialize)]
struct Answer {
    version: String,
    per_s: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    rss_mib: Option<f64>,
}

/// The peers whose programs are there.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    folder: PathBuf,
    latency_s: usize,
    present: Vec<Peer>,
    /// How often a peer failed at a figure; what it can't do counts as often enough.
    failures: BTreeMap<(String, &'static str), usize>,
    rates: BTreeMap<(String, &'static str), f64>,
    /// The versions that answered.
    pub(crate) versions: BTreeMap<&'static str, String>,
}

impl Peers {
    /// None of them.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Looks for the programs under `folder`; quickly: only those that build quickly. Starts are measured for `latency_s`.
    pub(crate) fn found(folder: &Path, quick: bool, latency_s: usize) -> Self {
        let rust = program(folder).exists();
        let node = folder.join("node/node_modules").exists();
        let present = PEERS.into_iter().filter(|peer| if peer.is_node { node } else { rust });
        let present: Vec<Peer> = present.filter(|peer| !(quick && peer.builds_slowly)).collect();
        if present.is_empty() {
            eprintln!("no peer's program is there: see {}", folder.join("README.md").display());
        }
        Self { folder: folder.to_owned(), latency_s, present, ..Self::default() }
    }

    /// Every peer at each of `settings`.
    pub(crate) fn participants(&self, settings: &[&str]) -> Vec<Who> {
        let of = |peer: &Peer| {
            settings
                .iter()
                .map(|settings| Who::Peer { name: peer.name.to_owned(), settings: (*settings).to_owned() })
                .collect::<Vec<_>>()
        };
        self.present.iter().flat_map(of).collect()
    }

    /// Measures one figure of one peer; nothing when it can't do it. A peer that fails is left out with a word about it.
    pub(crate) async fn run(
        &mut self,
        cluster: &Cluster,
        who: (&str, &str),
        (word, figure, concurrency): (&'static str, Figure, Option<usize>),
        jobs: usize,
    ) -> anyhow::Result<Figures> {
        let (name, settings) = who;
        let key = (format!("{name} {settings} {concurrency:?}"), word);
        let Some(peer) = self.present.iter().copied().find(|peer| peer.name == name) else { return Ok(Vec::new()) };
        if self.failures.get(&key).is_some_and(|failures| *failures >= FAILURES_MAX) {
            return Ok(Vec::new());
        }
        let is_drain = word.starts_with("drain");
        let is_long = is_drain || word == "enqueue_batch";
        let jobs = match settings {
            "defaults" if is_drain => jobs.min(peer.defaults_jobs),
            _ if is_long => {
                if !self.rates.contains_key(&key) {
                    let trial = self.ask(cluster, peer, settings, word, concurrency, TRIAL_JOBS.min(jobs)).await?;
                    self.rates.insert(key.clone(), trial.ok().and_then(|answer| answer.per_s).unwrap_or_default());
                }
                let bearable = self.rates.get(&key).map_or(0.0, |rate| rate * RUN_FOR_S);
                jobs.min((bearable as usize).max(TRIAL_JOBS))
            }
            _ => jobs,
        };
        let answer = match self.ask(cluster, peer, settings, word, concurrency, jobs).await? {
            Ok(answer) => answer,
            Err(failures) => {
                *self.failures.entry(key).or_default() += failures;
                return Ok(Vec::new());
            }
        };
        if let Some(rate) = answer.per_s.filter(|_| is_long) {
            self.rates.insert(key, rate);
        }
        self.versions.insert(peer.name, answer.version.clone());
        Ok(figures(figure, &answer))
    }

    /// Starts the program of a peer once; answers what it said, or as how many failures its silence counts.
    async fn ask(
        &self,
        cluster: &Cluster,
        peer: Peer,
        settings: &str,
        word: &str,
        concurrency: Option<usize>,
        jobs: usize,
    ) -> anyhow::Result<Result<Answer, usize>> {
        let fresh = cluster.empty().await?;
        let mut command = if peer.is_node {
            let mut node = Command::new("node");
            node.arg(self.folder.join("node/peer.mjs"));
            node
        } else {
            Command::new(program(&self.folder))
        };
        command.arg(peer.name).args(["--url", &fresh.owner_url, "--settings", settings, "--figure", word]);
        command.args(["--jobs", &jobs.to_string()]);
        if word == "start_latency" {
            command.args(["--seconds", &self.latency_s.to_string()]);
        }
        if let Some(concurrency) = concurrency {
            command.args(["--concurrency", &concurrency.to_string()]);
        }
        command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        cluster.drop(fresh).await?;
        let output = match output {
            Ok(output) => output.with_context(|| format!("start {}", peer.name))?,
            Err(_) => {
                eprintln!("  {} ({settings}) {word}: no answer within {} s", peer.name, PATIENCE.as_secs());
                return Ok(Err(FAILURES_MAX));
            }
        };
        if output.status.success() {
            let line = String::from_utf8_lossy(&output.stdout);
            let answer = serde_json::from_str(line.trim());
            return Ok(Ok(answer.with_context(|| format!("the answer of {}: {line}", peer.name))?));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let cannot = output.status.code() == Some(CANNOT);
        let verb = if cannot { "is left out" } else { "failed" };
        eprintln!("  {} ({settings}) {word} {verb}: {}", peer.name, said.trim().lines().last().unwrap_or_default());
        Ok(Err(if cannot { FAILURES_MAX } else { 1 }))
    }
}

fn program(folder: &Path) -> PathBuf {
    folder.join("target/release/vtoc-bench-peers")
}

fn figures(figure: Figure, answer: &Answer) -> Figures {
    let rate = answer.per_s.map(|rate| (figure, rate));
    let latencies = [(Figure::StartLatencyP50, answer.p50_ms), (Figure::StartLatencyP99, answer.p99_ms)];
    let memory = answer.rss_mib.filter(|_| figure == Figure::DrainNoop).map(|memory| (Figure::DrainMemory, memory));
    let latencies = latencies.into_iter().filter_map(|(figure, value)| Some((figure, value?)));
    rate.into_iter().chain(latencies).chain(memory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_the_figures_it_has() {
        let rate: Answer =
            serde_json::from_str(r#"{"peer":"p","version":"1","per_s":31765.1,"rss_mib":40.5}"#).unwrap();
        assert_eq!(figures(Figure::DrainNoop, &rate), [(Figure::DrainNoop, 31_765.1), (Figure::DrainMemory, 40.5)]);
        assert_eq!(figures(Figure::EnqueueBatch, &rate), [(Figure::EnqueueBatch, 31_765.1)]);
        let latency: Answer = serde_json::from_str(r#"{"version":"1","p50_ms":2.5,"p99_ms":14.0}"#).unwrap();
        assert_eq!(
            figures(Figure::StartLatencyP50, &latency),
            [(Figure::StartLatencyP50, 2.5), (Figure::StartLatencyP99, 14.0)]
        );
    }
}
