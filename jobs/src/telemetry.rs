//! Readings in a station's own schema: stored once each, whoever heard them. A second receiver of the same reading adds
//! itself to `seen_by`. What can't be understood is kept in quarantine with the reason.

use std::collections::{BTreeMap, BTreeSet};

use agents::{
    actions::correlate::{Report, Track},
    event::{Event, Quarantined},
};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    Database, Error, StationId, Tx,
    stations::{Role, Station},
};

#[cfg(test)]
mod tests;

/// What storing a batch came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Readings that were new.
    pub stored: u64,
    /// Readings that were there already.
    pub repeated: u64,
}

/// Makes the partitions of `days`, each in a transaction of its own. To be called before [`store`], never inside its
/// transaction: a partition is seen by others only once it is committed.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub(crate) async fn ensure_days(database: &Database, role: Role, days: &BTreeSet<NaiveDate>) -> Result<(), Error> {
    let parent = format!("{role}.telemetry_event");
    for day in days {
        database
            .bounded(async {
                let mut tx = database.begin(crate::Scope::Fleet).await?;
                sqlx::query!("select vtoc.add_day_partition($1, $2)", parent, day).fetch_one(&mut *tx).await?;
                tx.commit().await?;
                Ok(())
            })
            .await?;
    }
    Ok(())
}

/// The days `events` fall on.
pub(crate) fn days_of(events: &[Event]) -> BTreeSet<NaiveDate> {
    events.iter().map(|event| event.observed_at.date_naive()).collect()
}

/// Stores `events` in a transaction over the station's data. Keys are sorted, so that two batches don't deadlock.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub(crate) async fn store(
    tx: &mut Tx,
    role: Role,
    station: StationId,
    job: Option<Uuid>,
    events: &[Event],
) -> Result<Stored, Error> {
    let batch = Batch::of(events)?;
    // The table's name is one of three of ours.
    let insert = format!(
        "insert into {role}.telemetry_event (station_id, observed_at, dedupe_key, source, feed, kind, entity_id, received_at, longitude, latitude, data,
            seen_by, rssi_dbfs, job_id)
        select $1, u.observed_at, u.dedupe_key, u.source, u.feed, u.kind, u.entity_id, u.received_at, u.longitude, u.latitude, u.data,
            array[u.source], u.rssi_dbfs, $2
        from unnest($3::timestamptz[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::float8[], $11::float8[],
            $12::jsonb[], $13::float4[]) as u (observed_at, dedupe_key, source, feed, kind, entity_id, received_at, longitude, latitude, data, rssi_dbfs)
        on conflict (station_id, dedupe_key, observed_at) do nothing"
    );
    let stored = sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(station.0)
        .bind(job)
        .bind(&batch.observed_at)
        .bind(&batch.dedupe_key)
        .bind(&batch.source)
        .bind(&batch.feed)
        .bind(&batch.kind)
        .bind(&batch.entity_id)
        .bind(&batch.received_at)
        .bind(&batch.longitude)
        .bind(&batch.latitude)
        .bind(&batch.data)
        .bind(&batch.rssi_dbfs)
        .execute(&mut **tx)
        .await?
        .rows_affected();
    let given = u64::try_from(events.len()).unwrap_or(u64::MAX);
    if stored < given {
        merge_sights(tx, role, station, &batch).await?;
    }
    Ok(Stored { stored, repeated: given - stored })
}

/// Adds the source and a better signal to readings that another source, or an earlier attempt, had stored. Rows are locked
/// in the order of their keys first: an update takes them in whatever order its plan comes upon them.
async fn merge_sights(tx: &mut Tx, role: Role, station: StationId, batch: &Batch) -> Result<(), Error> {
    let update = format!(
        "with held as materialized (
            select e.observed_at, e.dedupe_key, u.source, u.rssi_dbfs
            from unnest($2::timestamptz[], $3::bytea[], $4::text[], $5::float4[]) as u (observed_at, dedupe_key, source, rssi_dbfs)
            join {role}.telemetry_event e on e.station_id = $1 and e.dedupe_key = u.dedupe_key and e.observed_at = u.observed_at
            where u.source <> all(e.seen_by) or u.rssi_dbfs > e.rssi_dbfs
            order by e.dedupe_key, e.observed_at
            for update of e
        )
        update {role}.telemetry_event e
        set seen_by = case when held.source = any(e.seen_by) then e.seen_by else e.seen_by || held.source end,
            rssi_dbfs = greatest(e.rssi_dbfs, held.rssi_dbfs)
        from held
        where e.station_id = $1 and e.dedupe_key = held.dedupe_key and e.observed_at = held.observed_at"
    );
    sqlx::query(sqlx::AssertSqlSafe(update))
        .bind(station.0)
        .bind(&batch.observed_at)
        .bind(&batch.dedupe_key)
        .bind(&batch.source)
        .bind(&batch.rssi_dbfs)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keeps what couldn't be understood, once per source and content.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub(crate) async fn quarantine(
    tx: &mut Tx,
    role: Role,
    station: StationId,
    source: &str,
    bad: &[Quarantined],
) -> Result<(), Error> {
    let codes: Vec<&str> = bad.iter().map(|bad| bad.code.as_str()).collect();
    let details: Vec<&str> = bad.iter().map(|bad| bad.detail.as_str()).collect();
    let raws: Vec<String> = bad.iter().map(|bad| bad.raw.replace('\0', "\u{fffd}")).collect();
    let hashes: Vec<Vec<u8>> = raws.iter().map(|raw| Sha256::digest(raw.as_bytes()).to_vec()).collect();
    let insert = format!(
        "insert into {role}.telemetry_quarantine (station_id, source, code, detail, raw, raw_sha256)
        select $1, $2, u.code, u.detail, u.raw, u.raw_sha256
        from unnest($3::text[], $4::text[], $5::text[], $6::bytea[]) as u (code, detail, raw, raw_sha256)
        order by u.raw_sha256
        on conflict (station_id, source, raw_sha256) do nothing"
    );
    sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(station.0)
        .bind(source)
        .bind(codes)
        .bind(details)
        .bind(raws)
        .bind(hashes)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Makes sure a source of the station has its row.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub(crate) async fn ensure_source(
    tx: &mut Tx,
    role: Role,
    station: StationId,
    slug: &str,
    kind: &str,
) -> Result<(), Error> {
    let insert = format!(
        "insert into {role}.source (station_id, slug, kind) values ($1, $2, $3) on conflict (station_id, slug) do nothing"
    );
    sqlx::query(sqlx::AssertSqlSafe(insert)).bind(station.0).bind(slug).bind(kind).execute(&mut **tx).await?;
    Ok(())
}

/// Readings fetched at once; what is kept of them is much smaller than they are.
const PAGE: i64 = 5_000;

#[derive(sqlx::FromRow)]
struct StoredEvent {
    observed_at: DateTime<Utc>,
    dedupe_key: Vec<u8>,
    data: Json<Event>,
    seen_by: Vec<String>,
}

/// What everybody reported of `feed` in the window, oldest first: one report for each source that heard a reading. Read
/// page by page, so that neither memory nor a single statement grows with the window.
///
/// # Errors
/// [`Error::Invalid`] for more than `reports_max` reports, [`Error::Unavailable`] without the database.
pub(crate) async fn reports(
    database: &Database,
    station: &Station,
    feed: &str,
    window: (DateTime<Utc>, DateTime<Utc>),
    reports_max: usize,
) -> Result<Vec<Report>, Error> {
    let (mut after, until) = ((window.0, Vec::new()), window.1);
    let mut reports = Vec::new();
    loop {
        let page = page(database, station, feed, &after, until).await?;
        let Some(last) = page.last() else { return Ok(reports) };
        after = (last.observed_at, last.dedupe_key.clone());
        for reading in page {
            let report = Report::of(&reading.data);
            reports.extend(reading.seen_by.into_iter().map(|source| Report { source, ..report.clone() }));
        }
        if reports.len() > reports_max {
            return Err(Error::invalid(
                "window",
                format!("more than {reports_max} reports fall into it: ask for a shorter one"),
            ));
        }
    }
}

async fn page(
    database: &Database,
    station: &Station,
    feed: &str,
    after: &(DateTime<Utc>, Vec<u8>),
    until: DateTime<Utc>,
) -> Result<Vec<StoredEvent>, Error> {
    let select = format!(
        "select observed_at, dedupe_key, data, seen_by
        from {}.telemetry_event
        where station_id = $1 and feed = $2 and (observed_at, dedupe_key) > ($3, $4) and observed_at >= $3 and observed_at <= $5
        order by observed_at, dedupe_key
        limit $6",
        station.role
    );
    database
        .bounded(async {
            let mut tx = database.begin_station_data(station.role, station.id).await?;
            let readings = sqlx::query_as(sqlx::AssertSqlSafe(select))
                .bind(station.id.0)
                .bind(feed)
                .bind(after.0)
                .bind(&after.1)
                .bind(until)
                .bind(PAGE)
                .fetch_all(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok(readings)
        })
        .await
}

/// A merged track, ready to be stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredTrack {
    track: Track,
}

impl StoredTrack {
    pub(crate) fn of(track: &Track) -> Self {
        Self { track: track.clone() }
    }
}

/// Stores the merged picture of `run`: one row an entity, never moved back in time.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub(crate) async fn store_tracks(
    tx: &mut Tx,
    role: Role,
    station: StationId,
    run: Uuid,
    tracks: &[StoredTrack],
) -> Result<(), Error> {
    let column = |part: fn(&Track) -> Option<f64>| tracks.iter().map(|stored| part(&stored.track)).collect::<Vec<_>>();
    let upsert = format!(
        "insert into {role}.track as track (station_id, entity_id, name, first_seen_at, last_seen_at, longitude, latitude, altitude_m, speed_mps,
            course_deg, vrate_mps, points, sources, quality, run_id)
        select $1, u.entity_id, u.name, u.first_seen_at, u.last_seen_at, u.longitude, u.latitude, u.altitude_m, u.speed_mps, u.course_deg,
            u.vrate_mps, u.points, string_to_array(u.sources, ','), u.quality, $2
        from unnest($3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::float8[], $8::float8[], $9::float8[], $10::float8[], $11::float8[],
            $12::float8[], $13::int[], $14::text[], $15::float8[])
            as u (entity_id, name, first_seen_at, last_seen_at, longitude, latitude, altitude_m, speed_mps, course_deg, vrate_mps, points, sources, quality)
        order by u.entity_id
        on conflict (station_id, entity_id) do update
        set name = coalesce(excluded.name, track.name), first_seen_at = least(excluded.first_seen_at, track.first_seen_at),
            last_seen_at = excluded.last_seen_at, longitude = excluded.longitude, latitude = excluded.latitude, altitude_m = excluded.altitude_m,
            speed_mps = excluded.speed_mps, course_deg = excluded.course_deg, vrate_mps = excluded.vrate_mps, points = excluded.points,
            sources = excluded.sources, quality = excluded.quality, run_id = excluded.run_id, updated_at = vtoc.clock()
        where excluded.last_seen_at >= track.last_seen_at"
    );
    sqlx::query(sqlx::AssertSqlSafe(upsert))
        .bind(station.0)
        .bind(run)
        .bind(tracks.iter().map(|stored| stored.track.id.clone()).collect::<Vec<_>>())
        .bind(tracks.iter().map(|stored| stored.track.callsign.clone()).collect::<Vec<_>>())
        .bind(tracks.iter().map(|stored| stored.track.first_seen).collect::<Vec<_>>())
        .bind(tracks.iter().map(|stored| stored.track.last_seen).collect::<Vec<_>>())
        .bind(column(|track| track.lon))
        .bind(column(|track| track.lat))
        .bind(column(|track| track.alt_m))
        .bind(column(|track| track.speed_mps))
        .bind(column(|track| track.course_deg))
        .bind(column(|track| track.vrate_mps))
        .bind(tracks.iter().map(|stored| i32::try_from(stored.track.points).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(
            tracks
                .iter()
                .map(|stored| stored.track.sources.keys().cloned().collect::<Vec<_>>().join(","))
                .collect::<Vec<_>>(),
        )
        .bind(column(|track| Some(track.quality)))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[derive(Default)]
struct Batch {
    observed_at: Vec<DateTime<Utc>>,
    dedupe_key: Vec<Vec<u8>>,
    source: Vec<String>,
    feed: Vec<String>,
    kind: Vec<String>,
    entity_id: Vec<String>,
    received_at: Vec<DateTime<Utc>>,
    longitude: Vec<Option<f64>>,
    latitude: Vec<Option<f64>>,
    data: Vec<Value>,
    rssi_dbfs: Vec<Option<f32>>,
}

impl Batch {
    fn of(events: &[Event]) -> Result<Self, Error> {
        let mut sorted = BTreeMap::new();
        for event in events {
            let key = hex::decode(&event.dedupe_key)
                .map_err(|_| Error::Internal(format!("dedupe key {:?} is not hex", event.dedupe_key)))?;
            sorted.entry((key, event.observed_at)).or_insert(event);
        }
        let mut batch = Self::default();
        for ((key, observed_at), event) in sorted {
            batch.observed_at.push(observed_at);
            batch.dedupe_key.push(key);
            batch.source.push(event.provenance.connector.clone());
            batch.feed.push(event.feed.clone());
            batch.kind.push(event.kind.as_str().to_owned());
            batch.entity_id.push(event.entity.id.clone());
            batch.received_at.push(event.received_at);
            batch.longitude.push(event.geometry.map(|point| point.lon));
            batch.latitude.push(event.geometry.map(|point| point.lat));
            batch.data.push(serde_json::to_value(event).map_err(|error| Error::Internal(error.to_string()))?);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a signal strength needs no more than single precision"
            )]
            batch.rssi_dbfs.push(event.quality.rssi_dbfs.map(|rssi| rssi as f32));
        }
        Ok(batch)
    }
}
