//! Days: bodies lie in partitions by the day of their enqueue, the history in partitions by the day it expires. Both are
//! made before the first row can need them; a row of a day that isn't there has no place. How days end is `prune`'s.

use super::RETENTION_OTHER_H;
use crate::{Database, Error, Scope};

/// Days of enqueue that are made ahead.
const BODY_DAYS: i32 = 7;

/// Makes the partitions that are needed within the next days. Days that are there stay as they are; processes that do
/// this at the same time wait for each other.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn make_partitions(database: &Database) -> Result<(), Error> {
    database.bounded(make_days(database)).await
}

/// [`make_partitions`] without a deadline of its own.
pub(crate) async fn make_days(database: &Database) -> Result<(), Error> {
    let mut tx = database.begin(Scope::Fleet).await?;
    sqlx::query!(
        r#"select count(*) as "made!"
        from (values ('vtoc.job_body', $1::int), ('vtoc.job_large', $1), ('vtoc.job_finished', $2::int)) as t (name, days)
        cross join lateral generate_series(0, t.days) as n
        where vtoc.add_day_partition(t.name, ((select vtoc.clock()) at time zone 'UTC')::date + n)"#,
        BODY_DAYS,
        RETENTION_OTHER_H / 24 + 3
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
