//! A playbook as it is written and as a run stores it. Which of its words are wrong is decided in `check`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Parameter;
use crate::{Role, actions::Action, durations, placed::unique};

/// One playbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    /// Unique in the catalogue: `op_airtrack_merge`.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// Stations of these roles may run it.
    pub roles: Vec<Role>,
    /// What starts it besides its name.
    #[serde(default)]
    pub triggers: Triggers,
    /// What a run may be told, by name.
    #[serde(default, deserialize_with = "unique")]
    pub parameters: BTreeMap<String, Parameter>,
    /// In order; each may use the results of those before.
    pub steps: Vec<Step>,
    /// Template of what the run answers.
    pub reply: String,
}

/// What starts a playbook besides its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triggers {
    /// Phrases in a message to the agent; the longest that fits wins.
    #[serde(default)]
    pub chat: Vec<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique in the playbook; its result is `steps.<id>`.
    pub id: String,
    /// What it does.
    #[serde(rename = "use")]
    pub action: Action,
    /// The action's input; texts are templates.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// An expression; the step is skipped where it doesn't hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// How often and how far apart it is tried.
    #[serde(default)]
    pub retry: Retry,
    /// How long one try may take. Default 60 seconds.
    #[serde(default = "minute", with = "durations")]
    pub timeout: Duration,
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

/// How often and how far apart a step is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Tries in all. Default 3.
    pub attempts: u32,
    /// Before the second try; the caller may lengthen it for later ones. Default 5 seconds.
    #[serde(with = "durations")]
    pub wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, wait: Duration::from_secs(5) }
    }
}
