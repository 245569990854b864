//! Events of the chat service. A delivery is believed before it is read, and answered 2xx only when it is written
//! down; what becomes of it is `jobs`' decision.

use bytes::Bytes;
use chrono::Utc;
use hyper::StatusCode;
use jobs::accept::{self, ChatMessage, Delivery, carries_text};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    body,
    config::Webhooks,
    endpoint::{Answer, Call, Endpoint},
    error::ApiError,
    json,
    query::Query,
    signature::{self, Signed},
    station_hint,
};

const PLACING_FIELDS: [&str; 4] = ["id", "type", "channel", "station"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::post("/api/v1/chatkit/webhook", webhook)]
}

/// What a sender is told. Absent fields are left out, so that a plain acceptance stays as short as documented.
#[derive(Serialize)]
struct Received {
    received: bool,
    receipt_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<jobs::JobId>,
    #[serde(skip_serializing_if = "is_false")]
    duplicate: bool,
    #[serde(skip_serializing_if = "is_false")]
    ignored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

async fn webhook(call: Call) -> Answer {
    body::refuse_compressed(&call.headers)?;
    let body = body::read(call.body, call.shared.webhook_limit()).await?;
    let signed_id = believe(&call.shared.config.webhooks, &call.headers, &body)?;
    Query::none(call.query.as_deref())?;
    let message = event(&body)?;
    let station_hint = station_hint::from_headers(&call.headers);
    let delivery = Delivery { signed_id, body: &body, station_hint: station_hint.as_deref() };
    let answer = accept::chat_message(&call.shared.database, &call.shared.door, &delivery, message).await?;
    json::answer(StatusCode::ACCEPTED, &received(answer)?)
}

/// The body as a message. Of other events nothing but what places and identifies them is read: their other fields have
/// shapes of their own, and they are answered `ignored` whatever those hold.
fn event(body: &[u8]) -> Result<ChatMessage, ApiError> {
    let mut event: Map<String, Value> = json::parse(body)?;
    let other_type = event.get("type").and_then(Value::as_str).is_some_and(|name| !carries_text(name));
    if other_type {
        event.retain(|name, value| PLACING_FIELDS.contains(&name.as_str()) && value.is_string());
        event.insert("text".to_owned(), Value::String(String::new()));
    }
    json::convert(Value::Object(event))
}

/// The id of the delivery, when a signature vouches for it.
fn believe<'h>(webhooks: &Webhooks, headers: &'h hyper::HeaderMap, body: &Bytes) -> Result<Option<&'h str>, ApiError> {
    let Webhooks::Signed(secrets) = webhooks else { return Ok(None) };
    match signature::verify(secrets, Utc::now(), headers, body) {
        Ok(Signed::Body) => Ok(None),
        Ok(Signed::Message { id }) => Ok(Some(id)),
        Err(reason) => {
            tracing::info!(%reason, "a chat webhook was refused");
            Err(ApiError::BadSignature)
        }
    }
}

fn received(answer: accept::Answer) -> Result<Received, ApiError> {
    match answer {
        accept::Answer::Accepted { receipt_id, job_id, duplicate } => {
            Ok(Received { received: true, receipt_id, job_id: Some(job_id), duplicate, ignored: false, reason: None })
        }
        accept::Answer::Ignored { receipt_id, reason, duplicate } => {
            Ok(Received { received: true, receipt_id, job_id: None, duplicate, ignored: true, reason: Some(reason) })
        }
        accept::Answer::Conflict => Err(ApiError::DeliveryConflict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_needs_text_whether_it_says_its_type_or_not() {
        assert_eq!(event(br#"{"text":"hello"}"#).unwrap().text, "hello");
        for body in [
            &br#"{}"#[..],
            br#"{"type":"message"}"#,
            br#"{"type":null}"#,
            br#"{"type":7,"text":"hello"}"#,
            br#"{"text":"hello","user":7}"#,
        ] {
            assert!(matches!(event(body), Err(ApiError::Malformed(_))), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn other_events_may_look_as_they_like() {
        let event =
            event(br#"{"id":"e-1","type":"reaction.added","user":"u-1","text":{"emoji":"+1"},"channel":7}"#).unwrap();
        assert_eq!(
            (event.id.as_deref(), event.r#type.as_deref(), event.channel),
            (Some("e-1"), Some("reaction.added"), None)
        );
        assert_eq!(event.text, "");
    }
}
