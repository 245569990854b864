//! `correlate`: reads what all receivers of the station reported within the window, and makes one track per aircraft.

use agents::actions::correlate::{Input, merge};
use serde_json::Value;

use super::{Performed, Performing, hopeless, json};
use crate::{
    kinds::Failure,
    telemetry::{self, StoredTrack},
};

/// Reports at most in one merge; more is an error that says so, never a silent cut.
const REPORTS_MAX: usize = 500_000;

pub(super) async fn perform(performing: &Performing<'_>, input: &Value) -> Result<Performed, Failure> {
    let input = Input::of(input).map_err(hopeless)?;
    let (station, now) = (performing.station, performing.context.run.started_at);
    let window = (now - chrono::Duration::from_std(input.window).map_err(hopeless)?, now);
    let reports = telemetry::reports(performing.cx.attempt.database(), station, "adsb", window, REPORTS_MAX).await?;
    // One thread's worth of arithmetic, away from those that serve sockets.
    let options = input.options(now);
    let merged = tokio::task::spawn_blocking(move || merge(&reports, options));
    let merged = merged.await.map_err(|error| anyhow::anyhow!("correlating: {error}"))?;
    let tracks = merged.tracks.iter().map(StoredTrack::of).collect();
    Ok(Performed { result: summary(&merged)?, tracks, ..Performed::default() })
}

/// The merge without its tracks, which are stored as rows: a step's result stays small however much flies.
fn summary(merged: &agents::actions::correlate::Merge) -> Result<Value, Failure> {
    let mut summary = json(merged)?;
    if let Some(fields) = summary.as_object_mut() {
        fields.remove("tracks");
    }
    Ok(summary)
}
