//! The catalogue: every playbook of `agentkit.yml`, parsed strictly and checked whole.

use serde::Deserialize;

use super::{Playbook, PlaybookError, check};
use crate::{
    Role,
    placed::{self, Place},
};

/// Every playbook, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    playbooks: Vec<Playbook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    playbooks: Vec<Playbook>,
}

impl Catalogue {
    /// Reads and checks `agentkit.yml`.
    ///
    /// # Errors
    /// [`PlaybookError`] with the place of the first mistake.
    pub fn parse(yaml: &str) -> Result<Self, PlaybookError> {
        let file: File = serde_yaml_ng::from_str(yaml).map_err(|error| {
            let Place { line, column } = placed::of_yaml(&error);
            PlaybookError { line, column, message: placed::message_of_yaml(&error) }
        })?;
        check::version(file.version).and_then(|()| check::playbooks(&file.playbooks)).map_err(|flaw| {
            let trail: Vec<&str> = flaw.trail.iter().map(String::as_str).collect();
            let Place { line, column } = placed::follow(yaml, &trail);
            PlaybookError { line, column, message: flaw.message }
        })?;
        let mut playbooks = file.playbooks;
        playbooks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { playbooks })
    }

    /// Every playbook, by name.
    pub fn all(&self) -> impl Iterator<Item = &Playbook> {
        self.playbooks.iter()
    }

    /// What a station of that role may run, by name.
    pub fn for_role(&self, role: Role) -> impl Iterator<Item = &Playbook> {
        self.playbooks.iter().filter(move |playbook| playbook.roles.contains(&role))
    }

    /// The playbook of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Playbook> {
        self.playbooks.iter().find(|playbook| playbook.name == name)
    }
}
