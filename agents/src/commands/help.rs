//! What a station can run, as an answer in chat.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    Role,
    playbooks::{Catalogue, Playbook},
};

/// Lists what a station of that role can run, with the parameters and the phrases of each.
#[must_use]
pub fn help_text(catalogue: &Catalogue, role: Role) -> String {
    let mut text = format!("This {role} station can run:\n");
    let before = text.len();
    for playbook in catalogue.for_role(role) {
        describe(playbook, &mut text);
    }
    if text.len() == before {
        text.push_str("nothing; no playbook names its role.\n");
    }
    text.push_str("Say `@agent run <playbook> key=value`, `@agent status` or `@agent help`.");
    text
}

fn describe(playbook: &Playbook, text: &mut String) {
    // Writing to a string doesn't fail.
    let _ = writeln!(text, "- `{}`: {}", playbook.name, playbook.description);
    for (name, parameter) in &playbook.parameters {
        let default = match &parameter.default {
            Some(Value::String(text)) => format!(" (default {text})"),
            Some(other) => format!(" (default {other})"),
            None => " (required)".into(),
        };
        let _ = writeln!(text, "    {name}: {}{default}", parameter.description);
    }
    if !playbook.triggers.chat.is_empty() {
        let phrases: Vec<String> = playbook.triggers.chat.iter().map(|phrase| format!("“{phrase}”")).collect();
        let _ = writeln!(text, "    or say {}", phrases.join(", "));
    }
}
