//! Headers in which a sender may say which station it means. A hint chooses among what the caller may see; it opens
//! nothing.

use hyper::HeaderMap;

/// In order of precedence.
const HEADERS: [&str; 4] = ["x-station-id", "x-station-slug", "x-chatkit-station", "x-toc-station"];

/// The first hint that isn't blank, written as slugs are: lower case, `-` for `_`.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<String> {
    HEADERS
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|value| value.to_str().ok())
        .map(|value| value.trim().to_ascii_lowercase().replace('_', "-"))
        .find(|hint| !hint.is_empty())
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn hint(pairs: &[(&'static str, &'static str)]) -> Option<String> {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        from_headers(&pairs.collect())
    }

    #[test]
    fn hints_are_written_as_slugs() {
        assert_eq!(hint(&[("x-toc-station", " OPS_Alpha ")]).as_deref(), Some("ops-alpha"));
        assert_eq!(hint(&[]), None);
    }

    #[test]
    fn the_first_hint_that_is_not_blank_wins() {
        let hints =
            [("x-toc-station", "d"), ("x-chatkit-station", "c"), ("x-station-slug", "b"), ("x-station-id", " ")];
        assert_eq!(hint(&hints).as_deref(), Some("b"));
    }
}
