//! The line on standard output.

use std::time::Duration;

use serde::Serialize;

use crate::args::Args;

/// What a figure came to.
pub(crate) enum Measured {
    /// So many jobs in so much time.
    Rate { jobs: u64, taken: Duration },
    /// From before the enqueue to the handler's start.
    Latency { p50: Duration, p99: Duration, jobs: u64 },
}

#[derive(Serialize)]
struct Line<'a> {
    peer: &'a str,
    version: &'a str,
    settings: String,
    figure: String,
    jobs: u64,
    concurrency: u32,
    pending: u64,
    finished: u64,
    #[serde(flatten)]
    value: Value,
    rss_mib: Option<f64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Rate { per_s: f64 },
    Latency { rate: u64, p50_ms: f64, p99_ms: f64 },
}

/// The answer as one line of JSON. `concurrency` is what the peer was set to.
pub(crate) fn line(args: &Args, version: &str, concurrency: u32, measured: &Measured) -> serde_json::Result<String> {
    let (jobs, value) = match *measured {
        Measured::Rate { jobs, taken } => {
            (jobs, Value::Rate { per_s: (jobs as f64 / taken.as_secs_f64() * 10.0).round() / 10.0 })
        }
        Measured::Latency { p50, p99, jobs } => {
            (jobs, Value::Latency { rate: args.rate, p50_ms: milliseconds(p50), p99_ms: milliseconds(p99) })
        }
    };
    serde_json::to_string(&Line {
        peer: &args.peer,
        version,
        settings: args.settings.to_string(),
        figure: args.figure.to_string(),
        jobs,
        concurrency,
        pending: args.pending,
        finished: args.finished,
        value,
        rss_mib: resident_mib(),
    })
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}

/// Resident memory of this process, which filled the queue too; `None` where the system doesn't say.
fn resident_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}
