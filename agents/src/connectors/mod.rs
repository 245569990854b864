//! Telemetry connectors: from a configured source to a stream of events. This file holds the list of connectors; each
//! is a file of the same name. Recordings are read here; nothing is stored, nothing is scheduled.

pub mod config;
mod recording;

use chrono::{DateTime, Utc};

pub use config::{ConfigError, Limits, Replay, Source, Sources};
pub use recording::Files;

use crate::event::{Event, Quarantined};
use recording::{Clock, Lines};

/// Declares the modules and THE list: a connector is one word here and a file of that name.
macro_rules! connectors {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*
        /// Every connector: its name in configuration (`kind`), the formats it reads, how it reads them.
        const CONNECTORS: &[Connector] =
            &[$(Connector { name: stringify!($name), formats: $name::FORMATS, open: $name::open }),*];
    };
}

connectors! {
    adsb,
}

/// One entry of the list.
pub(crate) struct Connector {
    pub(crate) name: &'static str,
    pub(crate) formats: &'static [&'static str],
    open: fn(&Source, Lines, Origin) -> Events,
}

pub(crate) type Events = Box<dyn Iterator<Item = Result<Event, Quarantined>> + Send>;

/// What a decoder must know about where its input comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) station: String,
    pub(crate) source: String,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) clock: Clock,
}

/// Why a source can't be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// Somebody must put the file there.
    #[error("source {source_name}: no file {file}")]
    Missing {
        /// The source's name.
        source_name: String,
        /// As configured.
        file: String,
    },
    /// The configuration names a file outside its folder.
    #[error("source {source_name}: {file} is outside the configuration folder")]
    Outside {
        /// The source's name.
        source_name: String,
        /// As configured.
        file: String,
    },
    /// The file is there and can't be opened; trying again may help.
    #[error("source {source_name}: {file} cannot be read: {reason}")]
    Unreadable {
        /// The source's name.
        source_name: String,
        /// As configured.
        file: String,
        /// What the system says.
        reason: String,
    },
}

/// The events of one source, decoded as they are asked for. Reading blocks on the disk: keep it off async threads.
pub struct Reading {
    events: Events,
}

impl Iterator for Reading {
    type Item = Result<Event, Quarantined>;

    fn next(&mut self) -> Option<Self::Item> {
        self.events.next()
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reading")
    }
}

/// Opens `source`. `anchor` is when this reading takes place: `received_at` of its events, and for a replay that
/// shifts times the instant at which the recording ends. The same input and anchor give the same events, keys included.
///
/// # Errors
/// [`ConnectorError`] when the recording can't be opened; what is wrong inside it comes out of the iterator.
pub fn read(source: &Source, files: &Files, anchor: DateTime<Utc>) -> Result<Reading, ConnectorError> {
    let lines = Lines::new(files.open(source)?, source.limits);
    let origin = Origin {
        station: source.station.clone(),
        source: source.name.clone(),
        received_at: anchor,
        clock: Clock::new(source.replay, anchor),
    };
    let connector = by_name(&source.kind).expect("invariant: a parsed source names a listed connector");
    Ok(Reading { events: (connector.open)(source, lines, origin) })
}

pub(crate) fn by_name(name: &str) -> Option<&'static Connector> {
    CONNECTORS.iter().find(|connector| connector.name == name)
}

/// The names of all connectors, for messages.
pub(crate) fn names() -> Vec<&'static str> {
    CONNECTORS.iter().map(|connector| connector.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connector_file_is_listed_under_its_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/connectors");
        let mut stems: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|stem| stem != "mod" && stem != "config")
            .collect();
        stems.sort();
        assert_eq!(stems, names());
    }
}
