//! Path templates: `/api/v1/jobs/{id}` against the raw path of a request. No trailing slash is forgiven, and what is
//! captured is percent-decoded once.

use percent_encoding::percent_decode_str;

/// The values of the template's `{…}` segments in `path`, in order; nothing when it is another path.
pub(crate) fn captures(template: &str, path: &str) -> Option<Vec<String>> {
    let mut wanted = template.split('/');
    let mut given = path.split('/');
    let mut captured = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(captured),
            (Some(wanted), Some(given)) if wanted.starts_with('{') => captured.push(decode(given)?),
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

/// Nothing we name is empty or holds a NUL, which no text column could be asked for.
fn decode(segment: &str) -> Option<String> {
    let decoded = percent_decode_str(segment).decode_utf8().ok()?;
    (!decoded.is_empty() && !decoded.contains('\0')).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(path: &str) -> Option<Vec<String>> {
        captures("/chat/{slug}/messages", path)
    }

    #[test]
    fn segments_are_captured_and_decoded_once() {
        assert_eq!(captured("/chat/ops/messages"), Some(vec!["ops".to_owned()]));
        assert_eq!(captured("/chat/caf%C3%A9%2F%2541+/messages"), Some(vec!["café/%41+".to_owned()]));
        assert_eq!(captures("/healthz", "/healthz"), Some(Vec::new()));
    }

    #[test]
    fn other_paths_do_not_match() {
        for other in [
            "/chat/ops/messages/",
            "/chat/ops",
            "/chat//messages",
            "chat/ops/messages",
            "/chat/ops/Messages",
            "//chat/ops/messages",
        ] {
            assert_eq!(captured(other), None, "{other}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_match_nothing() {
        assert_eq!(captured("/chat/%FF/messages"), None);
        assert_eq!(captured("/chat/a%00b/messages"), None);
    }
}
