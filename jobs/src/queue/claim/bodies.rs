//! Reads what jobs are to do, many at once. A claim that takes jobs in the order of their enqueue finds their bodies side by side,
//! and reads them as one stretch; looking each up would cost more than the claim.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::{postgres::PgRow, query::Query, types::Json};

use crate::{Error, Tx, queue::claim::column};

/// What the body of a job says.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) enqueued_at: DateTime<Utc>,
    pub(super) trace_parent: Option<String>,
    pub(super) payload: Box<RawValue>,
}

/// Bodies lie side by side when between so many of them there is no more than one of somebody else's, which is read for nothing.
const STRANGERS: i64 = 8;

/// The bodies of `jobs`, by id. Those of days long past are asked for apart: looking for each in two places would be felt.
pub(super) async fn read(tx: &mut Tx, jobs: &[i64]) -> Result<HashMap<i64, Body>, Error> {
    let mut bodies = HashMap::with_capacity(jobs.len());
    let (Some(first), Some(last)) = (jobs.iter().min(), jobs.iter().max()) else { return Ok(bodies) };
    let count = i64::try_from(jobs.len()).unwrap_or(i64::MAX);
    if last - first < count + count / STRANGERS {
        let stretch = "select array_agg(id), array_agg(enqueued_at), array_agg(trace_parent), array_agg(payload)
            from vtoc.job_body
            where id between $1 and $2";
        gather(tx, sqlx::query(stretch).bind(first).bind(last), &mut bodies).await?;
    } else {
        let scattered =
            "select array_agg(j.id), array_agg(j.enqueued_at), array_agg(j.trace_parent), array_agg(j.payload)
            from unnest($1::bigint[]) as u (id)
            join vtoc.job_body j on j.id = u.id";
        gather(tx, sqlx::query(scattered).bind(jobs), &mut bodies).await?;
    }
    let elsewhere: Vec<i64> = jobs.iter().copied().filter(|job| !bodies.contains_key(job)).collect();
    if !elsewhere.is_empty() {
        // By a statement of its own, which sees a body that was moved between the two.
        let kept = "select array_agg(id), array_agg(enqueued_at), array_agg(trace_parent), array_agg(payload)
            from vtoc.job_kept
            where id = any($1)";
        gather(tx, sqlx::query(kept).bind(elsewhere), &mut bodies).await?;
    }
    Ok(bodies)
}

type Statement<'q> = Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Adds what `statement` answers: columns of ids, times, traces and payloads.
async fn gather(tx: &mut Tx, statement: Statement<'_>, bodies: &mut HashMap<i64, Body>) -> Result<(), Error> {
    let row: PgRow = statement.fetch_one(&mut **tx).await?;
    let (ids, times) = (column::<i64>(&row, 0)?, column::<DateTime<Utc>>(&row, 1)?);
    let (traces, payloads) = (column::<Option<String>>(&row, 2)?, column::<Json<Box<RawValue>>>(&row, 3)?);
    let parts = ids.into_iter().zip(times).zip(traces.into_iter().zip(payloads));
    bodies.extend(
        parts.map(|((id, enqueued_at), (trace_parent, Json(payload)))| {
            (id, Body { enqueued_at, trace_parent, payload })
        }),
    );
    Ok(())
}
