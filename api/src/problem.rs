//! RFC 9457 problem documents: the one shape of every error answer. What went wrong is `error`'s to say.

use hyper::{StatusCode, header};
use serde::Serialize;
use warp::reply::Response;

/// The body of an error answer.
#[derive(Debug, Serialize)]
pub(crate) struct Problem<'a> {
    /// There is no page per error: RFC 9457 calls that `about:blank`, and then the title is the status' own phrase.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// Stable: programs may match on it.
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// The request parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
}

impl<'a> Problem<'a> {
    /// A problem of this status and code, with a sentence for people.
    pub(crate) fn new(status: StatusCode, code: &'a str, detail: &'a str) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: Some(detail).filter(|detail| !detail.is_empty()),
            parameter: None,
        }
    }

    /// The same problem, naming the parameter.
    pub(crate) fn about(self, parameter: Option<&'a str>) -> Self {
        Self { parameter, ..self }
    }

    /// The answer that carries it.
    pub(crate) fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("strings and a number always serialize");
        let mut response = Response::new(body.into());
        *response.status_mut() = StatusCode::from_u16(self.status).expect("it was made from a status");
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        response
    }
}
