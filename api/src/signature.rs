//! Webhook signatures: a pure function of the raw body, the headers, the secrets and the time. Two schemes, never
//! downgraded from Standard Webhooks to the plain one. Nothing here parses a body or answers a request.

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use hyper::{HeaderMap, header::HeaderValue};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::secret::Secret;

#[cfg(test)]
mod tests;

const CHATKIT_SIGNATURE: &str = "x-chatkit-signature";
const WEBHOOK_ID: &str = "webhook-id";
const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// How far a sender's clock may be from ours, either way.
const TOLERANCE_SECONDS: u64 = 300;

/// What a good signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed<'h> {
    /// `X-ChatKit-Signature`: the body, and no header.
    Body,
    /// Standard Webhooks: the body and the `webhook-id`.
    Message {
        /// The signed id of the delivery.
        id: &'h str,
    },
}

/// Why a delivery isn't believed. For our log only: a sender gets the same answer for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No signature header of either scheme, or not all three of Standard Webhooks.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header that must come once came twice.
    #[error("the header {0} came more than once")]
    Repeated(&'static str),
    /// A header with bytes outside what its scheme allows.
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    /// Signed too long ago, or too far ahead.
    #[error("the timestamp is more than {TOLERANCE_SECONDS} s from ours")]
    OutsideTolerance,
    /// No active secret makes this signature.
    #[error("the signature does not match")]
    Mismatch,
}

/// Checks the signature of `body` under whichever scheme its headers announce.
///
/// # Errors
/// [`Refused`], for the log.
pub fn verify<'h>(
    secrets: &[Secret],
    now: DateTime<Utc>,
    headers: &'h HeaderMap,
    body: &[u8],
) -> Result<Signed<'h>, Refused> {
    let active = || secrets.iter().filter(|secret| secret.is_active(now));
    let announces_standard =
        [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE].into_iter().any(|name| headers.contains_key(name));
    if announces_standard {
        verify_standard(active(), now, headers, body)
    } else {
        verify_chatkit(active(), headers, body)
    }
}

fn verify_chatkit<'s>(
    secrets: impl Iterator<Item = &'s Secret>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Signed<'static>, Refused> {
    let claimed = once(headers, CHATKIT_SIGNATURE)?.as_bytes();
    let matches = secrets.fold(Choice::from(0), |found, secret| {
        let expected = hex::encode(mac(secret.chatkit_key(), &[body]));
        found | expected.as_bytes().ct_eq(claimed)
    });
    if matches.into() { Ok(Signed::Body) } else { Err(Refused::Mismatch) }
}

fn verify_standard<'h, 's>(
    secrets: impl Iterator<Item = &'s Secret>,
    now: DateTime<Utc>,
    headers: &'h HeaderMap,
    body: &[u8],
) -> Result<Signed<'h>, Refused> {
    let id = text(headers, WEBHOOK_ID)?;
    let timestamp = text(headers, WEBHOOK_TIMESTAMP)?;
    let claimed = text(headers, WEBHOOK_SIGNATURE)?;
    if id.is_empty() {
        return Err(Refused::Malformed(WEBHOOK_ID));
    }
    check_age(timestamp, now)?;
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let matches = secrets.fold(Choice::from(0), |found, secret| {
        let expected = STANDARD.encode(mac(secret.standard_key(), &signed));
        found | any_v1(claimed, expected.as_bytes())
    });
    if matches.into() { Ok(Signed::Message { id }) } else { Err(Refused::Mismatch) }
}

/// Other versions in the list are for other verifiers.
fn any_v1(claimed: &str, expected: &[u8]) -> Choice {
    claimed
        .split(' ')
        .filter_map(|candidate| candidate.strip_prefix("v1,"))
        .fold(Choice::from(0), |found, signature| found | signature.as_bytes().ct_eq(expected))
}

fn check_age(timestamp: &str, now: DateTime<Utc>) -> Result<(), Refused> {
    let digits_only = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let signed_at: i64 = timestamp.parse().ok().filter(|_| digits_only).ok_or(Refused::Malformed(WEBHOOK_TIMESTAMP))?;
    if now.timestamp().abs_diff(signed_at) > TOLERANCE_SECONDS { Err(Refused::OutsideTolerance) } else { Ok(()) }
}

fn once<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h HeaderValue, Refused> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next().ok_or(Refused::Missing(name))?;
    if values.next().is_some() { Err(Refused::Repeated(name)) } else { Ok(value) }
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, Refused> {
    once(headers, name)?.to_str().map_err(|_| Refused::Malformed(name))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
