//! The databases that every test's own is cloned from, made by whichever test of a cluster comes first: one is migrated, and
//! a copy of it is filled for tests that need many rows.

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::database::with_database;
use crate::{migrate, provision};

/// The application's login on clusters for tests.
pub(super) const LOGIN_PASSWORD: &str = "only-on-a-cluster-made-for-tests";
/// Advisory locks of whoever makes a template. Filling one takes long, and holds up nobody who wants it empty.
const MIGRATING: i64 = 7061;
const FILLING: i64 = 7062;

/// The template of these migrations.
pub(super) async fn migrated(admin_url: &str) -> String {
    let name = format!("vtoc_template_{}", migrate::fingerprint());
    let mut admin = locked(admin_url, MIGRATING).await;
    if !is_there(&mut admin, &name).await {
        run(&mut admin, &format!("create database {name}")).await;
        provision::installation(&with_database(admin_url, &name), "vtoc_test_app", LOGIN_PASSWORD)
            .await
            .expect("the migrations run");
        run(&mut admin, &format!("alter database {name} is_template true")).await;
    }
    unlock(admin, MIGRATING).await;
    name
}

/// The template of these migrations in which `sql` was run, with fresh statistics.
pub(super) async fn filled(admin_url: &str, sql: &str) -> String {
    let empty = migrated(admin_url).await;
    let name = format!("{empty}_{}", hex::encode(&Sha256::digest(sql.as_bytes())[..4]));
    let mut admin = locked(admin_url, FILLING).await;
    if !is_there(&mut admin, &name).await {
        run(&mut admin, &format!("create database {name} template {empty}")).await;
        let mut owner =
            PgConnection::connect(&with_database(admin_url, &name)).await.expect("the test cluster answers");
        run(&mut owner, sql).await;
        run(&mut owner, "vacuum (analyze)").await;
        owner.close().await.expect("the test cluster answers");
        run(&mut admin, &format!("alter database {name} is_template true")).await;
    }
    unlock(admin, FILLING).await;
    name
}

async fn locked(admin_url: &str, lock: i64) -> PgConnection {
    let mut admin = PgConnection::connect(admin_url).await.expect("the test cluster answers");
    run(&mut admin, &format!("select pg_advisory_lock({lock})")).await;
    admin
}

async fn unlock(mut admin: PgConnection, lock: i64) {
    run(&mut admin, &format!("select pg_advisory_unlock({lock})")).await;
}

/// Whether the template is there as a whole; what is left of one that wasn't finished goes.
async fn is_there(admin: &mut PgConnection, name: &str) -> bool {
    let there: (bool,) = sqlx::query_as("select exists (select from pg_database where datname = $1 and datistemplate)")
        .bind(name)
        .fetch_one(&mut *admin)
        .await
        .expect("a query");
    if !there.0 {
        run(admin, &format!("drop database if exists {name} with (force)")).await;
    }
    there.0
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.expect("the statement is right");
}
