//! Pruning: days of history that have expired and days of bodies that nobody reads any more are dropped as wholes, what
//! is left of their jobs is deleted in batches. Every step may be the last one of a process: the next run goes on from
//! what it finds. Nothing here waits for a lock longer than a fifth of a second, so nobody waits for it longer.

mod bodies;
mod days;
mod rows;

use chrono::NaiveDate;

pub use self::days::Detaching;
use crate::{Database, Error};

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Partitions that are gone, by name.
    pub dropped: Vec<String>,
    /// Bodies kept beyond their day.
    pub kept: u64,
    /// Rows deleted one by one: kept bodies, attempts, effects, keys.
    pub deleted: u64,
    /// What somebody's lock was in the way of, and why; the next run tries it again.
    pub left: Vec<String>,
}

/// Prunes once. Without an answer another process is at it.
///
/// # Errors
/// [`Error::Unavailable`] without the database; what was done stays done.
pub async fn prune(database: &Database, detaching: Detaching) -> Result<Option<Pruned>, Error> {
    let mut turn = database.bounded(database.begin_maintenance()).await?;
    let row = sqlx::query!(
        r#"select pg_try_advisory_xact_lock(hashtextextended('vtoc prune', 0)) as "ours!",
            -- This transaction idles for as long as the run takes, and no longer than a lost process may block others.
            set_config('idle_in_transaction_session_timeout', '600000', true) as "patience!",
            ((vtoc.clock() - interval '1 hour') at time zone 'UTC')::date as "today!""#
    )
    .fetch_one(&mut *turn)
    .await?;
    let pruned = if row.ours { Some(run(database, detaching, row.today).await?) } else { None };
    turn.commit().await?;
    Ok(pruned)
}

/// `today` is an hour late: a transaction that still counted on yesterday has ended.
async fn run(database: &Database, detaching: Detaching, today: NaiveDate) -> Result<Pruned, Error> {
    let mut pruned = Pruned::default();
    let gone = days::drop_before(database, detaching, "job_finished", today, &mut pruned).await?;
    bodies::drop_before(database, detaching, today, &mut pruned).await?;
    if gone {
        pruned.deleted += rows::forget_kept(database, today).await?;
    }
    pruned.deleted += rows::free_expired_keys(database).await?;
    Ok(pruned)
}

/// Notes what is left for the next run when `result` failed for a reason that passes; other failures are the caller's.
fn or_left<T>(result: Result<T, Error>, what: &str, pruned: &mut Pruned) -> Result<Option<T>, Error> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_transient() => {
            pruned.left.push(format!("{what}: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
