//! The only HTTP client there is. Every call has a deadline, a cap on what is read, and an address filter that sits in
//! the resolver of the connection itself, so that a name can't be checked as one address and connected as another. No
//! redirects, no proxies, no unpacking of answers. Retrying is the caller's.

mod address;
mod error;
mod policy;
mod request;
mod resolver;
mod response;

use std::sync::Arc;

use reqwest::redirect;
use url::Url;

pub use address::is_public;
pub use error::Error;
pub use policy::{HostPort, Policy};
pub use request::{Method, Request};
pub use response::Response;

/// Sends requests within a [`Policy`]. Cloning shares connections.
#[derive(Clone)]
pub struct Client {
    policy: Arc<Policy>,
    /// For hosts on the policy's list: connects to any address.
    listed: reqwest::Client,
    /// For all others: connects to public addresses only.
    public: reqwest::Client,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for that policy.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when the machine has no usable certificates.
    pub fn new(policy: Policy) -> Result<Self, Error> {
        // Whichever provider is installed already serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .retry(reqwest::retry::never())
                .http1_only()
                .connect_timeout(policy.connect_timeout)
                .timeout(policy.total_timeout)
                .user_agent(concat!("vtoc/", env!("CARGO_PKG_VERSION")))
        };
        let built = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|_| Error::Unreachable { host: "any".into(), why: "no TLS on this machine".into() })
        };
        Ok(Self {
            listed: built(builder())?,
            public: built(builder().dns_resolver(Arc::new(resolver::Public)))?,
            policy: Arc::new(policy),
        })
    }

    /// Sends one request and reads its whole answer.
    ///
    /// # Errors
    /// [`Error`] for everything but a 2xx answer within the limits.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let deadline = self.policy.total_timeout;
        let host = request.host();
        match tokio::time::timeout(deadline, self.send_unbounded(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Unreachable { host, why: format!("no whole answer within {deadline:?}") }),
        }
    }

    async fn send_unbounded(&self, request: Request) -> Result<Response, Error> {
        let host = request.host();
        let client = self.choose(&request.url)?;
        let sent = client.execute(request.into_reqwest()?).await;
        let answer = sent.map_err(|error| Error::of_transport(&host, &error))?;
        response::read(answer, &host, self.policy.response_bytes_max).await
    }

    /// The client that may talk to this address.
    fn choose(&self, url: &Url) -> Result<&reqwest::Client, Error> {
        let blocked = || Error::Blocked { host: url.host_str().unwrap_or_default().to_owned() };
        let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(blocked());
        };
        if !plain {
            return Err(blocked());
        }
        if self.policy.lists(&host, port) {
            return Ok(&self.listed);
        }
        // A literal address never reaches the resolver, so it is filtered here.
        let literal_is_public = match host {
            url::Host::Ipv4(address) => is_public(address.into()),
            url::Host::Ipv6(address) => is_public(address.into()),
            url::Host::Domain(_) => true,
        };
        if literal_is_public && policy::PORTS.contains(&port) { Ok(&self.public) } else { Err(blocked()) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
