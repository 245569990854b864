//! The step machine: from a playbook and the results so far to what comes next. It holds no state of its own, so a run
//! resumes after a crash by asking again.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Context, Playbook, PlaybookError, Retry, Step};
use crate::{actions::Action, templates};

/// What comes next in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Perform a step and store its result under its id.
    Step {
        /// The step.
        id: String,
        /// What it does.
        action: Action,
        /// The action's input, rendered; a [`crate::actions::compose`] template is left to the action.
        input: Value,
        /// How long one try may take.
        timeout: Duration,
        /// How often and how far apart it is tried.
        retry: Retry,
    },
    /// Store null under the id; its `when` doesn't hold.
    Skip {
        /// The step.
        id: String,
    },
    /// Every step has a result.
    Done {
        /// What the run answers.
        reply: String,
    },
}

/// What comes next: the first step without a result, or the end.
///
/// # Errors
/// When a template fails on what the run found; trying again won't help.
pub fn next(playbook: &Playbook, context: &Context) -> Result<Next, PlaybookError> {
    let seen = context.to_value();
    let failed = |what: &str, error: templates::TemplateError| PlaybookError {
        line: 0,
        column: 0,
        message: format!("{}: {what}: {error}", playbook.name),
    };
    let Some(step) = playbook.steps.iter().find(|step| !context.results.contains_key(&step.id)) else {
        let reply = templates::text(&playbook.reply, &seen).map_err(|error| failed("reply", error))?;
        return Ok(Next::Done { reply: reply.trim().to_owned() });
    };
    let holds = match &step.when {
        Some(when) => {
            templates::holds(when, &seen).map_err(|error| failed(&format!("step {}: when", step.id), error))?
        }
        None => true,
    };
    if !holds {
        return Ok(Next::Skip { id: step.id.clone() });
    }
    let input = input(step, &seen).map_err(|error| failed(&format!("step {}", step.id), error))?;
    Ok(Next::Step { id: step.id.clone(), action: step.action, input, timeout: step.timeout, retry: step.retry })
}

fn input(step: &Step, seen: &Value) -> Result<Value, templates::TemplateError> {
    let mut input = Map::new();
    for (name, value) in &step.with {
        let own = step.action.own_template() == Some(name.as_str());
        let value = if own { value.clone() } else { rendered(value, seen)? };
        input.insert(name.clone(), value);
    }
    Ok(Value::Object(input))
}

/// A value with every text in it rendered, to any depth.
fn rendered(value: &Value, seen: &Value) -> Result<Value, templates::TemplateError> {
    match value {
        Value::String(template) => templates::value(template, seen),
        Value::Array(items) => items.iter().map(|item| rendered(item, seen)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, field)| Ok((name.clone(), rendered(field, seen)?)));
            fields.collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        other => Ok(other.clone()),
    }
}
