//! Payloads over the cap: stored once beside the job, whose body says their size only. Whoever lists, claims or moves jobs
//! never touches them; only the attempt that needs one reads it.

use serde_json::{Value, json, value::RawValue};
use sqlx::types::Json;

use super::{Attempt, Enqueued, NewJob, enqueue::PAYLOAD_MAX};
use crate::{Error, Scope, StationId, Tx, nul};

/// Payload bytes at most, as JSON text.
pub const LARGE_MAX: usize = 16 * 1024 * 1024;

/// The field that stands for a payload stored beside; no payload may have one of its own.
const BESIDE: &str = "vtoc:beside";
/// How a stand-in begins, as the database prints it.
const STAND_IN: &str = "{\"vtoc:beside\":";

/// Refuses what can't be stored at all.
pub(super) fn check(payload: &Value, bytes: usize) -> Result<(), Error> {
    if bytes > LARGE_MAX {
        return Err(Error::invalid("payload", format!("{bytes} bytes, at most {LARGE_MAX} are allowed")));
    }
    if nul::is_in(payload) {
        return Err(Error::invalid("payload", "a text with a NUL character, which the database can't hold"));
    }
    if payload.get(BESIDE).is_some() {
        return Err(Error::invalid("payload", format!("the field {BESIDE} is the queue's own")));
    }
    Ok(())
}

/// What the body holds in place of a payload of so many bytes.
pub(super) fn stand_in(bytes: usize) -> Value {
    json!({ BESIDE: bytes })
}

/// Stores the payloads of those jobs at `places` that are new.
pub(super) async fn store(tx: &mut Tx, jobs: &[NewJob], places: &[usize], enqueued: &[Enqueued]) -> Result<(), Error> {
    let fresh = places.iter().filter(|place| enqueued[**place].fresh);
    let (mut keys, mut stations, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
    for &place in fresh {
        keys.push(enqueued[place].id.key());
        stations.push(jobs[place].station.map(|StationId(id)| id));
        payloads.push(jobs[place].payload.clone());
    }
    sqlx::query!(
        "insert into vtoc.job_large (id, station_id, payload)
        select u.id, u.station_id, u.payload
        from unnest($1::bigint[], $2::bigint[], $3::jsonb[]) as u (id, station_id, payload)",
        &keys,
        &stations as &[Option<i64>],
        &payloads
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether the payload is stored beside, and this one stands for it.
pub(crate) fn is_beside(payload: &RawValue) -> bool {
    payload.get().len() <= PAYLOAD_MAX && payload.get().starts_with(STAND_IN)
}

/// The payload that is stored beside.
pub(crate) async fn whole(attempt: &Attempt) -> Result<Box<RawValue>, Error> {
    let database = attempt.database();
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let stored = sqlx::query_scalar!(
                r#"select payload as "payload!: Json<Box<RawValue>>" from vtoc.job_beside where id = $1"#,
                attempt.held.key
            )
            .fetch_optional(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(stored.ok_or_else(|| Error::invalid("payload", "what was stored beside the job is gone"))?.0)
        })
        .await
}
