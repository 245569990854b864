//! A front door in this process and a client that writes raw bytes, so that a test can say exactly what is on the
//! wire.

use std::net::SocketAddr;

use api::{Config, Limits, Webhooks, config::WebhookSettings};
use jobs::{ConnectOptions, Database, Wake, accept::Door};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The secret of `signed`.
pub(crate) const SECRET: &str = "a secret between a test and itself";
/// The bearer of the built-in chat.
pub(crate) const CHAT_KEY: &str = "the-key-of-the-chat";

/// A front door that closes with the test.
pub(crate) struct FrontDoor {
    pub(crate) address: SocketAddr,
    _shutdown: DropGuard,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answered {
    fn parse(said: &str) -> Self {
        let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {said:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl FrontDoor {
    /// One over this database.
    pub(crate) async fn over(database: Database, limits: Limits) -> Self {
        let settings = WebhookSettings { secret: Some(SECRET.to_owned()), ..WebhookSettings::default() };
        let webhooks = Webhooks::from_settings(&settings).unwrap();
        let config = Config { webhooks, admin_token: None, chat_key: Some(CHAT_KEY.to_owned()), limits };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(api::serve(config, database, door(), listener, shutdown.clone()));
        Self { address, _shutdown: shutdown.drop_guard() }
    }

    /// One whose database is away.
    pub(crate) async fn without_database(limits: Limits) -> Self {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let options =
            ConnectOptions { acquire_timeout: std::time::Duration::from_millis(300), ..ConnectOptions::default() };
        Self::over(Database::connect_lazy(&format!("postgres://nobody@{closed}/nothing"), &options).unwrap(), limits)
            .await
    }

    /// What is answered to these bytes before the connection closes.
    pub(crate) async fn say(&self, bytes: &[u8]) -> Answered {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        Self::rest(stream).await
    }

    /// What is answered to a request with these header lines and this body.
    pub(crate) async fn request(&self, line: &str, headers: &[&str], body: &[u8]) -> Answered {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.say(&[head.as_bytes(), body].concat()).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[&str]) -> Answered {
        self.request(&format!("GET {path}"), headers, b"").await
    }

    /// Posts a body that `SECRET` signs.
    pub(crate) async fn deliver(&self, body: &[u8]) -> Answered {
        self.request("POST /api/v1/chatkit/webhook", &[&signature(body)], body).await
    }

    pub(crate) async fn rest(mut stream: TcpStream) -> Answered {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        Answered::parse(&String::from_utf8(said).unwrap())
    }
}

/// The header line of the plain scheme, made without the code under test.
pub(crate) fn signature(body: &[u8]) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    format!("X-ChatKit-Signature: {}", hex::encode(mac.finalize().into_bytes()))
}

fn door() -> Door {
    Door::new(None, None, Wake::silent()).unwrap()
}
