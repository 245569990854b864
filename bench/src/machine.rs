//! What was measured on: the machine and the Postgres, so that a figure can be judged by who reads it later.

use serde_json::{Value, json};
use sqlx::PgConnection;

/// Settings of the server that matter to the figures.
const SETTINGS: [&str; 8] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "autovacuum_naptime",
    "jit",
];

/// Processors and memory.
pub(crate) fn machine() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|line| line.trim_start_matches([' ', '\t', ':']));
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    json!({
        "processor": model.unwrap_or(std::env::consts::ARCH),
        "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "memory_gib": kib.map(|kib| kib / 1_048_576),
        "system": std::env::consts::OS,
    })
}

/// Version and settings of the server.
pub(crate) async fn postgres(connection: &mut PgConnection) -> anyhow::Result<Value> {
    let (version,): (String,) =
        sqlx::query_as("select current_setting('server_version')").fetch_one(&mut *connection).await?;
    let mut described = json!({ "version": version });
    for name in SETTINGS {
        let (value,): (String,) =
            sqlx::query_as("select current_setting($1)").bind(name).fetch_one(&mut *connection).await?;
        described[name] = json!(value);
    }
    Ok(described)
}
