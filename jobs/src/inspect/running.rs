//! What runs. A lease holds jobs of several stations, so leases are read in fleet scope, and only of jobs that the caller's
//! own scope has shown or will be asked about.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::JobRow;
use crate::{
    Error, Scope, Tx,
    database::{as_fleet, as_scope},
};

/// The attempt under way.
pub(super) struct Running {
    id: i64,
    pub(super) attempt: i16,
    pub(super) started_at: DateTime<Utc>,
    pub(super) worker: Option<String>,
    pub(super) suspect: bool,
    pub(super) crash_count: i16,
}

/// Those of `jobs` that run, by key. The caller has seen every one of them in `scope`, which the transaction is in before and
/// after. Leases are read only if there is one to look for.
pub(super) async fn of(tx: &mut Tx, scope: Scope, jobs: &[JobRow]) -> Result<HashMap<i64, Running>, Error> {
    let ids: Vec<i64> = jobs.iter().filter(|job| job.state.is_none()).map(|job| job.id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    as_fleet(tx).await?;
    let rows = sqlx::query_as!(
        Running,
        r#"select r.id as "id!", r.attempt as "attempt!", r.started_at as "started_at!", w.name as "worker?", r.suspect as "suspect!",
            r.crash_count as "crash_count!"
        from vtoc.job_running r
        left join vtoc.worker w on w.id = r.worker_id
        where r.id = any($1)"#,
        &ids
    )
    .fetch_all(&mut **tx)
    .await?;
    as_scope(tx, scope).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Whatever runs in the fleet: as many jobs as it has slots. What the caller may see of them is for its own scope to say.
pub(super) async fn all(tx: &mut Tx, scope: Scope) -> Result<Vec<i64>, Error> {
    as_fleet(tx).await?;
    let ids = sqlx::query_scalar!(r#"select id as "id!" from vtoc.job_running"#).fetch_all(&mut **tx).await?;
    as_scope(tx, scope).await?;
    Ok(ids)
}
