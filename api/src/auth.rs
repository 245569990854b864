//! Who calls: bearer tokens, their scopes, and which station's rows a request is about. Webhooks prove themselves by
//! signature instead.

use hyper::{HeaderMap, header};
use jobs::{
    Database, Scope,
    stations::{self, Station},
    tokens::{self, Principal, TokenScope},
};
use subtle::ConstantTimeEq;

use crate::{endpoint::Call, error::ApiError, station_hint};

/// The caller, if its token allows `needed`.
pub(crate) async fn caller(call: &Call, needed: TokenScope) -> Result<Principal, ApiError> {
    let token = bearer(&call.headers).ok_or(ApiError::Unauthenticated)?;
    let principal = tokens::authenticate(&call.shared.database, token).await?.ok_or(ApiError::Unauthenticated)?;
    if principal.may(needed) { Ok(principal) } else { Err(ApiError::MissingScope(needed)) }
}

/// Whether the request bears exactly this key; an unset key opens nothing.
pub(crate) fn bears(headers: &HeaderMap, key: Option<&str>) -> Result<(), ApiError> {
    match (bearer(headers), key) {
        (Some(token), Some(key)) if token.as_bytes().ct_eq(key.as_bytes()).into() => Ok(()),
        _ => Err(ApiError::Unauthenticated),
    }
}

/// What a list shows: what the caller may see, narrowed to the station that the request names.
pub(crate) async fn narrowed(call: &Call, caller: &Principal, parameter: Option<&str>) -> Result<Scope, ApiError> {
    let hint = station_hint::from_headers(&call.headers);
    match parameter.or(hint.as_deref()) {
        Some(name) => named(&call.shared.database, caller, name).await,
        None => Ok(caller.scope()),
    }
}

async fn named(database: &Database, caller: &Principal, name: &str) -> Result<Scope, ApiError> {
    match &caller.station {
        Some(own) if is(own, name) => Ok(Scope::Station(own.id)),
        Some(_) => Err(ApiError::ForeignStation),
        None => {
            let station = stations::find(database, Scope::Fleet, name).await?.ok_or(ApiError::NotFound)?;
            Ok(Scope::Station(station.id))
        }
    }
}

fn is(station: &Station, name: &str) -> bool {
    station.slug == name || station.id.0.to_string() == name
}

/// The token of the one `Authorization` header, when its scheme is `Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let (only, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let usable = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ');
    usable.then_some(token)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_bearer_token_is_read_from_exactly_one_header() {
        assert_eq!(bearer(&headers(&["Bearer abc"])), Some("abc"));
        assert_eq!(bearer(&headers(&["bearer  abc "])), Some("abc"));
        for bad in ["Basic abc", "Bearer", "Bearer ", "Bearer a b", "abc"] {
            assert_eq!(bearer(&headers(&[bad])), None, "{bad}");
        }
        assert_eq!(bearer(&headers(&[])), None);
    }

    #[test]
    fn an_unset_key_opens_nothing() {
        assert!(bears(&headers(&["Bearer k3y"]), Some("k3y")).is_ok());
        assert!(bears(&headers(&["Bearer k3"]), Some("k3y")).is_err());
        assert!(bears(&headers(&["Bearer k3y"]), None).is_err());
        assert!(bears(&headers(&[]), Some("k3y")).is_err());
    }

    #[test]
    fn two_authorization_headers_are_none() {
        let mut twice = headers(&["Bearer abc"]);
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer abc"));
        assert_eq!(bearer(&twice), None);
    }
}
