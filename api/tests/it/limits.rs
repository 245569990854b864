//! What is answered without a database: refusals, limits, and its absence.

use std::time::Duration;

use api::Limits;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::front_door::{CHAT_KEY, FrontDoor, signature};

const WEBHOOK: &str = "POST /api/v1/chatkit/webhook";

async fn front_door() -> FrontDoor {
    FrontDoor::without_database(Limits::default()).await
}

#[tokio::test]
async fn a_believed_delivery_without_the_database_is_503_with_a_time_to_retry() {
    let answered = front_door().await.deliver(br#"{"text":"@agent status"}"#).await;
    assert_eq!((answered.status, answered.code().as_str()), (503, "unavailable"));
    assert_eq!(answered.header("retry-after"), Some("2"));
    assert_eq!(answered.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn every_bad_signature_gets_the_same_answer() {
    let front_door = front_door().await;
    let body = br#"{"text":"hello"}"#;
    let (other, own) = (signature(b"another body"), signature(body));
    let mut bodies = Vec::new();
    for headers in [vec![], vec![other.as_str()], vec![&own, &own], vec![&own, "webhook-id: 1"]] {
        let answered = front_door.request(WEBHOOK, &headers, body).await;
        assert_eq!((answered.status, answered.code().as_str()), (401, "bad_signature"), "{headers:?}");
        bodies.push(answered.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
}

#[tokio::test]
async fn a_signed_body_that_is_no_event_is_400() {
    let front_door = front_door().await;
    let malformed: [&[u8]; 7] = [
        b"",
        b"{",
        b"[]",
        br#"{"text":7}"#,
        b"{\"text\":\"\xff\"}",
        br#"{"text":"a\u0000b"}"#,
        br#"{"channel":"ops"}"#,
    ];
    for body in malformed {
        let answered = front_door.deliver(body).await;
        assert_eq!((answered.status, answered.code().as_str()), (400, "malformed_body"), "{body:?}");
    }
}

#[tokio::test]
async fn an_announced_body_over_the_cap_is_413() {
    let front_door = front_door().await;
    assert_eq!(front_door.deliver(&vec![b'x'; 256 * 1024]).await.status, 400);
    let answered = front_door.deliver(&vec![b'x'; 256 * 1024 + 1]).await;
    assert_eq!((answered.status, answered.code().as_str()), (413, "body_too_large"));
}

#[tokio::test]
async fn a_body_of_unannounced_length_is_413_once_it_is_over_the_cap() {
    let front_door = front_door().await;
    let chunk = format!("{:x}\r\n{}\r\n", 64 * 1024, "x".repeat(64 * 1024));
    let head = format!("{WEBHOOK} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    // Never ended: the answer comes while the sender still could go on.
    let answered = front_door.say(format!("{head}{}", chunk.repeat(5)).as_bytes()).await;
    assert_eq!(answered.status, 413);
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408() {
    let limits = Limits { body_deadline: Duration::from_millis(50), ..Limits::default() };
    let front_door = FrontDoor::without_database(limits).await;
    let head = format!("{WEBHOOK} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\nfive!");
    let answered = front_door.say(head.as_bytes()).await;
    assert_eq!((answered.status, answered.code().as_str()), (408, "body_too_slow"));
}

#[tokio::test]
async fn a_sender_that_breaks_off_is_told_nothing_and_leaves_the_door_open() {
    let front_door = front_door().await;
    let mut stream = TcpStream::connect(front_door.address).await.unwrap();
    let head = format!("{WEBHOOK} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nfive!");
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    assert_eq!(front_door.get("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn compressed_webhooks_are_not_read() {
    let body = br#"{"text":"hello"}"#;
    let answered = front_door().await.request(WEBHOOK, &[&signature(body), "content-encoding: gzip"], body).await;
    assert_eq!((answered.status, answered.code().as_str()), (415, "content_encoding"));
}

#[tokio::test]
async fn what_is_not_routed_is_404_and_other_methods_are_405() {
    let front_door = front_door().await;
    for path in ["/", "/api/v1/nothing", "/healthz/", "/api/v1/stations/", "//healthz", "/api/v1/chatkit/webhook/"] {
        let answered = front_door.get(path, &[]).await;
        assert_eq!((answered.status, answered.code().as_str()), (404, "not_found"), "{path}");
    }
    let answered = front_door.get("/api/v1/chatkit/webhook", &[]).await;
    assert_eq!((answered.status, answered.header("allow")), (405, Some("post")));
    assert_eq!(front_door.request("HEAD /healthz", &[], b"").await.body, "");
}

#[tokio::test]
async fn the_process_is_healthy_without_its_database_but_not_ready() {
    let front_door = front_door().await;
    assert_eq!(front_door.get("/healthz", &[]).await.body, r#"{"status":"ok"}"#);
    let ready = front_door.get("/readyz", &[]).await;
    assert_eq!((ready.status, ready.header("retry-after")), (503, Some("2")));
}

#[tokio::test]
async fn reads_without_a_token_are_401_and_say_how_to_come_back() {
    let front_door = front_door().await;
    for path in [
        "/api/v1/jobs",
        "/api/v1/jobs/x",
        "/api/v1/receipts",
        "/api/v1/agent-actions/audits",
        "/api/v1/stations",
        "/api/v1/agentkit/runs",
    ] {
        let answered = front_door.get(path, &[]).await;
        assert_eq!((answered.status, answered.header("www-authenticate")), (401, Some("bearer")), "{path}");
    }
}

#[tokio::test]
async fn the_built_in_chat_opens_to_its_key_only() {
    let front_door = front_door().await;
    let right = format!("authorization: Bearer {CHAT_KEY}");
    for wrong in [&[][..], &["authorization: Bearer another key"], &["authorization: Bearer "]] {
        assert_eq!(front_door.request("PUT /chatkit/v1/channels/ops", wrong, b"").await.status, 401, "{wrong:?}");
    }
    let answered = front_door.request("PUT /chatkit/v1/channels/ops", &[&right, "x-chatkit-org: acme"], b"").await;
    assert_eq!(answered.status, 503);
}
