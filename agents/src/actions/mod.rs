//! What a step can do. This file holds the list of actions; each is a file of the same name with its input and output.
//! What needs storage or the network is only described here (`collect`, `post`): the caller performs it.

pub mod collect;
pub mod compose;
pub mod correlate;
pub mod post;

use serde::{Deserialize, Serialize};

/// THE list: a closed set, so that a playbook is data and never code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Run connectors of the station and store what they read.
    Collect,
    /// One track per aircraft from what several receivers heard.
    Correlate,
    /// A text from a template.
    Compose,
    /// A message to a chat channel.
    Post,
}

impl Action {
    /// Every action.
    pub const ALL: &[Self] = &[Self::Collect, Self::Correlate, Self::Compose, Self::Post];

    /// The word after `use:`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Correlate => "correlate",
            Self::Compose => "compose",
            Self::Post => "post",
        }
    }

    /// What may stand under `with:`.
    #[must_use]
    pub fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::Collect => collect::INPUTS,
            Self::Correlate => correlate::INPUTS,
            Self::Compose => compose::INPUTS,
            Self::Post => post::INPUTS,
        }
    }

    /// The input that is a template for the action itself and so isn't rendered before.
    pub(crate) fn own_template(self) -> Option<&'static str> {
        match self {
            Self::Compose => Some("template"),
            Self::Collect | Self::Correlate | Self::Post => None,
        }
    }
}

/// An action that can't be done with this input; trying again won't help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {message}")]
pub struct InputError {
    /// The action's name.
    pub action: &'static str,
    /// What is wrong with which input.
    pub message: String,
}

/// Reads a step's rendered `with` as an action's input.
fn input<T: for<'de> Deserialize<'de>>(action: Action, with: &serde_json::Value) -> Result<T, InputError> {
    T::deserialize(with).map_err(|error| InputError { action: action.name(), message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_file_is_listed_under_its_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/actions");
        let mut stems: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|stem| stem != "mod")
            .collect();
        stems.sort();
        let mut names: Vec<&str> = Action::ALL.iter().map(|action| action.name()).collect();
        names.sort_unstable();
        assert_eq!(stems, names);
    }

    #[test]
    fn the_name_is_the_word_in_the_catalogue() {
        for action in Action::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
    }
}
