//! Bearer tokens: stored as SHA-256, for one station or the fleet, with scopes. The secret is seen once, by its maker.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use rand::Rng;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    Database, Error, Scope,
    stations::{self, Station},
};

/// Name of the token that `VTOC_ADMIN_TOKEN` becomes.
const BOOTSTRAP: &str = "bootstrap";

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Post readings.
    Ingest,
    /// Look.
    Read,
    /// Start, stop, retry; implies `Read`.
    Operate,
    /// Everything.
    Admin,
}

impl TokenScope {
    const ALL: [Self; 4] = [Self::Ingest, Self::Read, Self::Operate, Self::Admin];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TokenScope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| Error::invalid("scope", "expected ingest, read, operate or admin"))
    }
}

/// Who is calling.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The token's id.
    pub token_id: Uuid,
    /// The token's name.
    pub name: String,
    /// The station it belongs to; none is the fleet.
    pub station: Option<Station>,
    /// What it allows.
    pub scopes: Vec<TokenScope>,
}

impl Principal {
    /// Whether the token allows `wanted`.
    #[must_use]
    pub fn may(&self, wanted: TokenScope) -> bool {
        self.scopes.iter().any(|have| match have {
            TokenScope::Admin => true,
            TokenScope::Operate => matches!(wanted, TokenScope::Operate | TokenScope::Read),
            exact => *exact == wanted,
        })
    }

    /// Whose rows it may see.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.station.as_ref().map_or(Scope::Fleet, |station| Scope::Station(station.id))
    }
}

/// A token as it is listed: without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct TokenRow {
    /// Its id.
    pub id: Uuid,
    /// Its name, unique.
    pub name: String,
    /// The station it belongs to; none is the fleet.
    pub station_slug: Option<String>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stopped working.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A token just made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What is stored.
    pub token: TokenRow,
    /// What the caller keeps; nobody can show it again.
    pub secret: String,
}

/// Who presents this bearer token; none when it is unknown or revoked.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn authenticate(database: &Database, bearer: &str) -> Result<Option<Principal>, Error> {
    let hash = hash_of(bearer);
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let row = sqlx::query!(
                "select id, name, station_id, scopes from vtoc.token where hash = $1 and revoked_at is null",
                &hash[..]
            )
            .fetch_optional(&mut *tx)
            .await?;
            let Some(row) = row else {
                tx.commit().await?;
                return Ok(None);
            };
            let station = match row.station_id {
                // A station's token never widens to the fleet, whatever became of the station.
                Some(id) => Some(
                    stations::by_id(&mut tx, crate::StationId(id))
                        .await?
                        .ok_or_else(|| Error::Internal("a token of no station".to_owned()))?,
                ),
                None => None,
            };
            tx.commit().await?;
            let scopes = row.scopes.iter().map(|scope| scope.parse()).collect::<Result<_, _>>()?;
            Ok(Some(Principal { token_id: row.id, name: row.name, station, scopes }))
        })
        .await
}

/// Makes a token. Its secret is in the answer and nowhere else.
///
/// # Errors
/// [`Error::Invalid`] for a name in use, an unknown station or no scope.
pub async fn create(
    database: &Database,
    name: &str,
    station_slug: Option<&str>,
    scopes: &[TokenScope],
) -> Result<NewToken, Error> {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let secret = format!("vtoc_{}", hex::encode(bytes));
    let token = store(database, name, station_slug, scopes, &secret).await?;
    Ok(NewToken { token, secret })
}

async fn store(
    database: &Database,
    name: &str,
    station_slug: Option<&str>,
    scopes: &[TokenScope],
    secret: &str,
) -> Result<TokenRow, Error> {
    if scopes.is_empty() {
        return Err(Error::invalid("scope", "expected at least one of ingest, read, operate, admin"));
    }
    let hash = hash_of(secret);
    let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let station = match station_slug {
                Some(slug) => Some(
                    stations::find_in(&mut tx, slug)
                        .await?
                        .ok_or_else(|| Error::invalid("station", format!("there is no station {slug:?}")))?,
                ),
                None => None,
            };
            let row = sqlx::query!(
                "insert into vtoc.token (id, name, hash, station_id, scopes)
                values ($1, $2, $3, $4, $5)
                returning id, created_at",
                Uuid::now_v7(),
                name,
                &hash[..],
                station.as_ref().map(|station| station.id.0),
                &scopes
            )
            .fetch_one(&mut *tx)
            .await
            .map_err(|error| match error.as_database_error().and_then(|error| error.constraint()) {
                Some("token_name_unique") => Error::invalid("name", format!("there is a token {name:?} already")),
                _ => error.into(),
            })?;
            tx.commit().await?;
            Ok(TokenRow {
                id: row.id,
                name: name.to_owned(),
                station_slug: station.map(|station| station.slug),
                scopes,
                created_at: row.created_at,
                revoked_at: None,
            })
        })
        .await
}

/// All tokens, newest first.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn list(database: &Database) -> Result<Vec<TokenRow>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let rows = sqlx::query_as!(
                TokenRow,
                r#"select t.id, t.name, s.slug as "station_slug?", t.scopes, t.created_at, t.revoked_at
                from vtoc.token t
                left join vtoc.station s on s.id = t.station_id
                order by t.created_at desc
                limit 10000"#
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(rows)
        })
        .await
}

/// Ends a token by name or id. False when there is none, or it had ended before.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn revoke(database: &Database, name_or_id: &str) -> Result<bool, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let ended = sqlx::query!(
                "update vtoc.token
                set revoked_at = vtoc.clock()
                where (name = $1 or id::text = $1) and revoked_at is null",
                name_or_id
            )
            .execute(&mut *tx)
            .await?
            .rows_affected();
            tx.commit().await?;
            Ok(ended > 0)
        })
        .await
}

/// Makes `VTOC_ADMIN_TOKEN` the fleet's bootstrap token, in place of the one before.
///
/// # Errors
/// [`Error::Invalid`] when it is shorter than 32 characters.
pub async fn bootstrap(database: &Database, admin_token: &str) -> Result<(), Error> {
    if admin_token.chars().count() < 32 {
        return Err(Error::invalid("VTOC_ADMIN_TOKEN", "expected at least 32 characters"));
    }
    let hash = hash_of(admin_token);
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            sqlx::query!(
                "insert into vtoc.token (id, name, hash, scopes)
                values ($1, $2, $3, array['admin'])
                on conflict (name) do update
                set hash = excluded.hash, revoked_at = null
                where token.hash <> excluded.hash",
                Uuid::now_v7(),
                BOOTSTRAP,
                &hash[..]
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(())
        })
        .await
}

fn hash_of(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_may_all_operate_may_read_and_ingest_may_only_ingest() {
        let with = |scope| Principal { token_id: Uuid::nil(), name: String::new(), station: None, scopes: vec![scope] };
        assert!(TokenScope::ALL.into_iter().all(|wanted| with(TokenScope::Admin).may(wanted)));
        assert!(with(TokenScope::Operate).may(TokenScope::Read));
        assert!(!with(TokenScope::Operate).may(TokenScope::Ingest));
        assert!(!with(TokenScope::Ingest).may(TokenScope::Read));
        assert!(!with(TokenScope::Read).may(TokenScope::Operate));
    }
}
