//! The built-in chat: the same contract as a ChatKit service, under `/chatkit/v1`, for installations without one.
//! Its bearer is the configured key, not a token of ours; `X-ChatKit-Org` may come along and changes nothing.

use hyper::{HeaderMap, StatusCode};
use jobs::chat::{self, Message, NewMessage, Posting};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    auth, body,
    endpoint::{Answer, Call, Endpoint},
    error::ApiError,
    json,
    query::{self, Query},
};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::put("/chatkit/v1/channels/{slug}", put_channel),
        Endpoint::get("/chatkit/v1/channels/{slug}/messages", messages),
        Endpoint::post("/chatkit/v1/channels/{slug}/messages", post_message),
    ]
}

#[derive(Deserialize)]
struct PostedMessage {
    text: String,
    thread: Option<String>,
    blocks: Option<Value>,
    #[serde(default = "no_metadata")]
    metadata: Value,
}

fn no_metadata() -> Value {
    json!({})
}

async fn put_channel(call: Call) -> Answer {
    authenticate(&call)?;
    Query::none(call.query.as_deref())?;
    let channel = chat::put_channel(&call.shared.database, call.capture()).await?;
    json::answer(StatusCode::OK, &channel)
}

async fn messages(call: Call) -> Answer {
    authenticate(&call)?;
    let page = Query::parse(call.query.as_deref(), &["limit", "cursor"])?.page()?;
    let messages = chat::messages(&call.shared.database, call.capture(), &page).await?;
    json::cacheable(&call.headers, &messages.ok_or(ApiError::NotFound)?)
}

async fn post_message(call: Call) -> Answer {
    authenticate(&call)?;
    Query::none(call.query.as_deref())?;
    let key = idempotency_key(&call.headers)?;
    body::refuse_compressed(&call.headers)?;
    let channel = call.capture().to_owned();
    let body = body::read(call.body, call.shared.webhook_limit()).await?;
    let PostedMessage { text, thread, blocks, metadata } = json::parse(&body)?;
    let message = NewMessage { text, thread, blocks, metadata };
    let (status, message) = posted(chat::post(&call.shared.database, &channel, message, key).await?)?;
    json::answer(status, &message)
}

fn posted(posting: Posting) -> Result<(StatusCode, Message), ApiError> {
    match posting {
        Posting::Created(message) => Ok((StatusCode::CREATED, message)),
        Posting::Repeated(message) => Ok((StatusCode::OK, message)),
        Posting::KeyReused => Err(ApiError::KeyReused),
        Posting::NoChannel => Err(ApiError::NotFound),
    }
}

fn authenticate(call: &Call) -> Result<(), ApiError> {
    auth::bears(&call.headers, call.shared.config.chat_key.as_deref())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).into_iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let usable = key.to_str().ok().filter(|key| !key.trim().is_empty() && key.len() <= IDEMPOTENCY_KEY_CHARS_MAX);
    match (usable, keys.next()) {
        (Some(key), None) => Ok(Some(key)),
        _ => Err(query::invalid("idempotency_key", "expected one header of 1 to 255 printable characters")),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(keys: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_str(key).unwrap());
        }
        headers
    }

    #[test]
    fn an_idempotency_key_is_optional_but_single_and_short() {
        assert_eq!(idempotency_key(&headers(&[])).unwrap(), None);
        assert_eq!(idempotency_key(&headers(&["job-1/post"])).unwrap(), Some("job-1/post"));
        for bad in [&["a", "a"][..], &[" "], &[&"x".repeat(256)]] {
            assert!(idempotency_key(&headers(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_message_needs_text_and_nothing_else() {
        let message: PostedMessage = json::parse(br#"{"text":"hello"}"#).unwrap();
        assert_eq!(message.metadata, no_metadata());
        assert!(json::parse::<PostedMessage>(br#"{"text":null}"#).is_err());
    }
}
