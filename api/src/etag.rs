//! Entity tags of answers (RFC 9110 §8.8.3): a hash of the body, compared weakly.

use hyper::{
    HeaderMap,
    header::{self, HeaderValue},
};
use sha2::{Digest, Sha256};

/// The name of one body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ETag(String);

impl ETag {
    /// The tag of this body.
    pub(crate) fn of(body: &[u8]) -> Self {
        let hash = Sha256::digest(body);
        Self(format!("\"{}\"", hex::encode(&hash[..16])))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(&self.0).expect("quotes and hex digits")
    }
}

/// Whether `If-None-Match` lists the tag.
pub(crate) fn is_known(headers: &HeaderMap, tag: &ETag) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let mut listed = values.flat_map(|value| value.split(',')).map(str::trim);
    listed.any(|listed| listed == "*" || listed.strip_prefix("W/").unwrap_or(listed) == tag.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(value: &str, tag: &ETag) -> bool {
        is_known(&HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(value).unwrap())]), tag)
    }

    #[test]
    fn a_tag_is_found_in_lists_weak_or_strong() {
        let tag = ETag::of(b"body");
        for value in [tag.0.clone(), format!("W/{}", tag.0), format!("\"other\", {}", tag.0), "*".to_owned()] {
            assert!(known(&value, &tag), "{value}");
        }
        assert!(!known("\"other\"", &tag));
        assert!(!known(tag.0.trim_matches('"'), &tag));
        assert!(!is_known(&HeaderMap::new(), &tag));
    }
}
