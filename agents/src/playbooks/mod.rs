//! Playbooks are data: the catalogue (`agentkit.yml`), what one run of a playbook may ask for (`parameters`), and the
//! step machine that says what comes next (`next`). Pure: storing results and performing steps is the caller's.

mod catalogue;
mod check;
mod context;
mod machine;
mod parameter;
mod playbook;

pub use catalogue::Catalogue;
pub use context::{Context, Run, Station};
pub use machine::{Next, next};
pub use parameter::{Parameter, ParameterError, ParameterKind, parameters};
pub use playbook::{Playbook, Retry, Step, Triggers};

/// A mistake in a playbook. At parsing time it has a place in the file; while running, line and column are 0 and the
/// message names the step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", place(*line, *column))]
pub struct PlaybookError {
    /// Counted from 1; 0 while running.
    pub line: usize,
    /// Counted from 1; 0 while running.
    pub column: usize,
    /// What is wrong, naming playbook and step.
    pub message: String,
}

fn place(line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!("line {line} column {column}: ") }
}

#[cfg(test)]
pub(crate) mod tests;
