//! Jobs that ended without success, dead or cancelled: found by what they were, run again, or removed before their time. The
//! history of what succeeded is no concern of this room, nor is what `prune` drops when its time is over.

mod purge;
mod retry;

use chrono::{DateTime, Utc};

pub use self::{
    purge::{purge, purge_matching},
    retry::{Retried, retry, retry_matching},
};
use crate::{Error, JobId, PageRequest, Tx, page::cursor_of};

/// Jobs retried or purged by one call at most.
pub const JOBS_MAX: usize = 500;

/// How jobs ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// Without success.
    #[default]
    Dead,
    /// Called off.
    Cancelled,
}

/// Which jobs are meant; the caller's scope says of which station.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// How they ended.
    pub end: End,
    /// The queue they went to.
    pub queue: Option<String>,
    /// What they do.
    pub kind: Option<String>,
    /// Only those that finished before.
    pub finished_before: Option<DateTime<Utc>>,
}

/// A job that a filter found.
struct Found {
    id: i64,
    enqueued_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
}

impl Found {
    fn id(&self) -> JobId {
        JobId::new(self.id, self.enqueued_at)
    }

    fn cursor(&self) -> String {
        cursor_of(self.finished_at, self.id)
    }
}

/// One page of the jobs that `filter` means, latest end first, and one more if there is one.
async fn find(tx: &mut Tx, filter: &Filter, request: &PageRequest) -> Result<Vec<Found>, Error> {
    let (at, id) = request.after::<i64>()?.unzip();
    let state = match filter.end {
        End::Dead => "dead",
        End::Cancelled => "cancelled",
    };
    Ok(sqlx::query_as!(
        Found,
        r#"select f.id, j.enqueued_at as "enqueued_at!", f.finished_at
        from vtoc.job_finished f
        -- The view joined on a column would be read as a whole.
        cross join lateral (select enqueued_at from vtoc.job where id = f.id limit 1) j
        where f.state = $1 and ($2::text is null or f.queue = $2) and ($3::text is null or f.kind = $3)
            and ($4::timestamptz is null or f.finished_at < $4) and ($5::timestamptz is null or (f.finished_at, f.id) < ($5, $6))
        order by f.finished_at desc, f.id desc
        limit $7"#,
        state,
        filter.queue,
        filter.kind,
        filter.finished_before,
        at,
        id,
        request.fetch()?
    )
    .fetch_all(&mut **tx)
    .await?)
}

/// Those of `ids` that the transaction's scope may see, and that are what they say.
async fn visible(tx: &mut Tx, ids: &[JobId]) -> Result<Vec<JobId>, Error> {
    if ids.len() > JOBS_MAX {
        return Err(Error::invalid("ids", format!("{} jobs, at most {JOBS_MAX} are allowed", ids.len())));
    }
    let keys: Vec<i64> = ids.iter().map(|id| id.key()).collect();
    let rows =
        sqlx::query!(r#"select id as "id!", enqueued_at as "enqueued_at!" from vtoc.job where id = any($1)"#, &keys)
            .fetch_all(&mut **tx)
            .await?;
    let is_meant = |id: &JobId| rows.iter().any(|row| row.id == id.key() && id.matches(row.enqueued_at));
    Ok(ids.iter().copied().filter(is_meant).collect())
}
