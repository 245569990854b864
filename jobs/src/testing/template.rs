//! The database that every test's own is cloned from: migrated once a cluster and set of migrations.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::database::with_database;
use crate::{migrate, provision};

/// The application's login on clusters for tests.
pub(super) const LOGIN_PASSWORD: &str = "only-on-a-cluster-made-for-tests";

/// The template of these migrations, made by whichever test comes first.
pub(super) async fn name(admin_url: &str) -> String {
    let name = format!("vtoc_template_{}", migrate::fingerprint());
    let mut admin = PgConnection::connect(admin_url).await.expect("the test cluster answers");
    sqlx::raw_sql("select pg_advisory_lock(7061)").execute(&mut admin).await.expect("a lock");
    let there: (bool,) = sqlx::query_as("select exists (select from pg_database where datname = $1 and datistemplate)")
        .bind(&name)
        .fetch_one(&mut admin)
        .await
        .expect("a query");
    if !there.0 {
        sqlx::raw_sql(AssertSqlSafe(format!("drop database if exists {name} with (force)")))
            .execute(&mut admin)
            .await
            .expect("a leftover can be dropped");
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}")))
            .execute(&mut admin)
            .await
            .expect("a database can be made");
        provision::installation(&with_database(admin_url, &name), "vtoc_test_app", LOGIN_PASSWORD)
            .await
            .expect("the migrations run");
        sqlx::raw_sql(AssertSqlSafe(format!("alter database {name} is_template true")))
            .execute(&mut admin)
            .await
            .expect("a template");
    }
    sqlx::raw_sql("select pg_advisory_unlock(7061)").execute(&mut admin).await.expect("the lock is ours");
    name
}
