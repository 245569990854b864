//! Accepting a chat message: one transaction holds the receipt, the audit when there is one, and the job. A repeat finds
//! the receipt and changes nothing; the same id with another body is a conflict.

mod intent;
mod message;

use std::{path::PathBuf, sync::Arc, time::Duration};

use agents::playbooks::Catalogue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use self::{
    intent::carries_text,
    message::{ChatMessage, ChatUser},
};
use self::{
    intent::{Intent, Work},
    message::ID_CHARS_MAX,
};
use crate::{
    Database, Error, JobId, Scope, Tx, Wake,
    audits::{self, NewAudit},
    database::as_station,
    installation,
    queue::{
        NewJob, enqueue,
        enqueue::{PAYLOAD_MAX, interval},
    },
    stations::{self, Station},
};

/// Which door this is, in receipts.
const SOURCE: &str = "chatkit.webhook";
/// How long a body without an id counts as the same delivery, from its last sight.
const BODY_WINDOW: Duration = Duration::from_secs(30);

/// What is known of a delivery besides its content.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The sender's id of the delivery, when it is signed.
    pub signed_id: Option<&'a str>,
    /// The raw body.
    pub body: &'a [u8],
    /// Which station a header names.
    pub station_hint: Option<&'a str>,
}

/// What the front door needs to tell what a message asks for.
#[derive(Debug, Clone)]
pub struct Door {
    catalogue: Arc<Catalogue>,
    default_station: Option<String>,
    wake: Wake,
}

impl Door {
    /// A door of the installation in `folder`, or of the one that is shipped.
    ///
    /// # Errors
    /// [`Error::Invalid`] when its playbooks can't be understood.
    pub fn new(folder: Option<PathBuf>, default_station: Option<String>, wake: Wake) -> Result<Self, Error> {
        let catalogue = installation::catalogue(&installation::files(folder))?;
        Ok(Self { catalogue, default_station, wake })
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It became a job, now or when it was seen first.
    Accepted {
        /// The receipt.
        receipt_id: Uuid,
        /// The job.
        job_id: JobId,
        /// Whether it was seen before.
        duplicate: bool,
    },
    /// There is nothing to do.
    Ignored {
        /// The receipt.
        receipt_id: Uuid,
        /// Why.
        reason: String,
        /// Whether it was seen before.
        duplicate: bool,
    },
    /// The same id came with another body before.
    Conflict,
}

/// Accepts one verified chat message. When this answers, what it answered is durable.
///
/// # Errors
/// [`Error::Unavailable`]: nothing may be assumed; the sender tries again. [`Error::Invalid`] for a field that is longer
/// than what it names may be, or a text that asks for a job over the cap: nothing was written.
pub async fn chat_message(
    database: &Database,
    door: &Door,
    delivery: &Delivery<'_>,
    message: ChatMessage,
) -> Result<Answer, Error> {
    if let Some(id) = delivery.signed_id {
        message::at_most("id", id, ID_CHARS_MAX)?;
    }
    let message = message.checked()?;
    let body_sha256: [u8; 32] = Sha256::digest(delivery.body).into();
    let (answer, queue) = database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let key = Key::of(delivery, &message, &body_sha256);
            let receipt_id = Uuid::now_v7();
            if let Some(answer) = seen_before(&mut tx, &key, receipt_id, &body_sha256).await? {
                tx.commit().await?;
                return Ok((answer, None));
            }
            let station = station_of(&mut tx, door, delivery, &message).await?;
            let intent = intent::of(&mut tx, &door.catalogue, station.as_ref(), &message).await?;
            let receipt = NewReceipt {
                id: receipt_id,
                key: &key,
                station: station.as_ref(),
                body_sha256: &body_sha256,
                body_bytes: delivery.body.len(),
            };
            let accepted = match (intent, &station) {
                (Intent::Work(work), Some(station)) => accept(&mut tx, &receipt, station, *work).await?,
                (Intent::Ignore(reason), _) => ignore(&mut tx, &receipt, reason).await?,
                (Intent::Work(_), None) => return Err(Error::Internal("work without a station".to_owned())),
            };
            tx.commit().await?;
            Ok(accepted)
        })
        .await?;
    if let Some(queue) = queue {
        door.wake.hint(&queue);
    }
    Ok(answer)
}

/// What tells this delivery from others.
struct Key {
    text: String,
    expires: Option<Duration>,
}

impl Key {
    fn of(delivery: &Delivery<'_>, message: &ChatMessage, body_sha256: &[u8; 32]) -> Self {
        match (delivery.signed_id, &message.id) {
            (Some(id), _) => Self { text: format!("webhook-id:{id}"), expires: None },
            (None, Some(id)) if !id.is_empty() => Self { text: format!("event-id:{id}"), expires: None },
            _ => Self { text: format!("sha256:{}", hex::encode(body_sha256)), expires: Some(BODY_WINDOW) },
        }
    }
}

/// Takes the key for this delivery. When it was taken before, what became of that delivery; copies at the same moment wait
/// here for the first.
async fn seen_before(
    tx: &mut Tx,
    key: &Key,
    receipt_id: Uuid,
    body_sha256: &[u8; 32],
) -> Result<Option<Answer>, Error> {
    let held = sqlx::query!(
        "insert into vtoc.receipt_key as held (source, key, receipt_id, body_sha256, expires_at)
        values ($1, $2, $3, $4, vtoc.clock() + $5::interval)
        on conflict (source, key) do update
        set receipt_id = case when held.expires_at <= vtoc.clock() then excluded.receipt_id else held.receipt_id end,
            expires_at = excluded.expires_at
        returning receipt_id, body_sha256",
        SOURCE,
        key.text,
        receipt_id,
        &body_sha256[..],
        key.expires.map(interval)
    )
    .fetch_one(&mut **tx)
    .await?;
    if held.receipt_id == receipt_id {
        return Ok(None);
    }
    if held.body_sha256 != body_sha256 {
        return Ok(Some(Answer::Conflict));
    }
    let first = sqlx::query!(
        "update vtoc.receipt set sights = sights + 1 where id = $1 returning job_id, reason",
        held.receipt_id
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Some(match first.job_id {
        Some(job_id) => Answer::Accepted { receipt_id: held.receipt_id, job_id: job_id.into(), duplicate: true },
        None => {
            Answer::Ignored { receipt_id: held.receipt_id, reason: first.reason.unwrap_or_default(), duplicate: true }
        }
    }))
}

/// The station a message is for: as it says, by its channel, by a header, else the installation's.
async fn station_of(
    tx: &mut Tx,
    door: &Door,
    delivery: &Delivery<'_>,
    message: &ChatMessage,
) -> Result<Option<Station>, Error> {
    if let Some(slug) = &message.station {
        return stations::find_in(tx, &slug.to_lowercase()).await;
    }
    if let Some(channel) = &message.channel
        && let Some(station) = stations::by_channel(tx, channel).await?
    {
        return Ok(Some(station));
    }
    match delivery.station_hint.or(door.default_station.as_deref()) {
        Some(slug) => stations::find_in(tx, &slug.to_lowercase()).await,
        None => Ok(None),
    }
}

struct NewReceipt<'a> {
    id: Uuid,
    key: &'a Key,
    station: Option<&'a Station>,
    body_sha256: &'a [u8; 32],
    body_bytes: usize,
}

/// Writes job, audit and receipt; the last two as the station itself, so that row-level security proves whose they are.
async fn accept(
    tx: &mut Tx,
    receipt: &NewReceipt<'_>,
    station: &Station,
    work: Work,
) -> Result<(Answer, Option<String>), Error> {
    let job = NewJob { station: Some(station.id), ..work.job };
    text_fits(&job)?;
    let queue = job.queue.clone();
    let job_id = enqueue(tx, &[job])
        .await?
        .first()
        .ok_or_else(|| Error::Internal("an enqueue without an answer".to_owned()))?
        .id;
    as_station(tx, station.id).await?;
    if let Some(action) = &work.action {
        let audit = NewAudit {
            id: action.audit_id,
            station: station.id,
            tool_name: &action.tool_name,
            action_input: &action.input,
            channel: action.channel.as_deref(),
            initiator: action.initiator.as_deref(),
            job: job_id,
        };
        audits::record(tx, &audit).await?;
    }
    write(tx, receipt, "accepted", None, Some(job_id)).await?;
    Ok((Answer::Accepted { receipt_id: receipt.id, job_id, duplicate: false }, Some(queue)))
}

/// Larger payloads are for work of our own; of what this one is made of, only the text is as long as its sender likes.
fn text_fits(job: &NewJob) -> Result<(), Error> {
    let bytes = job.payload.to_string().len();
    if bytes > PAYLOAD_MAX {
        return Err(Error::invalid("text", format!("{bytes} bytes, at most {PAYLOAD_MAX} are allowed")));
    }
    Ok(())
}

async fn ignore(tx: &mut Tx, receipt: &NewReceipt<'_>, reason: String) -> Result<(Answer, Option<String>), Error> {
    write(tx, receipt, "ignored", Some(&reason), None).await?;
    Ok((Answer::Ignored { receipt_id: receipt.id, reason, duplicate: false }, None))
}

async fn write(
    tx: &mut Tx,
    receipt: &NewReceipt<'_>,
    verdict: &str,
    reason: Option<&str>,
    job: Option<JobId>,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into vtoc.receipt (id, source, key, station_id, body_sha256, body_bytes, verdict, reason, job_id)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        receipt.id,
        SOURCE,
        receipt.key.text,
        receipt.station.map(|station| station.id.0),
        &receipt.body_sha256[..],
        i32::try_from(receipt.body_bytes).unwrap_or(i32::MAX),
        verdict,
        reason,
        job.map(JobId::uuid)
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
