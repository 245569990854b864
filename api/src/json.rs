//! JSON in and out: one strict way to read a body, one to answer with a value, and one for lists that clients poll.

use hyper::{HeaderMap, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use warp::reply::Response;

use crate::{
    endpoint::Answer,
    error::ApiError,
    etag::{self, ETag},
};

/// The body as a `T`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    if has_nul(&value) {
        return Err(ApiError::Malformed("the body holds a NUL character, which can't be stored".to_owned()));
    }
    convert(value)
}

/// A part of a body as a `T`.
pub(crate) fn convert<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_json::from_value(value).map_err(|error| malformed(&error))
}

fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::Malformed(format!("the body is not what this resource takes: {error}"))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// An answer of this status and value.
pub(crate) fn answer(status: StatusCode, value: &impl Serialize) -> Answer {
    Ok(response(status, encode(value)?))
}

/// A 200 that names its content, or a 304 for a client that has it already.
pub(crate) fn cacheable(headers: &HeaderMap, value: &impl Serialize) -> Answer {
    let body = encode(value)?;
    let tag = ETag::of(&body);
    let mut response = if etag::is_known(headers, &tag) { not_modified() } else { response(StatusCode::OK, body) };
    response.headers_mut().insert(header::ETAG, tag.header());
    // Answers differ by token, and a stored one is always asked about again.
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|error| ApiError::Internal(format!("an answer does not serialize: {error}")))
}

fn response(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn not_modified() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_database_cannot_store_is_malformed_wherever_it_hides() {
        for body in [&br#"{"a":["x\u0000"]}"#[..], br#"{"\u0000":1}"#, b"{", b"\xff", br#"{"a":"\ud800"}"#, b""] {
            assert!(matches!(parse::<Value>(body), Err(ApiError::Malformed(_))), "{body:?}");
        }
        assert_eq!(parse::<Value>(br#"{"a":"\u0001"}"#).unwrap(), json!({ "a": "\u{1}" }));
    }

    #[test]
    fn nesting_without_end_is_malformed() {
        assert!(matches!(parse::<Value>("[".repeat(200_000).as_bytes()), Err(ApiError::Malformed(_))));
    }

    #[test]
    fn a_client_that_has_the_list_gets_304_without_a_body() {
        let fresh = cacheable(&HeaderMap::new(), &json!([1])).unwrap();
        assert_eq!(fresh.status(), StatusCode::OK);
        let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, fresh.headers()[header::ETAG].clone())]);
        assert_eq!(cacheable(&known, &json!([1])).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert_eq!(cacheable(&known, &json!([2])).unwrap().status(), StatusCode::OK);
    }
}
