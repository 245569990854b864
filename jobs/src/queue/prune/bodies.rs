//! Bodies: a day whose bodies hardly anybody needs any more is dropped after the few that are needed were copied. Readers
//! are turned from the day to the copies by one number, the floor, so that they find every body at every moment, once.
//!
//! In this order, each step harmless to repeat: copy, raise the floor, forget what belonged to bodies that were not copied,
//! detach, drop.

use chrono::{Days, NaiveDate};

use super::{Detaching, Pruned, days, or_left, rows};
use crate::{Database, Error, Tx, queue::RETENTION_DONE_H};

/// Days after its own for which a day of bodies stays: what succeeds soon has left the history by then.
const DAYS_KEPT: u64 = 2;
const _: () = assert!(DAYS_KEPT * 24 > RETENTION_DONE_H as u64, "most bodies would be copied");
/// Bodies copied by one statement; each has up to 256 KiB.
const BODIES_MAX: i64 = 500;
/// Payloads over the cap copied by one statement; each has up to 16 MiB.
const LARGE_MAX: i64 = 8;

/// The ids of one day: from the first to before the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Ids {
    /// See `job_body`: the day above 40 bits.
    fn of(day: NaiveDate) -> Self {
        let number = day.signed_duration_since(NaiveDate::default()).num_days();
        Self { from: number << 40, to: (number + 1) << 40 }
    }
}

/// Drops the days of bodies that are old enough `today`, oldest first.
pub(super) async fn drop_before(
    database: &Database,
    detaching: Detaching,
    today: NaiveDate,
    pruned: &mut Pruned,
) -> Result<(), Error> {
    for day in days::before(database, "job_body", today - Days::new(DAYS_KEPT)).await? {
        let ids = Ids::of(day.day);
        let moved = move_needed(database, day.day, ids, pruned).await;
        if or_left(moved, &day.name, pruned)?.is_none() {
            return Ok(());
        }
        pruned.deleted += rows::forget_unkept(database, ids).await?;
        // Payloads beside go first: a day of bodies that is there says that they may be, too.
        if !days::drop_before(database, detaching, "job_large", day.day + Days::new(1), pruned).await? {
            return Ok(());
        }
        if !days::drop(database, detaching, "job_body", day, pruned).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Copies what is needed of a day and turns readers to the copies.
async fn move_needed(database: &Database, day: NaiveDate, ids: Ids, pruned: &mut Pruned) -> Result<(), Error> {
    if database.bounded(floor(database)).await? >= ids.to {
        return Ok(());
    }
    let mut after = ids.from;
    while let Some(copied) = database.bounded(copy(database, ids, after)).await? {
        pruned.kept += copied.bodies;
        after = copied.last + 1;
    }
    let mut after = ids.from;
    while let Some(last) = database.bounded(copy_large(database, ids, after)).await? {
        after = last + 1;
    }
    database.bounded(raise_floor(database, day, ids)).await
}

async fn floor(database: &Database) -> Result<i64, Error> {
    let mut tx = database.begin_maintenance().await?;
    let row = sqlx::query!("select id from vtoc.job_floor").fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(row.id)
}

/// A batch that was copied.
struct Copied {
    bodies: u64,
    last: i64,
}

/// Copies the next needed bodies of a day from `after` on; none when there is none.
async fn copy(database: &Database, ids: Ids, after: i64) -> Result<Option<Copied>, Error> {
    let mut tx = begin_copy(database).await?;
    let row = sqlx::query!(
        r#"with needed as materialized (
            select id
            from vtoc.job_needed
            where id >= $1 and id < $2
            order by id
            limit $3
        ),
        copied as (
            insert into vtoc.job_kept
            select b.*
            from vtoc.job_body b
            where b.id = any(array(select id from needed))
            on conflict (id) do nothing
            returning id
        )
        select (select max(id) from needed) as last, (select count(*) from copied) as "bodies!""#,
        after,
        ids.to,
        BODIES_MAX
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.last.map(|last| Copied { bodies: row.bodies.unsigned_abs(), last }))
}

/// Copies the next needed payloads over the cap; answers the last one's id.
async fn copy_large(database: &Database, ids: Ids, after: i64) -> Result<Option<i64>, Error> {
    let mut tx = begin_copy(database).await?;
    let row = sqlx::query!(
        "with needed as materialized (
            select l.id
            from vtoc.job_large l
            where l.id >= $1 and l.id < $2 and exists (select from vtoc.job_needed n where n.id = l.id)
            order by l.id
            limit $3
        ),
        copied as (
            insert into vtoc.job_large_kept
            select l.*
            from vtoc.job_large l
            where l.id = any(array(select id from needed))
            on conflict (id) do nothing
        )
        select max(id) as last from needed",
        after,
        ids.to,
        LARGE_MAX
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.last)
}

/// A transaction beside which nobody purges: a purge would miss what is copied at this moment.
async fn begin_copy(database: &Database) -> Result<Tx, Error> {
    let mut tx = database.begin_maintenance().await?;
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('vtoc bodies', 0))").fetch_one(&mut *tx).await?;
    Ok(tx)
}

/// Turns readers of a day to the copies, if there is one of every body that is needed. What isn't needed stays so, and
/// nobody can enqueue into the day while it is looked at.
async fn raise_floor(database: &Database, day: NaiveDate, ids: Ids) -> Result<(), Error> {
    let mut tx = database.begin_maintenance().await?;
    // Apart from the look, which must see what the holders of these locks have committed.
    sqlx::query!("select vtoc.close_body_day($1)", day).fetch_one(&mut *tx).await?;
    let raised = sqlx::query!(
        "update vtoc.job_floor
        set id = $2
        where id < $2 and not exists (
            select
            from vtoc.job_needed n
            where n.id >= $1 and n.id < $2
                and (not exists (select from vtoc.job_kept k where k.id = n.id)
                        and exists (select from vtoc.job_body b where b.id = n.id)
                    or not exists (select from vtoc.job_large_kept k where k.id = n.id)
                        and exists (select from vtoc.job_large l where l.id = n.id))
        )",
        ids.from,
        ids.to
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    tx.commit().await?;
    if raised == 1 {
        Ok(())
    } else {
        Err(Error::Unavailable("a job came into this day while it was copied".to_owned()))
    }
}
