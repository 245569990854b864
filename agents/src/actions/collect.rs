//! `collect`: run connectors of the station and wait for what they store. Reading and storing is the caller's; here are
//! the choice of sources and the shape of the account.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, InputError, input};
use crate::connectors::{Source, Sources};

pub(super) const INPUTS: &[&str] = &["sources", "kind"];

/// Which sources to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    /// By name; none: every enabled source of the station.
    pub sources: Vec<String>,
    /// Only those of this connector.
    pub kind: Option<String>,
}

impl Input {
    /// Reads a step's input.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn of(with: &Value) -> Result<Self, InputError> {
        input(Action::Collect, with)
    }

    /// The sources meant, by name.
    ///
    /// # Errors
    /// When one is named that the station doesn't have, or none is left.
    pub fn choose<'a>(&self, sources: &'a Sources, station: &'a str) -> Result<Vec<&'a Source>, InputError> {
        let of_station: Vec<&Source> = sources.of_station(station).collect();
        let refused = |message| Err(InputError { action: Action::Collect.name(), message });
        let known = || of_station.iter().map(|source| source.name.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(name) = self.sources.iter().find(|name| of_station.iter().all(|source| source.name != **name)) {
            return refused(format!("station {station} has no source {name:?}; it has: {}", known()));
        }
        let meant = |source: &&Source| {
            (self.sources.is_empty() || self.sources.contains(&source.name))
                && self.kind.as_ref().is_none_or(|kind| *kind == source.kind)
        };
        let chosen: Vec<&Source> = of_station.iter().copied().filter(meant).collect();
        if chosen.is_empty() {
            return refused(format!("station {station} has no such source; it has: {}", known()));
        }
        Ok(chosen)
    }
}

/// What happened to one source's input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCount {
    /// The source's name.
    pub name: String,
    /// Events that were decoded.
    pub events: u64,
    /// Events that were new to the station.
    pub stored: u64,
    /// Events that the station had already.
    pub duplicates: u64,
    /// Input that was refused and kept.
    pub quarantined: u64,
    /// Why the source couldn't be read; the others were.
    #[serde(default)]
    pub failed: Option<String>,
}

/// The account of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// By source, in the order they were run.
    pub sources: Vec<SourceCount>,
    /// Sum over the sources.
    pub events: u64,
    /// Sum over the sources.
    pub stored: u64,
    /// Sum over the sources.
    pub duplicates: u64,
    /// Sum over the sources.
    pub quarantined: u64,
    /// How many sources couldn't be read.
    pub failed: u64,
}

impl Output {
    /// Adds up the sources' accounts.
    #[must_use]
    pub fn of(sources: Vec<SourceCount>) -> Self {
        let sum = |part: fn(&SourceCount) -> u64| sources.iter().map(part).sum();
        Self {
            events: sum(|source| source.events),
            stored: sum(|source| source.stored),
            duplicates: sum(|source| source.duplicates),
            quarantined: sum(|source| source.quarantined),
            failed: sum(|source| u64::from(source.failed.is_some())),
            sources,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chosen(with: Value, station: &str) -> Result<Vec<String>, InputError> {
        let sources = Sources::parse(include_str!("../../config/agents.yml")).unwrap();
        let input = Input::of(&with)?;
        input.choose(&sources, station).map(|found| found.iter().map(|source| source.name.clone()).collect())
    }

    #[test]
    fn nothing_named_means_every_source_of_the_station() {
        assert_eq!(chosen(json!({}), "toc-s1").unwrap(), ["lax-a", "lax-b"]);
        assert_eq!(chosen(json!({"sources": ["lax-b"]}), "toc-s1").unwrap(), ["lax-b"]);
    }

    #[test]
    fn an_unknown_source_names_the_known_ones() {
        let error = chosen(json!({"sources": ["lax-c"]}), "toc-s1").unwrap_err();
        assert_eq!(error.to_string(), "collect: station toc-s1 has no source \"lax-c\"; it has: lax-a, lax-b");
        assert!(chosen(json!({}), "toc-s2").is_err());
        assert!(chosen(json!({"source": "lax-a"}), "toc-s1").is_err());
    }

    #[test]
    fn the_account_adds_up() {
        let one = SourceCount { name: "a".into(), events: 5, stored: 3, duplicates: 2, ..SourceCount::default() };
        let two = SourceCount { name: "b".into(), failed: Some("gone".into()), ..SourceCount::default() };
        let output = Output::of(vec![one, two]);
        assert_eq!((output.events, output.stored, output.duplicates, output.failed), (5, 3, 2, 1));
    }
}
