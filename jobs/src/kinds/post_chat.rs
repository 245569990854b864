//! `post_chat`: posts one message to a channel, once. The far side tells a repeat by the idempotency key, which is the
//! same for every attempt.

use std::time::Instant;

use agents::{chat::Message, outbound};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{Cx, Failure, Kind, Policy, follow_up_key, update_audit::UpdateAudit};
use crate::{
    Error, Tx,
    audits::AuditStatus,
    queue::{Attempt, Fate},
};

/// The effect's name within the job, and the end of its idempotency key.
const EFFECT: &str = "post";

/// The payload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostChat {
    /// Slug of the channel.
    pub channel: String,
    /// The thread to answer in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// What to say.
    pub text: String,
    /// The action that this message concludes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_id: Option<Uuid>,
}

impl Kind for PostChat {
    const NAME: &'static str = "post_chat";
    const POLICY: Policy = Policy::effect("chat");

    async fn run(self, cx: &Cx) -> Result<Fate, Failure> {
        let key = format!("{}:{EFFECT}", cx.attempt.id);
        let message = Message {
            text: self.text.clone(),
            thread: self.thread.clone(),
            metadata: json!({ "job_id": cx.attempt.id }),
        };
        let started = Instant::now();
        let posted = match cx.services.chat.post(&self.channel, &message, &key).await {
            // The channel isn't there yet.
            Err(outbound::Error::Rejected { status: 404, .. }) => {
                cx.services.chat.put_channel(&self.channel).await?;
                cx.services.chat.post(&self.channel, &message, &key).await?
            }
            answer => answer?,
        };
        let elapsed_ms = i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX);
        let mut held = cx.attempt.lock().await?;
        record(held.tx(), &cx.attempt, &key, cx.services.chat.host(), elapsed_ms).await?;
        let output = json!({ "message_id": posted.id, "channel": posted.channel });
        if let Some(audit) = self.audit_id {
            let update =
                UpdateAudit { audit, status: AuditStatus::Succeeded, result: Some(output.clone()), error: None };
            let mut job = cx.follow_up(&update)?;
            job.dedupe = Some(follow_up_key(cx.attempt.id, "succeeded"));
            held.enqueue(&[job]).await?;
        }
        held.complete(Some(output)).await?;
        Ok(Fate::Committed)
    }
}

async fn record(tx: &mut Tx, attempt: &Attempt, key: &str, host: &str, elapsed_ms: i32) -> Result<(), Error> {
    sqlx::query!(
        "insert into vtoc.effect (job_id, name, station_id, idempotency_key, method, host, status, elapsed_ms)
        values ($1, $2, $3, $4, 'POST', $5, 201, $6)
        on conflict (job_id, name) do nothing",
        attempt.id.key(),
        EFFECT,
        attempt.held.station.map(|station| station.0),
        key,
        host,
        elapsed_ms
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
