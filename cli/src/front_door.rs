//! The fleet's own HTTP doors as seen from outside: requests with a bearer, answers as JSON. Nothing here knows what the
//! answers mean.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How much of a refusal is shown.
const REFUSAL_CHARS: usize = 400;

/// A fleet at a base URL, and who asks. No debug output: it holds a bearer.
#[derive(Clone)]
pub(crate) struct FrontDoor {
    client: Client,
    base: String,
    bearer: String,
}

impl FrontDoor {
    /// `base` is scheme, host and port, without a slash at its end.
    pub(crate) fn new(base: impl Into<String>, bearer: impl Into<String>) -> Result<FrontDoor> {
        // Somebody else in this process may have chosen a provider already; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(REQUEST_DEADLINE).build().context("make an HTTP client")?;
        Ok(FrontDoor { client, base: base.into(), bearer: bearer.into() })
    }

    /// The JSON at a path, which begins with a slash. Any answer but a success is an error.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        answer(self.request(Method::GET, path).bearer_auth(&self.bearer), path).await
    }

    /// Sends a body as it stands, signed: the way webhooks come in.
    pub(crate) async fn post_signed(&self, path: &str, body: String, signature: String) -> Result<Value> {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json")
            .header("x-chatkit-signature", signature);
        answer(request.body(body), path).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }
}

async fn answer(request: RequestBuilder, path: &str) -> Result<Value> {
    let response = request.send().await.with_context(|| format!("ask {path}"))?;
    if !response.status().is_success() {
        return refusal(response, path).await;
    }
    response.json().await.with_context(|| format!("read the answer of {path}"))
}

async fn refusal(response: Response, path: &str) -> Result<Value> {
    let status = response.status();
    let body: String = response.text().await.unwrap_or_default().chars().take(REFUSAL_CHARS).collect();
    bail!("{path} answered {status}: {body}")
}
