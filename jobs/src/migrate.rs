//! Migrations: embedded in the program, forward only, applied by the owner.

use std::time::Duration;

use sqlx::{Connection, PgConnection, migrate::Migrator};

use crate::{ConnectOptions, Error, Tx, database::within};

/// The server ends a migration's statement after this long.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(300);
/// All migrations together, with the wait for another process that migrates.
const DEADLINE: Duration = Duration::from_secs(900);

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Brings the database at `owner_url` up to date. Safe to run again and from several processes at once.
///
/// # Errors
/// [`Error::Unavailable`] when it can't be reached; [`Error::Internal`] with the database's message when a migration
/// fails, in which case nothing of that migration remains.
pub async fn run(owner_url: &str) -> Result<(), Error> {
    let options = ConnectOptions {
        application_name: "vtoc-migrate",
        statement_timeout: STATEMENT_TIMEOUT,
        ..ConnectOptions::default()
    };
    let server = options.parse(owner_url)?;
    let mut connection = within(options.deadline, async { Ok(PgConnection::connect_with(&server).await?) }).await?;
    within(DEADLINE, async {
        MIGRATIONS.run(&mut connection).await.map_err(|error| Error::Internal(format!("migration failed: {error}")))?;
        sqlx::raw_sql("grant select on _sqlx_migrations to vtoc_queue").execute(&mut connection).await?;
        Ok(connection.close().await?)
    })
    .await
}

/// The newest migration this program knows.
pub(crate) fn expected() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The newest migration the database has; 0 before the first.
pub(crate) async fn applied(tx: &mut Tx) -> Result<i64, Error> {
    let row: (i64,) = sqlx::query_as("select coalesce(max(version), 0) from _sqlx_migrations where success")
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.0)
}

/// A name for exactly these migrations.
#[cfg(feature = "testing")]
pub(crate) fn fingerprint() -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    MIGRATIONS.iter().for_each(|migration| hash.update(&migration.checksum));
    hex::encode(&hash.finalize()[..8])
}
