//! The chat contract: channels and messages over HTTP, the same for the chat that ships with the fleet and for an outside
//! one. Posting twice with one idempotency key is posting once. Nothing is retried here.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::outbound::{Client, Error, Method, Request};

/// A chat service.
#[derive(Clone)]
pub struct Chat {
    client: Client,
    base_url: Url,
    api_key: String,
    org: Option<String>,
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").field("host", &self.base_url.host_str()).field("org", &self.org).finish_non_exhaustive()
    }
}

/// What to post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The text.
    pub text: String,
    /// The thread it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// An object for programs.
    #[serde(default)]
    pub metadata: Value,
}

/// A message that was posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// Its id.
    pub id: String,
    /// The channel's slug.
    pub channel: String,
    /// Its thread, its own when it began one.
    pub thread: Option<String>,
    /// When the service took it.
    pub created_at: DateTime<Utc>,
}

/// A message as a channel lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Who, where, when.
    #[serde(flatten)]
    pub posted: Posted,
    /// The text.
    pub text: String,
    /// An object for programs.
    #[serde(default)]
    pub metadata: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Listing {
    Page { items: Vec<Listed> },
    Wrapped { messages: Vec<Listed> },
    Bare(Vec<Listed>),
}

impl Chat {
    /// A service at `base_url`; its paths begin below it. The client's policy must allow the host.
    #[must_use]
    pub fn new(client: Client, base_url: Url, api_key: String, org: Option<String>) -> Self {
        Self { client, base_url, api_key, org }
    }

    /// Which host posts go to, for records of them.
    #[must_use]
    pub fn host(&self) -> &str {
        self.base_url.host_str().unwrap_or_default()
    }

    /// Makes sure that a channel exists.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn put_channel(&self, slug: &str) -> Result<(), Error> {
        let request = self.request(Method::Put, &["v1", "channels", slug])?;
        self.client.send(request).await.map(|_| ())
    }

    /// Posts a message; the same key gives the same message again.
    ///
    /// # Errors
    /// As [`Client::send`]; [`Error::Malformed`] when the answer isn't a posted message.
    pub async fn post(&self, channel: &str, message: &Message, idempotency_key: &str) -> Result<Posted, Error> {
        let request = self
            .request(Method::Post, &["v1", "channels", channel, "messages"])?
            .header("idempotency-key", idempotency_key)
            .json(message);
        self.client.send(request).await?.json()
    }

    /// The newest messages of a channel, at most `limit`, in the service's order.
    ///
    /// # Errors
    /// As [`Client::send`]; [`Error::Malformed`] when the answer isn't a list of messages.
    pub async fn messages(&self, channel: &str, limit: u32) -> Result<Vec<Listed>, Error> {
        let request = self.request(Method::Get, &["v1", "channels", channel, "messages"])?;
        let request = request.query("limit", &limit.to_string());
        Ok(match self.client.send(request).await?.json()? {
            Listing::Page { items: messages } | Listing::Wrapped { messages } | Listing::Bare(messages) => messages,
        })
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<Request, Error> {
        let host = || self.base_url.host_str().unwrap_or_default().to_owned();
        // Such a segment would lead to another path, whatever it is escaped to.
        if path.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(Error::Malformed { host: host(), why: "not sent: a channel needs a name".into() });
        }
        let mut url = self.base_url.clone();
        url.path_segments_mut().map_err(|()| Error::Blocked { host: host() })?.pop_if_empty().extend(path);
        let request = Request::new(method, url).bearer(&self.api_key);
        Ok(match &self.org {
            Some(org) => request.header("x-chatkit-org", org),
            None => request,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::outbound::tests::{Server, answered, client_for, serve};

    async fn chat_answering(body: &str) -> (Chat, Server) {
        let server = serve(answered("200 OK", body)).await;
        let base_url = format!("http://{}/chatkit/", server.address).parse().unwrap();
        (Chat::new(client_for(server.address), base_url, "s3cret".into(), Some("org-1".into())), server)
    }

    #[tokio::test]
    async fn a_post_follows_the_contract() {
        let posted = r#"{"id":"m1","channel":"ops floor","thread":"t1","created_at":"2026-11-22T08:23:11Z"}"#;
        let (chat, server) = chat_answering(posted).await;
        let message = Message { text: "hello".into(), thread: Some("t1".into()), metadata: json!({"run_id": "r1"}) };
        assert_eq!(chat.post("ops floor", &message, "job-1/post").await.unwrap().id, "m1");
        let sent = server.requests.lock().unwrap()[0].clone();
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /chatkit/v1/channels/ops%20floor/messages HTTP/1.1"), "{head}");
        for header in ["authorization: Bearer s3cret", "x-chatkit-org: org-1", "idempotency-key: job-1/post"] {
            assert!(head.contains(header), "{head}");
        }
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), serde_json::to_value(&message).unwrap());
        assert!(!format!("{chat:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn messages_may_be_wrapped_or_bare() {
        let one = r#"{"id":"m1","channel":"c","thread":null,"created_at":"2026-11-22T08:23:11Z","text":"x"}"#;
        for body in [format!("[{one}]"), format!("{{\"messages\":[{one}]}}")] {
            let (chat, server) = chat_answering(&body).await;
            assert_eq!(chat.messages("c", 5).await.unwrap()[0].text, "x");
            assert!(server.requests.lock().unwrap()[0].starts_with("GET /chatkit/v1/channels/c/messages?limit=5 "));
        }
    }

    #[tokio::test]
    async fn a_channel_is_put_by_name_and_cannot_climb() {
        let (chat, server) = chat_answering("{}").await;
        chat.put_channel("toc/../s1").await.unwrap();
        assert!(server.requests.lock().unwrap()[0].starts_with("PUT /chatkit/v1/channels/toc%2F..%2Fs1 "));
        assert!(matches!(chat.put_channel("..").await, Err(Error::Malformed { .. })));
    }

    #[tokio::test]
    async fn an_answer_of_another_shape_is_malformed_and_not_quoted() {
        let (chat, _server) = chat_answering(r#"{"private":"words"}"#).await;
        let message = Message { text: "x".into(), thread: None, metadata: Value::Null };
        let error = chat.post("c", &message, "k").await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }) && !error.to_string().contains("private"), "{error}");
    }
}
