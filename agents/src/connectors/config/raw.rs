//! `agents.yml` as it is written, and the checks that a type can't make.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::{Limits, Replay, Source};
use crate::{Role, connectors, placed::unique};

/// A mistake, and the words that lead to its line.
pub(super) struct Flaw {
    pub(super) trail: Vec<String>,
    pub(super) message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    version: u32,
    #[serde(default)]
    defaults: Defaults,
    #[serde(deserialize_with = "unique")]
    sources: BTreeMap<String, RawSource>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Defaults {
    timezone: Option<String>,
    limits: RawLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    max_line_bytes: usize,
    max_body_bytes: u64,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self { max_line_bytes: 65_536, max_body_bytes: 16 * 1024 * 1024 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    kind: String,
    format: String,
    #[serde(default = "enabled")]
    enabled: bool,
    #[serde(rename = "mode")]
    _mode: Mode,
    endpoint: Endpoint,
    scope: Scope,
    #[serde(default)]
    options: Options,
}

fn enabled() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Offline,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    station: String,
    role: Role,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Options {
    timezone: Option<String>,
    recorded_until: Option<DateTime<Utc>>,
    replay: RawReplay,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawReplay {
    times: Times,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Times {
    #[default]
    Shift,
    Keep,
}

impl File {
    pub(super) fn checked(self) -> Result<Vec<Source>, Flaw> {
        if self.version != 1 {
            let message = format!("version {} is not known; this program reads version 1", self.version);
            return Err(Flaw { trail: vec!["version:".into()], message });
        }
        let default_zone = match &self.defaults.timezone {
            Some(name) => {
                zone(name).map_err(|message| Flaw { trail: vec!["defaults:".into(), "timezone:".into()], message })?
            }
            None => Tz::UTC,
        };
        let limits = Limits {
            line_bytes_max: self.defaults.limits.max_line_bytes,
            body_bytes_max: self.defaults.limits.max_body_bytes,
        };
        self.sources
            .into_iter()
            .map(|(name, source)| {
                source.checked(&name, default_zone, limits).map_err(|(field, message)| Flaw {
                    trail: vec!["sources:".into(), format!("{name}:"), format!("{field}:")],
                    message: format!("source {name}: {message}"),
                })
            })
            .collect()
    }
}

impl RawSource {
    /// The error is the field and what is wrong with it.
    fn checked(self, name: &str, default_zone: Tz, limits: Limits) -> Result<Source, (&'static str, String)> {
        let connector = connectors::by_name(&self.kind).ok_or_else(|| {
            ("kind", format!("no connector {:?}; there are: {}", self.kind, connectors::names().join(", ")))
        })?;
        if !connector.formats.contains(&self.format.as_str()) {
            let known = connector.formats.join(", ");
            return Err(("format", format!("{} does not read {:?}; it reads: {known}", self.kind, self.format)));
        }
        let file = self.endpoint.url.strip_prefix("file:").filter(|path| !path.is_empty());
        let file = file.ok_or_else(|| {
            ("endpoint", format!("{:?} is not a recording; write file: and a path", self.endpoint.url))
        })?;
        let slug = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if self.scope.station.is_empty() || !slug(&self.scope.station) {
            return Err(("scope", format!("{:?} is not the slug of a station", self.scope.station)));
        }
        let timezone = match &self.options.timezone {
            Some(name) => zone(name).map_err(|message| ("options", message))?,
            None => default_zone,
        };
        let replay = match (self.options.replay.times, self.options.recorded_until) {
            (Times::Keep, _) => Replay::Keep,
            (Times::Shift, Some(recorded_until)) => Replay::Shift { recorded_until },
            (Times::Shift, None) => {
                return Err((
                    "options",
                    "times are shifted, so recorded_until must say when the recording ends".into(),
                ));
            }
        };
        Ok(Source {
            name: name.to_owned(),
            kind: self.kind,
            format: self.format,
            enabled: self.enabled,
            file: PathBuf::from(file.strip_prefix("//").unwrap_or(file)),
            station: self.scope.station,
            role: self.scope.role,
            timezone,
            replay,
            limits,
        })
    }
}

fn zone(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|_| format!("{name:?} is not a time zone like UTC or America/Los_Angeles"))
}
