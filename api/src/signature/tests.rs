//! The conformance vectors, the edges of each rule, and the vendor's own signer as an oracle.

use hyper::header::HeaderName;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vector {
    name: String,
    secret: String,
    now: Option<i64>,
    headers: std::collections::BTreeMap<String, String>,
    body: String,
    verifies: bool,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../tests/fixtures/webhooks.json")).unwrap()
}

fn vector(name: &str) -> Vector {
    vectors().into_iter().find(|vector| vector.name == name).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn headers<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    map
}

impl Vector {
    fn header_map(&self) -> HeaderMap {
        headers(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
    }

    fn secrets(&self) -> Vec<Secret> {
        vec![Secret::new(&self.secret).unwrap()]
    }

    fn now(&self) -> DateTime<Utc> {
        at(self.now.unwrap_or(0))
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        verify(&self.secrets(), self.now(), headers, body).is_ok()
    }
}

#[test]
fn every_conformance_vector_is_judged_as_written() {
    let vectors = vectors();
    assert!(vectors.len() > 20);
    for vector in vectors {
        assert_eq!(vector.verify(&vector.header_map(), vector.body.as_bytes()), vector.verifies, "{}", vector.name);
    }
}

#[test]
fn no_single_flipped_bit_of_body_or_signature_verifies() {
    for (name, header) in [("standard-webhooks-rust", "webhook-signature"), ("vtoc-callback", "X-ChatKit-Signature")] {
        let vector = vector(name);
        let (good, body) = (vector.header_map(), vector.body.as_bytes());
        for bit in 0..body.len() * 8 {
            assert!(!vector.verify(&good, &flipped(body, bit)), "{name}: bit {bit} of the body");
        }
        let signature = good[header].as_bytes();
        for bit in 0..signature.len() * 8 {
            // Some flips make bytes that no header can carry.
            let Ok(value) = HeaderValue::from_bytes(&flipped(signature, bit)) else { continue };
            let mut mutated = good.clone();
            mutated.insert(HeaderName::from_bytes(header.as_bytes()).unwrap(), value);
            assert!(!vector.verify(&mutated, body), "{name}: bit {bit} of the signature");
        }
    }
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn a_header_that_comes_twice_is_refused_even_with_the_same_value() {
    for name in ["standard-webhooks-rust", "vtoc-callback"] {
        let vector = vector(name);
        for (header, value) in vector.header_map() {
            let mut doubled = vector.header_map();
            doubled.append(header.clone().unwrap(), value);
            let refused = verify(&vector.secrets(), vector.now(), &doubled, vector.body.as_bytes());
            assert!(matches!(refused, Err(Refused::Repeated(_))), "{name}: {header:?}");
        }
    }
}

#[test]
fn any_header_of_standard_webhooks_rules_out_the_plain_scheme() {
    let vector = vector("vtoc-callback");
    for header in [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE] {
        let mut map = vector.header_map();
        map.insert(header, HeaderValue::from_static("1"));
        assert!(!vector.verify(&map, vector.body.as_bytes()), "{header}");
    }
}

#[test]
fn the_tolerance_ends_after_exactly_300_seconds_either_way() {
    let vector = vector("standard-webhooks-rust");
    let map = vector.header_map();
    let judge = |offset| {
        verify(&vector.secrets(), vector.now() + chrono::Duration::seconds(offset), &map, vector.body.as_bytes())
    };
    for inside in [-300, -299, 0, 299, 300] {
        assert!(judge(inside).is_ok(), "{inside}");
    }
    for outside in [-301, 301, 1_000_000] {
        assert_eq!(judge(outside), Err(Refused::OutsideTolerance), "{outside}");
    }
}

#[test]
fn timestamps_are_digits_only() {
    let vector = vector("standard-webhooks-rust");
    for timestamp in ["", "+1649367553", "-1649367553", "1649367553.0", "99999999999999999999", "1649367553,1"] {
        let mut map = vector.header_map();
        map.insert(WEBHOOK_TIMESTAMP, HeaderValue::from_static(timestamp));
        let refused = verify(&vector.secrets(), vector.now(), &map, vector.body.as_bytes());
        assert_eq!(refused, Err(Refused::Malformed(WEBHOOK_TIMESTAMP)), "{timestamp}");
    }
}

#[test]
fn the_previous_secret_counts_until_it_expires() {
    let vector = vector("vtoc-callback");
    let previous = Secret::new(&vector.secret).unwrap().until(at(1_000));
    let secrets = [Secret::new("the new one").unwrap(), previous];
    let map = vector.header_map();
    let judge = |now| verify(&secrets, at(now), &map, vector.body.as_bytes());
    assert_eq!(judge(999), Ok(Signed::Body));
    assert_eq!(judge(1_000), Err(Refused::Mismatch));
}

#[test]
fn without_any_secret_nothing_verifies() {
    let vector = vector("vtoc-callback");
    assert_eq!(verify(&[], at(0), &vector.header_map(), vector.body.as_bytes()), Err(Refused::Mismatch));
    assert_eq!(verify(&[], at(0), &HeaderMap::new(), b""), Err(Refused::Missing(CHATKIT_SIGNATURE)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_the_vendors_own_package_signs_is_accepted(
        key in proptest::collection::vec(any::<u8>(), 24..64),
        id in "[a-zA-Z0-9_-]{1,40}",
        body in ".*",
        signed_at in 0_i64..4_000_000_000,
    ) {
        let secret = format!("whsec_{}", STANDARD.encode(&key));
        let signature = standardwebhooks::Webhook::new(&secret).unwrap().sign(&id, signed_at, body.as_bytes()).unwrap();
        let timestamp = signed_at.to_string();
        let map = headers([
            (WEBHOOK_ID, id.as_bytes()),
            (WEBHOOK_TIMESTAMP, timestamp.as_bytes()),
            (WEBHOOK_SIGNATURE, signature.as_bytes()),
        ]);
        let judged = verify(&[Secret::new(&secret).unwrap()], at(signed_at), &map, body.as_bytes());
        prop_assert_eq!(judged, Ok(Signed::Message { id: &id }));
    }
}
