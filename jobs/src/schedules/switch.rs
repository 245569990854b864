//! Pausing, resuming and deleting. A pause drops the ticks that fall into it: they weren't missed. Jobs that wait already stay.

use super::{
    ScheduleView,
    row::{NEVER, lock, read_one},
    timetable::Tick,
};
use crate::{Database, Error, Scope, Tx};

/// Pauses a schedule, and does nothing when it is or has ended; nothing when `scope` sees none of that name.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn pause(database: &Database, scope: Scope, name: &str) -> Result<Option<ScheduleView>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let row = lock(&mut tx, scope, name).await?;
            if row.is_some_and(|row| row.enabled && row.ended.is_none()) {
                switch(&mut tx, name, None).await?;
            }
            answer(tx, name).await
        })
        .await
}

/// Resumes a paused schedule with its next tick from now, and does nothing when it isn't paused; nothing when `scope` sees none of
/// that name.
///
/// # Errors
/// [`Error::Invalid`] when it never fires again.
pub async fn resume(database: &Database, scope: Scope, name: &str) -> Result<Option<ScheduleView>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            if let Some(row) = lock(&mut tx, scope, name).await?.filter(|row| !row.enabled) {
                let next = row.timetable()?.next_after(row.now);
                let next =
                    next.ok_or_else(|| Error::invalid("expression", format!("{NEVER}: edit it, or trigger it")))?;
                switch(&mut tx, name, Some(next)).await?;
            }
            answer(tx, name).await
        })
        .await
}

/// On with a tick that comes next, off without.
async fn switch(tx: &mut Tx, name: &str, next: Option<Tick>) -> Result<(), Error> {
    sqlx::query!(
        "update vtoc.schedule
        set enabled = $2, next_tick_at = $3, next_run_at = $4, updated_at = vtoc.clock()
        where name = $1",
        name,
        next.is_some(),
        next.map(|tick| tick.at),
        next.map(|tick| tick.run_at)
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn answer(mut tx: Tx, name: &str) -> Result<Option<ScheduleView>, Error> {
    let row = read_one(&mut tx, name).await?;
    tx.commit().await?;
    Ok(row.map(ScheduleView::from))
}

/// Deletes a schedule. False when `scope` sees none of that name.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn delete(database: &Database, scope: Scope, name: &str) -> Result<bool, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let there = lock(&mut tx, scope, name).await?.is_some();
            if there {
                sqlx::query!("delete from vtoc.schedule where name = $1", name).execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(there)
        })
        .await
}
