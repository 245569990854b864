//! An answer, read up to its cap, and what a status means.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use reqwest::{StatusCode, header::RETRY_AFTER};
use serde::de::DeserializeOwned;

use super::Error;

/// A 2xx answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 200 to 299.
    pub status: u16,
    /// The whole body, as sent.
    pub body: Bytes,
    /// Who sent it.
    pub(super) host: String,
}

impl Response {
    /// The body as JSON of the agreed shape.
    ///
    /// # Errors
    /// [`Error::Malformed`] without a word of the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let why = format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column());
            Error::Malformed { host: self.host.clone(), why: why.to_lowercase() }
        })
    }
}

/// Reads a 2xx answer whole; any other is an error and isn't read.
pub(super) async fn read(mut answer: reqwest::Response, host: &str, bytes_max: usize) -> Result<Response, Error> {
    let status = answer.status();
    if !status.is_success() {
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        return Err(refusal(status, retry_after.and_then(|text| wait(text, Utc::now())), host));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| Error::of_transport(host, &error))? {
        if body.len() + chunk.len() > bytes_max {
            return Err(Error::Malformed { host: host.to_owned(), why: format!("longer than {bytes_max} bytes") });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status: status.as_u16(), body: body.freeze(), host: host.to_owned() })
}

fn refusal(status: StatusCode, retry_after: Option<Duration>, host: &str) -> Error {
    let host = host.to_owned();
    match status {
        StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { host, retry_after },
        StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => Error::RateLimited { host, retry_after },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
            Error::Unreachable { host, why: format!("answered {}", status.as_u16()) }
        }
        _ if status.is_server_error() => Error::Unreachable { host, why: format!("answered {}", status.as_u16()) },
        _ => Error::Rejected { host, status: status.as_u16() },
    }
}

/// `Retry-After`: seconds or an HTTP date, which may be past.
fn wait(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    Some((until.with_timezone(&Utc) - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-11-22T08:00:00Z".parse().unwrap();
        let seconds = |count| Some(Duration::from_secs(count));
        assert_eq!(wait("120", now), seconds(120));
        assert_eq!(wait("Sun, 22 Nov 2026 08:01:00 GMT", now), seconds(60));
        assert_eq!(wait("Sun, 22 Nov 2020 08:01:00 GMT", now), seconds(0));
        assert_eq!(wait("18446744073709551615", now), seconds(u64::MAX));
        assert_eq!(wait("-5", now), None);
        assert_eq!(wait("soon", now), None);
    }
}
