//! The built-in chat's tables: channels and messages. A repeated idempotency key is the same message.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Database, Error, Page, PageRequest, Scope, StationId, Tx, nul, stations};

/// A channel.
#[derive(Debug, Clone, Serialize)]
pub struct Channel {
    /// Its name in URLs.
    pub slug: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A message to post.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// 1 to 40,000 characters.
    pub text: String,
    /// The thread it belongs to.
    pub thread: Option<String>,
    /// Rich parts, passed through.
    pub blocks: Option<Value>,
    /// What the poster wants back, passed through.
    pub metadata: Value,
}

/// A message as it is read.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    /// Slug of its channel.
    pub channel: String,
    /// The thread it belongs to.
    pub thread: Option<String>,
    /// What it says.
    pub text: String,
    /// Rich parts.
    pub blocks: Option<Value>,
    /// What the poster wanted back.
    pub metadata: Value,
    /// When it was posted.
    pub created_at: DateTime<Utc>,
    #[serde(skip)]
    position: i64,
}

/// What a post came to.
#[derive(Debug, Clone)]
pub enum Posting {
    /// A new message.
    Created(Message),
    /// The message that this idempotency key made before.
    Repeated(Message),
    /// The key was used for another message.
    KeyReused,
    /// There is no such channel.
    NoChannel,
}

/// Makes a channel, or finds it. It belongs to the station whose default channel it is.
///
/// # Errors
/// [`Error::Invalid`] for a slug over 128 characters or with a NUL, [`Error::Unavailable`].
pub async fn put_channel(database: &Database, slug: &str) -> Result<Channel, Error> {
    if slug.is_empty() || slug.chars().count() > 128 || slug.contains('\0') {
        return Err(Error::invalid("channel", "expected 1 to 128 characters, no NUL"));
    }
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let station = stations::by_channel(&mut tx, slug).await?;
            ensure_channel(&mut tx, slug, station.map(|station| station.id)).await?;
            let channel =
                sqlx::query_as!(Channel, "select slug, created_at from vtoc.chat_channel where slug = $1", slug)
                    .fetch_one(&mut *tx)
                    .await?;
            tx.commit().await?;
            Ok(channel)
        })
        .await
}

pub(crate) async fn ensure_channel(tx: &mut Tx, slug: &str, station: Option<StationId>) -> Result<(), Error> {
    sqlx::query!(
        "insert into vtoc.chat_channel (slug, station_id)
        values ($1, $2)
        on conflict (slug) do nothing",
        slug,
        station.map(|station| station.0)
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Posts a message.
///
/// # Errors
/// [`Error::Invalid`] for a text of the wrong length and for NUL characters, [`Error::Unavailable`].
pub async fn post(
    database: &Database,
    channel: &str,
    new: NewMessage,
    idempotency_key: Option<&str>,
) -> Result<Posting, Error> {
    if !(1..=40_000).contains(&new.text.chars().count()) {
        return Err(Error::invalid("text", "expected 1 to 40,000 characters"));
    }
    storable(&new)?;
    let request = request_hash(channel, &new);
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let Some(place) = sqlx::query!("select id, station_id from vtoc.chat_channel where slug = $1", channel).fetch_optional(&mut *tx).await? else {
                return Ok(Posting::NoChannel);
            };
            let id = Uuid::now_v7();
            let created = sqlx::query!(
                "insert into vtoc.chat_message (id, channel_id, station_id, thread, body, blocks, metadata, idempotency_key, request_sha256)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                on conflict (idempotency_key) do nothing
                returning id",
                id,
                place.id,
                place.station_id,
                new.thread,
                new.text,
                new.blocks,
                new.metadata,
                idempotency_key,
                &request[..]
            )
            .fetch_optional(&mut *tx)
            .await?
            .is_some();
            let posting = match idempotency_key {
                Some(key) if !created => earlier(&mut tx, key, &request).await?,
                _ => Posting::Created(message(&mut tx, id).await?),
            };
            tx.commit().await?;
            Ok(posting)
        })
        .await
}

/// Refuses what the tables can't hold.
fn storable(new: &NewMessage) -> Result<(), Error> {
    let strange = [
        ("text", new.text.contains('\0')),
        ("thread", new.thread.as_ref().is_some_and(|thread| thread.contains('\0'))),
        ("blocks", new.blocks.as_ref().is_some_and(nul::is_in)),
        ("metadata", nul::is_in(&new.metadata)),
    ];
    match strange.into_iter().find(|(_, strange)| *strange) {
        Some((field, _)) => Err(Error::invalid(field, "expected no NUL character")),
        None => Ok(()),
    }
}

async fn earlier(tx: &mut Tx, key: &str, request: &[u8]) -> Result<Posting, Error> {
    let before = sqlx::query!("select id, request_sha256 from vtoc.chat_message where idempotency_key = $1", key)
        .fetch_one(&mut **tx)
        .await?;
    if before.request_sha256 != request {
        return Ok(Posting::KeyReused);
    }
    Ok(Posting::Repeated(message(tx, before.id).await?))
}

async fn message(tx: &mut Tx, id: Uuid) -> Result<Message, Error> {
    Ok(sqlx::query_as!(
        Message,
        "select m.id, c.slug as channel, m.thread, m.body as text, m.blocks, m.metadata, m.created_at, m.position
        from vtoc.chat_message m
        join vtoc.chat_channel c on c.id = m.channel_id
        where m.id = $1",
        id
    )
    .fetch_one(&mut **tx)
    .await?)
}

/// Messages of a channel, newest first; none when there is no such channel.
///
/// # Errors
/// [`Error::BadCursor`], [`Error::Invalid`] for a limit out of range, [`Error::Unavailable`].
pub async fn messages(
    database: &Database,
    channel: &str,
    request: &PageRequest,
) -> Result<Option<Page<Message>>, Error> {
    let after = request.after_key()?;
    let fetch = request.fetch()?;
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let Some(place) = sqlx::query!("select id from vtoc.chat_channel where slug = $1", channel).fetch_optional(&mut *tx).await? else {
                return Ok(None);
            };
            let rows = sqlx::query_as!(
                Message,
                "select m.id, c.slug as channel, m.thread, m.body as text, m.blocks, m.metadata, m.created_at, m.position
                from vtoc.chat_message m
                join vtoc.chat_channel c on c.id = m.channel_id
                where m.channel_id = $1 and ($2::bigint is null or m.position < $2)
                order by m.position desc
                limit $3",
                place.id,
                after,
                fetch
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(Some(request.page(rows, |message| message.position.to_string())))
        })
        .await
}

fn request_hash(channel: &str, new: &NewMessage) -> [u8; 32] {
    let request = serde_json::json!([channel, new.text, new.thread, new.blocks, new.metadata]);
    Sha256::digest(request.to_string().as_bytes()).into()
}
