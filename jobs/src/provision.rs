//! Making a database ready for the running system: migrations, and a login without rights of its own that may only take
//! on the group roles.

use sqlx::AssertSqlSafe;
use url::Url;

use crate::{ConnectOptions, Error, Pooling, database::Line, migrate};

/// The roles the application's login may take on; the last for workers, which drop days of bodies and history.
const GROUPS: [&str; 6] =
    ["vtoc_queue", "vtoc_station", "vtoc_ops", "vtoc_intel", "vtoc_logistics", "vtoc_maintenance"];

/// What the login in a URL is able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// May create roles and schemas, so migrations can run with it.
    pub migrates: bool,
    /// May take on the group roles without being more than that.
    pub serves: bool,
}

/// Asks the database what the login of `url` may do.
///
/// # Errors
/// [`Error::Unavailable`] when it can't be reached, [`Error::Internal`] when it refuses the login.
pub async fn rights(url: &str) -> Result<Rights, Error> {
    // Asked in a way that any pooler lets through.
    let options = ConnectOptions { pooling: Pooling::Transaction, ..ConnectOptions::default() };
    let mut line = Line::connect(url, &options).await?;
    sqlx::raw_sql(AssertSqlSafe(options.opening())).execute(&mut line).await?;
    let row = sqlx::query!(
        r#"select (rolsuper or (rolcreaterole and has_database_privilege(current_database(), 'create'))) as "migrates!",
            not rolsuper and not rolbypassrls and not rolinherit as "serves!"
        from pg_roles
        where rolname = current_user"#
    )
    .fetch_one(&mut line)
    .await?;
    sqlx::raw_sql("commit").execute(&mut line).await?;
    Ok(Rights { migrates: row.migrates, serves: row.serves })
}

/// Migrates the database at `owner_url` and makes the login `login` with `password`. May be repeated; a repeat sets the
/// password anew. Answers with the URL the application connects with.
///
/// # Errors
/// As [`migrate::run`]; [`Error::Invalid`] when the URL isn't one.
pub async fn installation(owner_url: &str, login: &str, password: &str) -> Result<String, Error> {
    migrate::run(owner_url).await?;
    let options = ConnectOptions::default();
    let mut line = Line::connect(owner_url, &options).await?;
    sqlx::raw_sql(AssertSqlSafe(options.opening())).execute(&mut line).await?;
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('vtoc login', 0))").execute(&mut line).await?;
    let verb = if sqlx::query!("select 1 as there from pg_roles where rolname = $1", login)
        .fetch_optional(&mut line)
        .await?
        .is_some()
    {
        "alter"
    } else {
        "create"
    };
    let statements = sqlx::query_scalar!(
        r#"select format(
            '%1$s role %2$I login noinherit nosuperuser nocreatedb nocreaterole password %3$L; grant %4$s to %2$I; grant connect on database %5$I to %2$I',
            $1::text, $2::text, $3::text, $4::text, current_database()) as "statements!""#,
        verb,
        login,
        password,
        GROUPS.join(", ")
    )
    .fetch_one(&mut line)
    .await?;
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut line).await?;
    sqlx::raw_sql("commit").execute(&mut line).await?;
    application_url(owner_url, login, password)
}

fn application_url(owner_url: &str, login: &str, password: &str) -> Result<String, Error> {
    let malformed = || Error::invalid("DATABASE_URL", "expected postgres://user:password@host:port/database");
    let mut url = Url::parse(owner_url).map_err(|_| malformed())?;
    url.set_username(login).map_err(|()| malformed())?;
    url.set_password(Some(password)).map_err(|()| malformed())?;
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::application_url;

    #[test]
    fn the_applications_url_keeps_host_database_and_options() {
        let url =
            application_url("postgres://owner:s3@db.example:5433/fleet?sslmode=require", "fleet_app", "p@ss/word")
                .unwrap();
        assert_eq!(url, "postgres://fleet_app:p%40ss%2Fword@db.example:5433/fleet?sslmode=require");
    }
}
