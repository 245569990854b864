//! What a statement may read of a queue that is full: no more than a small multiple of what it was asked for, by an index.

use super::plan::Plan;

/// Tables that grow with the fleet's work or with its history. Of the others there is a row a process, a batch or a request that
/// is under way.
const BIG: [&str; 20] = [
    "job_body",
    "job_kept",
    "job_large",
    "job_ready",
    "job_finished",
    "job_attempt",
    "job_unique",
    "job_waiting",
    "job_child",
    "job_family",
    "job_callback",
    "job_woken",
    "effect",
    "receipt",
    "receipt_key",
    "audit",
    "playbook_run",
    "playbook_step",
    "chat_message",
    "telemetry_event",
];
/// Rows of a big table that may be read one after another: a day of history in which little ended.
const SEQUENTIAL_ROWS_MAX: f64 = 20_000.0;

/// What a statement may read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    rows: f64,
    pages: u64,
}

impl Allowance {
    /// For a call about at most `limit` rows.
    pub(super) fn of(limit: u32) -> Self {
        Self { rows: f64::from(limit) * 5.0 + 500.0, pages: u64::from(limit) * 100 + 1_000 }
    }
}

/// What `plan` breaks.
pub(super) fn broken(plan: &Plan, allowance: Allowance) -> Vec<String> {
    let mut broken = Vec::new();
    for node in plan.nodes() {
        if node.rows > allowance.rows {
            broken.push(format!("{} rows at {}, {} are allowed", node.rows, node.label, allowance.rows));
        }
        let big = node.table.as_deref().is_some_and(|table| BIG.contains(&without_day(table)));
        if big && node.sequential && node.rows.max(node.rows_planned) > SEQUENTIAL_ROWS_MAX {
            broken.push(format!("row after row of {}", node.label));
        }
    }
    if plan.root.pages > allowance.pages {
        broken.push(format!("{} pages, {} are allowed", plan.root.pages, allowance.pages));
    }
    broken
}

/// Whether `plan` reads or writes a table that grows.
pub(super) fn is_of_big_tables(plan: &Plan) -> bool {
    plan.nodes().iter().any(|node| node.table.as_deref().is_some_and(|table| BIG.contains(&without_day(table))))
}

fn without_day(table: &str) -> &str {
    table.trim_end_matches(|end: char| end.is_ascii_digit()).trim_end_matches('_')
}
