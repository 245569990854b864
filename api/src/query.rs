//! Query strings, read strictly: a parameter that nobody knows, or that comes twice, is an error rather than a
//! filter that silently doesn't apply.

use jobs::PageRequest;
use url::form_urlencoded;

use crate::error::ApiError;

const LIMIT_MAX: u16 = 500;

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Reads the parameters an endpoint knows.
    pub(crate) fn parse(raw: Option<&str>, known: &[&'static str]) -> Result<Self, ApiError> {
        let mut parameters: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            let known = known.iter().find(|known| **known == name);
            let Some(parameter) = known.copied() else { return Err(ApiError::UnknownParameter(name.into_owned())) };
            if parameters.iter().any(|(have, _)| *have == parameter) {
                return Err(invalid(parameter, "expected once"));
            }
            if value.contains('\0') {
                return Err(invalid(parameter, "expected text without NUL"));
            }
            parameters.push((parameter, value.into_owned()));
        }
        Ok(Self(parameters))
    }

    /// Refuses any parameter.
    pub(crate) fn none(raw: Option<&str>) -> Result<(), ApiError> {
        Self::parse(raw, &[]).map(drop)
    }

    /// The value of a parameter, if it was given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(have, _)| *have == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter as an owned string, if it was given.
    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// Which page is wanted, from `limit` and `cursor`.
    pub(crate) fn page(&self) -> Result<PageRequest, ApiError> {
        let mut page = PageRequest { cursor: self.owned("cursor"), ..PageRequest::default() };
        if let Some(limit) = self.get("limit") {
            let limit = limit.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
            page.limit = limit.ok_or_else(|| invalid("limit", "expected 1 to 500"))?;
        }
        Ok(page)
    }
}

/// A parameter whose value isn't one it takes.
pub(crate) fn invalid(parameter: &'static str, detail: &str) -> ApiError {
    ApiError::InvalidParameter { parameter, detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["limit", "cursor", "kind"];

    fn parse(raw: &str) -> Result<Query, ApiError> {
        Query::parse(Some(raw), KNOWN)
    }

    #[test]
    fn values_are_decoded() {
        let query = parse("kind=run%20it+now&cursor=1.2").unwrap();
        assert_eq!(query.get("kind"), Some("run it now"));
        assert_eq!(query.page().unwrap().cursor.as_deref(), Some("1.2"));
        assert_eq!(query.get("limit"), None);
        assert_eq!(parse("").unwrap().page().unwrap().limit, 50);
    }

    #[test]
    fn an_unknown_parameter_is_named() {
        assert!(matches!(parse("limit=1&Kind=x"), Err(ApiError::UnknownParameter(name)) if name == "Kind"));
        assert!(Query::none(None).is_ok());
        assert!(Query::none(Some("a")).is_err());
    }

    #[test]
    fn a_parameter_that_comes_twice_or_holds_a_nul_is_refused() {
        assert!(matches!(parse("kind=a&kind=a"), Err(ApiError::InvalidParameter { parameter: "kind", .. })));
        assert!(matches!(parse("kind=%00"), Err(ApiError::InvalidParameter { parameter: "kind", .. })));
    }

    #[test]
    fn a_limit_is_1_to_500() {
        for good in ["1", "500"] {
            assert!(parse(&format!("limit={good}")).unwrap().page().is_ok(), "{good}");
        }
        for bad in ["0", "501", "-1", "", "ten", "1.5", "65537"] {
            assert!(
                matches!(
                    parse(&format!("limit={bad}")).unwrap().page(),
                    Err(ApiError::InvalidParameter { parameter: "limit", .. })
                ),
                "{bad}"
            );
        }
    }
}
