//! Receipts: what came in, the verdict, the job it became.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::{Database, Error, Page, PageRequest, Scope, page::cursor_of};

/// One accepted delivery.
#[derive(Debug, Clone, Serialize)]
pub struct Receipt {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// Which door it came through.
    pub source: String,
    /// What told it from others: the sender's id, or the hash of its body.
    pub key: String,
    /// The station it was for.
    pub station: Option<String>,
    /// SHA-256 of the raw body, hex.
    pub body_sha256: String,
    /// Length of the raw body.
    pub body_bytes: i32,
    /// `accepted` or `ignored`.
    pub verdict: String,
    /// Why it was ignored.
    pub reason: Option<String>,
    /// The job it became.
    pub job_id: Option<Uuid>,
    /// How often it was delivered, this key's current sight included.
    pub sights: i32,
    /// When it came first.
    pub received_at: DateTime<Utc>,
}

/// Receipts, newest first.
///
/// # Errors
/// [`Error::BadCursor`], [`Error::Invalid`] for a limit out of range, [`Error::Unavailable`].
pub async fn list(database: &Database, scope: Scope, request: &PageRequest) -> Result<Page<Receipt>, Error> {
    let after = request.after::<Uuid>()?;
    let (at, id) = after.unzip();
    let fetch = request.fetch()?;
    let rows = select(database, scope, None, at, id, fetch).await?;
    Ok(request.page(rows, |receipt| cursor_of(receipt.received_at, receipt.id)))
}

/// One receipt, if `scope` may see it.
///
/// # Errors
/// [`Error::Unavailable`] without the database.
pub async fn find(database: &Database, scope: Scope, id: Uuid) -> Result<Option<Receipt>, Error> {
    Ok(select(database, scope, Some(id), None, None, 1).await?.pop())
}

async fn select(
    database: &Database,
    scope: Scope,
    only: Option<Uuid>,
    at: Option<DateTime<Utc>>,
    id: Option<Uuid>,
    fetch: i64,
) -> Result<Vec<Receipt>, Error> {
    database
        .bounded(async {
            let mut tx = database.begin(scope).await?;
            let rows = sqlx::query_as!(
                Receipt,
                r#"select r.id, r.source, r.key, s.slug as "station?", encode(r.body_sha256, 'hex') as "body_sha256!", r.body_bytes, r.verdict,
                    r.reason, r.job_id, r.sights, r.received_at
                from vtoc.receipt r
                left join vtoc.station s on s.id = r.station_id
                where ($1::uuid is null or r.id = $1)
                    and ($2::timestamptz is null or (r.received_at, r.id) < ($2, $3))
                    and ($5::bigint is null or r.station_id = $5)
                order by r.received_at desc, r.id desc
                limit $4"#,
                only,
                at,
                id,
                fetch,
                scope.station()
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(rows)
        })
        .await
}
