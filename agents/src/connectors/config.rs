//! `agents.yml`: which sources a station has. Strict: an unknown field, an unknown kind or a value that would be
//! ignored is an error with its line and column. Secrets and live endpoints are not part of it.

mod raw;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::{
    Role,
    placed::{self, Place},
};

/// A mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} column {column}: {message}")]
pub struct ConfigError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

/// How much of a recording is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest row; a longer one is quarantined. Default 65,536.
    pub line_bytes_max: usize,
    /// Most bytes of one recording after decompression, and so also of one snapshot. Default 16 MiB.
    pub body_bytes_max: u64,
}

/// What happens to the times of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// They stay as recorded.
    Keep,
    /// They are moved so that `recorded_until` falls on the time of the reading. Sources recorded together share
    /// the value and so stay aligned.
    Shift {
        /// The end of the recording on its own clock.
        recorded_until: DateTime<Utc>,
    },
}

/// One configured source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Unique in the file.
    pub name: String,
    /// The connector: `adsb`.
    pub kind: String,
    /// One of the connector's formats: `sbs`, `readsb-json`.
    pub format: String,
    /// Whether it takes part.
    pub enabled: bool,
    /// The recording, relative to the configuration folder or absolute inside it.
    pub file: PathBuf,
    /// The slug of the station it belongs to.
    pub station: String,
    /// That station's role.
    pub role: Role,
    /// The zone of times that carry none.
    pub timezone: Tz,
    /// What happens to the recorded times.
    pub replay: Replay,
    /// How much is read.
    pub limits: Limits,
}

/// All configured sources, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    sources: Vec<Source>,
}

impl Sources {
    /// Reads and checks `agents.yml`.
    ///
    /// # Errors
    /// [`ConfigError`] with the place of the first mistake.
    pub fn parse(yaml: &str) -> Result<Self, ConfigError> {
        let file: raw::File = serde_yaml_ng::from_str(yaml).map_err(|error| {
            let Place { line, column } = placed::of_yaml(&error);
            ConfigError { line, column, message: placed::message_of_yaml(&error) }
        })?;
        file.checked().map(|sources| Self { sources }).map_err(|flaw| {
            let trail: Vec<&str> = flaw.trail.iter().map(String::as_str).collect();
            let Place { line, column } = placed::follow(yaml, &trail);
            ConfigError { line, column, message: flaw.message }
        })
    }

    /// Every source, by name.
    pub fn all(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// The enabled sources of a station, by name.
    pub fn of_station<'a>(&'a self, slug: &'a str) -> impl Iterator<Item = &'a Source> {
        self.sources.iter().filter(move |source| source.enabled && source.station == slug)
    }

    /// The source of that name, enabled or not.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = include_str!("../../config/agents.yml");

    fn mistake(from: &str, to: &str) -> ConfigError {
        assert!(GOOD.contains(from), "{from}");
        Sources::parse(&GOOD.replacen(from, to, 1)).unwrap_err()
    }

    #[test]
    fn the_shipped_configuration_has_both_receivers_of_the_station() {
        let sources = Sources::parse(GOOD).unwrap();
        let names: Vec<&str> = sources.of_station("toc-s1").map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["lax-a", "lax-b"]);
        assert_eq!(sources.of_station("toc-s2").count(), 0);
    }

    #[test]
    fn an_unknown_field_is_an_error_at_its_place() {
        let error = mistake("    enabled: true", "    enabeld: true");
        assert!(error.message.contains("enabeld"), "{error}");
        assert!(GOOD.lines().nth(error.line - 1).unwrap().contains("enabled"), "{error}");
    }

    #[test]
    fn an_unknown_kind_or_format_names_the_known_ones() {
        let kind = mistake("kind: adsb", "kind: radar");
        assert_eq!(kind.message, "source lax-a: no connector \"radar\"; there are: adsb");
        let format = mistake("format: sbs", "format: beast");
        assert_eq!(format.message, "source lax-a: adsb does not read \"beast\"; it reads: sbs, readsb-json");
        assert!(GOOD.lines().nth(format.line - 1).unwrap().contains("format: sbs"), "{format}");
    }

    #[test]
    fn a_shifted_replay_must_say_when_the_recording_ends() {
        let error = mistake("recorded_until: 2026-11-22T08:23:11.100Z, ", "");
        assert!(error.message.contains("recorded_until"), "{error}");
    }

    #[test]
    fn values_that_would_be_ignored_are_errors() {
        assert!(mistake("mode: offline", "mode: online").message.contains("online"));
        assert!(mistake("file:fixtures", "http://10.0.0.5/fixtures").message.contains("file:"));
        assert!(mistake("timezone: UTC", "timezone: Mars/Olympus").message.contains("Mars"));
        assert!(mistake("version: 1", "version: 2").message.contains("version"));
    }

    #[test]
    fn a_repeated_source_is_an_error() {
        let error = mistake("  lax-b:", "  lax-a:");
        assert!(error.message.contains("lax-a"), "{error}");
    }
}
