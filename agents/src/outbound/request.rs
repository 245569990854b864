//! A request. Headers that carry secrets are never shown: neither by `Debug` nor in an error.

use std::fmt;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use url::Url;

use super::Error;

/// The methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Create or do.
    Post,
    /// Create or replace by name.
    Put,
}

/// One request.
#[derive(Clone)]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// A header that couldn't be one; said when the request is sent.
    bad_header: Option<&'static str>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host();
        f.debug_struct("Request").field("method", &self.method).field("host", &host).finish_non_exhaustive()
    }
}

impl Request {
    /// A request without headers and body.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), body: Bytes::new(), bad_header: None }
    }

    /// With a header; `name` in small letters.
    #[must_use]
    pub fn header(self, name: &'static str, value: &str) -> Self {
        self.with(HeaderName::from_static(name), name, value)
    }

    /// With `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer(self, secret: &str) -> Self {
        self.with(AUTHORIZATION, "authorization", &format!("Bearer {secret}"))
    }

    /// With a JSON body.
    #[must_use]
    pub fn json<T: Serialize>(self, body: &T) -> Self {
        let body = serde_json::to_vec(body).expect("invariant: what is sent can be written as JSON");
        Self { body: body.into(), ..self }.with(CONTENT_TYPE, "content-type", "application/json")
    }

    /// With a name and value in the URL's query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    fn with(mut self, name: HeaderName, plain_name: &'static str, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(name == AUTHORIZATION);
                self.headers.push((name, value));
            }
            Err(_) => self.bad_header = Some(plain_name),
        }
        self
    }

    pub(super) fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }

    pub(super) fn into_reqwest(self) -> Result<reqwest::Request, Error> {
        if let Some(name) = self.bad_header {
            let why = format!("not sent: the header {name} has characters that no header can have");
            return Err(Error::Malformed { host: self.host(), why });
        }
        let method = match self.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let mut request = reqwest::Request::new(method, self.url);
        request.headers_mut().extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)));
        if !self.body.is_empty() {
            *request.body_mut() = Some(self.body.into());
        }
        Ok(request)
    }
}
