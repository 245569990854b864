//! Days as wholes: which partitions there are, and how one is detached and dropped. Detaching concurrently is two
//! transactions; a process that dies in between leaves the day detached for new readers, and the next run ends it.

use chrono::NaiveDate;
use sqlx::AssertSqlSafe;

use super::{Pruned, or_left};
use crate::{Database, Error};

/// How a partition leaves its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detaching {
    /// Beside whatever reads or writes the parent; needs a connection of its own.
    Concurrently,
    /// In a transaction, in which the parent is closed for a moment: behind a transaction pooler.
    AtOnce,
}

/// A partition, or a table that was one.
#[derive(Debug)]
pub(super) struct Day {
    pub(super) name: String,
    pub(super) day: NaiveDate,
    attached: bool,
    /// Detached for new readers, not yet for old ones.
    pending: bool,
}

/// The days of `parent` before `end`, oldest first.
pub(super) async fn before(database: &Database, parent: &str, end: NaiveDate) -> Result<Vec<Day>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin_maintenance().await?;
            let days = sqlx::query_as!(
                Day,
                r#"select d.name as "name!", d.day as "day!", i.inhrelid is not null as "attached!", coalesce(i.inhdetachpending, false) as "pending!"
                from (
                    select oid, relname::text as name, to_date(right(relname, 8), 'YYYYMMDD') as day
                    from pg_class
                    where relnamespace = 'vtoc'::regnamespace and relkind = 'r' and relname ~ ('^' || $1::text || '_[0-9]{8}$')
                ) d
                left join pg_inherits i on i.inhrelid = d.oid
                where d.day < $2
                order by coalesce(i.inhdetachpending, false) desc, d.day"#,
                parent,
                end
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(days)
        })
        .await
}

/// Drops the days of `parent` before `end`; false when one is left.
pub(super) async fn drop_before(
    database: &Database,
    detaching: Detaching,
    parent: &str,
    end: NaiveDate,
    pruned: &mut Pruned,
) -> Result<bool, Error> {
    for day in before(database, parent, end).await? {
        // One at a time can be pending, and who is in the way of one is likely in the way of the others.
        if !drop(database, detaching, parent, day, pruned).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Detaches and drops one day, wherever an earlier run stopped; false when somebody was in the way.
pub(super) async fn drop(
    database: &Database,
    detaching: Detaching,
    parent: &str,
    day: Day,
    pruned: &mut Pruned,
) -> Result<bool, Error> {
    let dropping = database.bounded(async {
        let how = match (day.pending, detaching) {
            (true, _) => "finalize",
            (false, Detaching::Concurrently) => "concurrently",
            (false, Detaching::AtOnce) => "",
        };
        let detach = format!("alter table vtoc.{parent} detach partition vtoc.{} {how}", day.name);
        if day.attached && detaching == Detaching::Concurrently {
            let mut session = database.maintenance_session().await?;
            sqlx::raw_sql(AssertSqlSafe(detach.clone())).execute(&mut session).await?;
        }
        let mut tx = database.begin_maintenance().await?;
        if day.attached && detaching == Detaching::AtOnce {
            sqlx::raw_sql(AssertSqlSafe(detach)).execute(&mut *tx).await?;
        }
        sqlx::query!("select vtoc.drop_day_partition($1, $2)", parent, day.day).fetch_one(&mut *tx).await?;
        tx.commit().await
    });
    let dropped = or_left(dropping.await, &day.name, pruned)?.is_some();
    if dropped {
        pruned.dropped.push(day.name);
    }
    Ok(dropped)
}
