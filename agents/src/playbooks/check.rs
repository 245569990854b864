//! What is wrong with a playbook that is well-formed: repeated names, templates that don't compile, references to what
//! a step can't see. Everything here is found at start, never in the middle of a run.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Playbook, Step,
    context::{RUN_FIELDS, STATION_FIELDS},
};
use crate::templates::{self, TemplateError};

/// A mistake, and the words that lead to its line.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) trail: Vec<String>,
    pub(super) message: String,
}

pub(super) fn version(version: u32) -> Result<(), Flaw> {
    if version == 1 {
        return Ok(());
    }
    let message = format!("version {version} is not known; this program reads version 1");
    Err(Flaw { trail: vec!["version:".into()], message })
}

pub(super) fn playbooks(playbooks: &[Playbook]) -> Result<(), Flaw> {
    let mut names = BTreeSet::new();
    for playbook in playbooks {
        let flaw = |trail: Vec<String>, message: String| {
            let mut whole = vec!["playbooks:".to_owned(), format!("name: {}", playbook.name)];
            whole.extend(trail);
            Flaw { trail: whole, message: format!("{}: {message}", playbook.name) }
        };
        if !is_name(&playbook.name) {
            return Err(flaw(vec![], "a name has small letters, digits and underscores".into()));
        }
        if !names.insert(&playbook.name) {
            return Err(flaw(vec![], "there are two playbooks of this name".into()));
        }
        whole(playbook).map_err(|(trail, message)| flaw(trail, message))?;
    }
    Ok(())
}

/// The words that lead to a line inside the playbook, and what is wrong there.
type Mistake = (Vec<String>, String);

fn whole(playbook: &Playbook) -> Result<(), Mistake> {
    if playbook.roles.is_empty() {
        return Err((vec!["roles:".into()], "no role may run it".into()));
    }
    if playbook.steps.is_empty() {
        return Err((vec!["steps:".into()], "it has no steps".into()));
    }
    if playbook.triggers.chat.iter().any(|phrase| phrase.trim().is_empty()) {
        return Err((vec!["triggers:".into()], "a phrase is blank".into()));
    }
    for (name, declared) in &playbook.parameters {
        let wrong =
            |message: String| (vec!["parameters:".into(), format!("{name}:")], format!("parameter {name}: {message}"));
        if !is_name(name) {
            return Err(wrong("a name has small letters, digits and underscores".into()));
        }
        if let Some(default) = &declared.default {
            declared.allows(default).map_err(|message| wrong(format!("default: {message}")))?;
        }
    }
    let mut earlier = BTreeSet::new();
    for one in &playbook.steps {
        let trail = |field: Option<&str>| {
            let mut trail = vec!["steps:".to_owned(), format!("id: {}", one.id)];
            trail.extend(field.map(|field| format!("{field}:")));
            trail
        };
        step(playbook, one, &earlier)
            .map_err(|(field, message)| (trail(field.as_deref()), format!("step {}: {message}", one.id)))?;
        earlier.insert(one.id.as_str());
    }
    let used = templates::references(&playbook.reply);
    references(playbook, used, &earlier).map_err(|message| (vec!["reply:".into()], format!("reply: {message}")))
}

/// The field and what is wrong with it.
fn step(playbook: &Playbook, step: &Step, earlier: &BTreeSet<&str>) -> Result<(), (Option<String>, String)> {
    if !is_name(&step.id) {
        return Err((None, "an id has small letters, digits and underscores".into()));
    }
    if earlier.contains(step.id.as_str()) {
        return Err((None, "there are two steps of this id".into()));
    }
    if step.retry.attempts == 0 {
        return Err((Some("retry".into()), "a step is tried at least once".into()));
    }
    if step.timeout.is_zero() {
        return Err((Some("timeout".into()), "a step needs time".into()));
    }
    if let Some(when) = &step.when {
        let used = templates::references_of_condition(when);
        references(playbook, used, earlier).map_err(|message| (Some("when".into()), format!("when: {message}")))?;
    }
    for (name, value) in &step.with {
        let known = step.action.inputs();
        if !known.contains(&name.as_str()) {
            let message = format!("{} has no input {name:?}; it has: {}", step.action.name(), known.join(", "));
            return Err((Some(name.clone()), message));
        }
        texts(value, &mut |template| references(playbook, templates::references(template), earlier))
            .map_err(|message| (Some(name.clone()), format!("{name}: {message}")))?;
    }
    Ok(())
}

fn texts(value: &Value, visit: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().try_for_each(|item| texts(item, visit)),
        Value::Object(fields) => fields.values().try_for_each(|field| texts(field, visit)),
        _ => Ok(()),
    }
}

/// Whether everything a template looks up can be there.
fn references(
    playbook: &Playbook,
    used: Result<BTreeSet<String>, TemplateError>,
    earlier: &BTreeSet<&str>,
) -> Result<(), String> {
    for name in used.map_err(|error| error.to_string())? {
        let mut parts = name.split('.');
        let (root, field) = (parts.next().unwrap_or_default(), parts.next());
        let known: Vec<&str> = match root {
            "params" => playbook.parameters.keys().map(String::as_str).collect(),
            "steps" => earlier.iter().copied().collect(),
            "station" => STATION_FIELDS.to_vec(),
            "run" => RUN_FIELDS.to_vec(),
            _ => {
                return Err(format!("{name} is not there; there are: params, run, station, steps"));
            }
        };
        let listed = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
        match field {
            Some(field) if known.contains(&field) => {}
            Some(_) => return Err(format!("{name} is not there; {root} has here: {listed}")),
            None => {
                return Err(format!("{root} must be followed by a name; it has here: {listed}"));
            }
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_')
}
