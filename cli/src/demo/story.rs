//! The story: a signed message goes in at the front door, and what becomes of it is looked up until the answer stands in the
//! chat. Only doors that everybody has are used.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Address;
use super::facts::{Sight, facts, trouble};
use crate::front_door::FrontDoor;
use crate::progress::{say, seconds};

const CHANNEL: &str = "toc-s1";
const TEXT: &str = "@agent run op_airtrack_merge";
const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Sends the message and tells what is seen until the end is reached.
pub(crate) async fn tell(address: &Address) -> Result<()> {
    let fleet = FrontDoor::new(&address.url, &address.admin_token)?;
    let chat = FrontDoor::new(&address.url, &address.chat_key)?;
    let began = Instant::now();
    let tell = |fact: &str| say(format_args!("{:>7}  {fact}", seconds(began.elapsed())));

    tell(&format!("#{CHANNEL}: \"{TEXT}\", signed, to /api/v1/chatkit/webhook"));
    let body = json!({"id": format!("demo-{}", Uuid::now_v7()), "channel": CHANNEL, "text": TEXT, "user": {"id": "u-demo", "name": "Demo"}}).to_string();
    let signature = sign(&address.webhook_secret, &body);
    let answer = fleet.post_signed("/api/v1/chatkit/webhook", body, signature).await?;
    let job = text(&answer, "job_id").context("the message started no job")?;
    tell(&format!("accepted: receipt {}, job {job}", text(&answer, "receipt_id").unwrap_or_default()));

    let mut told = HashSet::new();
    loop {
        let sight = look(&fleet, &chat, &job).await?;
        for fact in facts(&sight).into_iter().filter(|fact| told.insert(fact.clone())) {
            tell(&fact);
        }
        if let Some(trouble) = trouble(&sight) {
            bail!("{trouble}");
        }
        let missing = sight.missing();
        if missing.is_empty() {
            let posted = sight.newest_message().context("the message is gone")?;
            say(format_args!("\nposted in #{CHANNEL}:\n\n{posted}\n"));
            return Ok(());
        }
        if began.elapsed() >= DEADLINE {
            bail!("not reached within {} s: {}; job {job}", DEADLINE.as_secs(), missing.join(", "));
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn look(fleet: &FrontDoor, chat: &FrontDoor, job: &str) -> Result<Sight> {
    let runs = fleet.get("/api/v1/agentkit/runs").await?;
    let run = match items(&runs).iter().find(|run| run["job_id"] == job).and_then(|run| text(run, "id")) {
        Some(id) => Some(fleet.get(&format!("/api/v1/agentkit/runs/{id}")).await?),
        None => None,
    };
    Ok(Sight {
        job: fleet.get(&format!("/api/v1/jobs/{job}")).await?,
        jobs: items(&fleet.get("/api/v1/jobs?limit=100").await?),
        run,
        audits: items(&fleet.get("/api/v1/agent-actions/audits").await?)
            .into_iter()
            .filter(|audit| audit["job_id"] == job)
            .collect(),
        messages: items(&chat.get(&format!("/chatkit/v1/channels/{CHANNEL}/messages")).await?),
    })
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().cloned().unwrap_or_default()
}

fn text(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().map(str::to_owned)
}

/// Lower-case hexadecimal HMAC-SHA256 of the body.
fn sign(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("invariant: a key may have any length");
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        assert_eq!(
            sign("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
