//! The history's partitions: one a day of expiry, made before the first job can expire on it.

use super::RETENTION_OTHER_H;
use crate::{Database, Error, Scope};

/// Makes the partitions of all days that a job finishing within the next days may expire on. Days that are there stay as
/// they are; workers that do this at the same time wait for each other.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn make_partitions(database: &Database) -> Result<(), Error> {
    let days = RETENTION_OTHER_H / 24 + 3;
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            sqlx::query!(
                r#"select count(*) as "made!"
                from generate_series(0, $1::int) as n
                where vtoc.add_day_partition('vtoc.job_finished', ((select vtoc.clock()) at time zone 'UTC')::date + n)"#,
                days
            )
            .fetch_one(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
}
