//! `compose`: a text from a template over the run's context. What the template names and isn't there is an error; a
//! text is never longer than a chat message may be.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, InputError, input};
use crate::{playbooks::Context, templates};

pub(super) const INPUTS: &[&str] = &["template"];

/// Longest text.
pub const TEXT_CHARS_MAX: usize = 8_000;

/// The template, not rendered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Over `params`, `station`, `run` and `steps`.
    pub template: String,
}

/// The composed text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Without blank lines at its ends.
    pub text: String,
}

/// Renders the template of a step's input.
///
/// # Errors
/// When the input isn't one, or the template fails on this context.
pub fn compose(with: &Value, context: &Context) -> Result<Output, InputError> {
    let Input { template } = input(Action::Compose, with)?;
    let text = templates::text(&template, &context.to_value())
        .map_err(|error| InputError { action: Action::Compose.name(), message: error.to_string() })?;
    let text = text.trim();
    let text = match text.char_indices().nth(TEXT_CHARS_MAX - 1) {
        Some((cut, _)) if text.chars().count() > TEXT_CHARS_MAX => format!("{}…", &text[..cut]),
        _ => text.to_owned(),
    };
    Ok(Output { text })
}
