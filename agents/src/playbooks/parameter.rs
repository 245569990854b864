//! Parameters of a run: text from chat or a form becomes typed values, defaults are filled in, unknown names are
//! errors that list the known ones.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Playbook;
use crate::durations;

/// Longest text of a parameter.
const TEXT_CHARS_MAX: usize = 2_000;

/// One declared parameter. Without a default it must be given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What values it takes.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// One sentence for people.
    pub description: String,
    /// The value of a run that doesn't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only texts allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// Lowest number allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Highest number allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// What values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true`, `yes`, `false`, `no`.
    Boolean,
    /// `90s`, `5m`; stays text.
    Duration,
}

/// What was asked for can't be run; the message says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// No parameter of that name.
    #[error("{playbook} has no parameter {name:?}; it has: {known}")]
    Unknown {
        /// The playbook's name.
        playbook: String,
        /// As given.
        name: String,
        /// The declared names.
        known: String,
    },
    /// A parameter without a default wasn't given.
    #[error("{playbook} needs {name} ({description})")]
    Missing {
        /// The playbook's name.
        playbook: String,
        /// The parameter.
        name: String,
        /// What it is.
        description: String,
    },
    /// The value isn't one.
    #[error("{name}={given}: {reason}")]
    Value {
        /// The parameter.
        name: String,
        /// As given.
        given: String,
        /// What would be right.
        reason: String,
    },
}

/// The values of a run: what was given, typed, and the defaults of the rest.
///
/// # Errors
/// [`ParameterError`] for the first name or value that doesn't fit.
pub fn parameters(playbook: &Playbook, given: &BTreeMap<String, String>) -> Result<Map<String, Value>, ParameterError> {
    if let Some(name) = given.keys().find(|name| !playbook.parameters.contains_key(*name)) {
        let known: Vec<&str> = playbook.parameters.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(ParameterError::Unknown { playbook: playbook.name.clone(), name: name.clone(), known });
    }
    let mut values = Map::new();
    for (name, declared) in &playbook.parameters {
        let value = match (given.get(name), &declared.default) {
            (Some(text), _) => declared.value(text).map_err(|reason| ParameterError::Value {
                name: name.clone(),
                given: text.clone(),
                reason,
            })?,
            (None, Some(default)) => default.clone(),
            (None, None) => {
                return Err(ParameterError::Missing {
                    playbook: playbook.name.clone(),
                    name: name.clone(),
                    description: declared.description.clone(),
                });
            }
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

impl Parameter {
    /// The typed value of a text; the error says what would be right.
    fn value(&self, text: &str) -> Result<Value, String> {
        let value = match self.kind {
            ParameterKind::Text if text.chars().count() > TEXT_CHARS_MAX => {
                return Err(format!("longer than {TEXT_CHARS_MAX} characters"));
            }
            ParameterKind::Text => Value::from(text),
            ParameterKind::Integer => Value::from(text.parse::<i64>().map_err(|_| "not a whole number")?),
            ParameterKind::Number => {
                Value::from(text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or("not a number")?)
            }
            ParameterKind::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Value::from(true),
                "false" | "no" | "off" => Value::from(false),
                _ => return Err("not yes or no".into()),
            },
            ParameterKind::Duration => durations::parse(text).map(|_| Value::from(text.trim()))?,
        };
        self.allows(&value)?;
        Ok(value)
    }

    /// Whether a value has the type and is in range; the error says what would be right.
    pub(super) fn allows(&self, value: &Value) -> Result<(), String> {
        match (self.kind, value) {
            (ParameterKind::Text, Value::String(text)) => {
                if self.one_of.is_empty() || self.one_of.contains(text) {
                    Ok(())
                } else {
                    Err(format!("not one of: {}", self.one_of.join(", ")))
                }
            }
            (ParameterKind::Duration, Value::String(text)) => durations::parse(text).map(|_| ()),
            (ParameterKind::Boolean, Value::Bool(_)) => Ok(()),
            (ParameterKind::Integer, Value::Number(number)) if !number.is_f64() => self.in_range(number.as_f64()),
            (ParameterKind::Number, Value::Number(number)) => self.in_range(number.as_f64()),
            _ => Err(format!("{value} is not of the type {:?}", self.kind).to_lowercase()),
        }
    }

    fn in_range(&self, number: Option<f64>) -> Result<(), String> {
        let number = number.ok_or("not a number")?;
        match (self.min, self.max) {
            (Some(min), _) if number < min => Err(format!("less than {min}")),
            (_, Some(max)) if number > max => Err(format!("more than {max}")),
            _ => Ok(()),
        }
    }
}
