//! Which jobs stand on a page: keys only, from the one table that knows the state asked for.

use chrono::{DateTime, Utc};

use super::{JobFilter, State, running};
use crate::{Error, PageRequest, Scope, Tx};

/// A job on a page; `at` is when it finished, in lists ordered by that.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Key {
    pub(super) id: i64,
    pub(super) at: Option<DateTime<Utc>>,
}

/// The keys of one page, newest first: finished jobs by when they finished, others by when they were enqueued.
pub(super) async fn page(
    tx: &mut Tx,
    scope: Scope,
    filter: &JobFilter,
    request: &PageRequest,
    fetch: i64,
) -> Result<Vec<Key>, Error> {
    match filter.state {
        // Each of the two tables in its order: of the view that unites them none is known, and all would be sorted.
        None => {
            let floor = "(select id from vtoc.job_floor)";
            let bodies = newest(&format!("vtoc.job_body where id >= {floor} and"));
            let kept = newest(&format!("vtoc.job_kept where id < {floor} and"));
            by_enqueue(tx, &format!("(({bodies}) union all ({kept})) job where"), None, filter, request, fetch).await
        }
        Some(State::Ready) => by_enqueue(tx, "vtoc.job_ready where", None, filter, request, fetch).await,
        Some(State::Waiting) => by_enqueue(tx, "vtoc.job_waiting where", None, filter, request, fetch).await,
        Some(State::Running) => {
            let running = running::all(tx, scope).await?;
            let each = "unnest($6::bigint[]) as running (key) cross join lateral (select * from vtoc.job where id = key limit 1) job where";
            by_enqueue(tx, each, Some(&running), filter, request, fetch).await
        }
        Some(State::Done) => by_finish(tx, "done", filter, request, fetch).await,
        Some(State::Dead) => by_finish(tx, "dead", filter, request, fetch).await,
        Some(State::Cancelled) => by_finish(tx, "cancelled", filter, request, fetch).await,
    }
}

/// Selects the next jobs of `source`, which ends in `where` or `and`.
fn newest(source: &str) -> String {
    format!(
        "select id, kind, queue, station_id
        from {source} ($1::bigint is null or id < $1) and ($2::text is null or kind = $2) and ($3::text is null or queue = $3)
            and ($4::bigint is null or station_id = $4)
        order by id desc
        limit $5"
    )
}

async fn by_enqueue(
    tx: &mut Tx,
    source: &str,
    running: Option<&[i64]>,
    filter: &JobFilter,
    request: &PageRequest,
    fetch: i64,
) -> Result<Vec<Key>, Error> {
    let select = format!(
        "select id, null::timestamptz as at
        from ({}) job
        order by id desc",
        newest(source)
    );
    let mut query = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(request.after_key()?)
        .bind(filter.kind.as_deref())
        .bind(filter.queue.as_deref())
        .bind(filter.station.map(|station| station.0))
        .bind(fetch);
    if let Some(running) = running {
        query = query.bind(running);
    }
    Ok(query.fetch_all(&mut **tx).await?)
}

async fn by_finish(
    tx: &mut Tx,
    state: &str,
    filter: &JobFilter,
    request: &PageRequest,
    fetch: i64,
) -> Result<Vec<Key>, Error> {
    let (at, after) = request.after::<i64>()?.unzip();
    Ok(sqlx::query_as!(
        Key,
        r#"select id, finished_at as "at?"
        from vtoc.job_finished
        where state = $6 and ($7::timestamptz is null or (finished_at, id) < ($7, $1)) and ($2::text is null or kind = $2)
            and ($3::text is null or queue = $3) and ($4::bigint is null or station_id = $4)
        order by finished_at desc, id desc
        limit $5"#,
        after,
        filter.kind.as_deref(),
        filter.queue.as_deref(),
        filter.station.map(|station| station.0),
        fetch,
        state,
        at
    )
    .fetch_all(&mut **tx)
    .await?)
}
