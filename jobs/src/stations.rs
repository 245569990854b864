//! Stations: who they are. Their data is elsewhere, behind their role.

pub use agents::Role;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{Database, Error, Scope, StationId, Tx};

/// The group role that has rights on a role's schema.
pub(crate) fn group(role: Role) -> &'static str {
    match role {
        Role::Ops => "vtoc_ops",
        Role::Intel => "vtoc_intel",
        Role::Logistics => "vtoc_logistics",
    }
}

/// One operations centre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Station {
    /// Its key.
    pub id: StationId,
    /// Its name in URLs, `toc-s1`.
    pub slug: String,
    /// Its name on the air.
    pub callsign: String,
    /// What it is for.
    pub role: Role,
    /// IANA time zone.
    pub time_zone: String,
    /// Slug of the channel that its posts go to when nothing else is said.
    pub default_channel: String,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}

/// A station to register.
#[derive(Debug, Clone)]
pub struct NewStation {
    /// Lower-case letters, digits and hyphens, at most 63.
    pub slug: String,
    /// 1 to 64 characters.
    pub callsign: String,
    /// What it is for.
    pub role: Role,
    /// IANA time zone.
    pub time_zone: String,
    /// Slug of its channel.
    pub default_channel: String,
}

pub(crate) struct StationRow {
    pub(crate) id: i64,
    pub(crate) slug: String,
    pub(crate) callsign: String,
    pub(crate) role: String,
    pub(crate) time_zone: String,
    pub(crate) default_channel: String,
    pub(crate) created_at: DateTime<Utc>,
}

impl TryFrom<StationRow> for Station {
    type Error = Error;

    fn try_from(row: StationRow) -> Result<Self, Error> {
        Ok(Self {
            id: StationId(row.id),
            slug: row.slug,
            callsign: row.callsign,
            role: row.role.parse().map_err(|error| Error::Internal(format!("station {}: {error}", row.id)))?,
            time_zone: row.time_zone,
            default_channel: row.default_channel,
            created_at: row.created_at,
        })
    }
}

/// All stations in `scope`, by slug.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn list(database: &Database, scope: Scope) -> Result<Vec<Station>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let rows = sqlx::query_as!(
                StationRow,
                "select id, slug, callsign, role, time_zone, default_channel, created_at
                from vtoc.station
                order by slug
                limit 10000"
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            rows.into_iter().map(Station::try_from).collect()
        })
        .await
}

/// The station with this slug or id, if `scope` may see it.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn find(database: &Database, scope: Scope, slug_or_id: &str) -> Result<Option<Station>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let station = find_in(&mut tx, slug_or_id).await?;
            tx.commit().await?;
            Ok(station)
        })
        .await
}

pub(crate) async fn find_in(tx: &mut Tx, slug_or_id: &str) -> Result<Option<Station>, Error> {
    sqlx::query_as!(
        StationRow,
        "select id, slug, callsign, role, time_zone, default_channel, created_at
        from vtoc.station
        where slug = $1 or id::text = $1
        order by slug = $1 desc
        limit 1",
        slug_or_id
    )
    .fetch_optional(&mut **tx)
    .await?
    .map(Station::try_from)
    .transpose()
}

pub(crate) async fn by_id(tx: &mut Tx, id: StationId) -> Result<Option<Station>, Error> {
    sqlx::query_as!(
        StationRow,
        "select id, slug, callsign, role, time_zone, default_channel, created_at
        from vtoc.station
        where id = $1",
        id.0
    )
    .fetch_optional(&mut **tx)
    .await?
    .map(Station::try_from)
    .transpose()
}

/// The station whose default channel this is. Two stations with one channel: the older.
pub(crate) async fn by_channel(tx: &mut Tx, channel: &str) -> Result<Option<Station>, Error> {
    sqlx::query_as!(
        StationRow,
        "select id, slug, callsign, role, time_zone, default_channel, created_at
        from vtoc.station
        where default_channel = $1
        order by id
        limit 1",
        channel
    )
    .fetch_optional(&mut **tx)
    .await?
    .map(Station::try_from)
    .transpose()
}

/// Registers a station and its channel, or brings an existing one with this slug up to date. A station's role never
/// changes: its data lives in the schema of the role it was made with.
///
/// # Errors
/// [`Error::Invalid`] for a slug, callsign or role the table refuses.
pub async fn register(database: &Database, new: &NewStation) -> Result<Station, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let row = sqlx::query_as!(
                StationRow,
                "insert into vtoc.station (slug, callsign, role, time_zone, default_channel)
                values ($1, $2, $3, $4, $5)
                on conflict (slug) do update
                set callsign = excluded.callsign, time_zone = excluded.time_zone, default_channel = excluded.default_channel
                returning id, slug, callsign, role, time_zone, default_channel, created_at",
                new.slug,
                new.callsign,
                new.role.as_str(),
                new.time_zone,
                new.default_channel
            )
            .fetch_one(&mut *tx)
            .await
            .map_err(refused)?;
            let station = Station::try_from(row)?;
            if station.role != new.role {
                return Err(Error::invalid("role", format!("station {} is {} and stays so", station.slug, station.role)));
            }
            crate::chat::ensure_channel(&mut tx, &station.default_channel, Some(station.id)).await?;
            tx.commit().await?;
            Ok(station)
        })
        .await
}

fn refused(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("station_slug_form") => {
            Error::invalid("slug", "expected lower-case letters, digits and hyphens, at most 63")
        }
        Some("station_callsign_length") => Error::invalid("callsign", "expected 1 to 64 characters"),
        _ => error.into(),
    }
}
