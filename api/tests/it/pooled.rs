//! The program behind a PgBouncer in transaction mode, with more requests at once than there are sessions.

use futures::future::join_all;
use jobs::{
    stations::Role,
    testing::{Pooler, TestDatabase},
};

use crate::{
    front_door,
    process::{deliver, said_to, started},
};

const ADMIN: &str = "an-admin-token-of-a-test-that-is-long-enough";

#[tokio::test]
async fn it_takes_deliveries_and_shows_them_over_two_sessions() {
    let database = TestDatabase::new().await;
    database.station("ops-1", Role::Ops).await;
    let pooler = Pooler::start(&database.url, 2).await;
    let started = started(&[
        ("CHATKIT_WEBHOOK_SECRET", front_door::SECRET),
        ("VTOC_ADMIN_TOKEN", ADMIN),
        ("VTOC_POLL_ONLY", "1"),
        ("DATABASE_URL", &pooler.url),
    ])
    .await;
    let bodies: Vec<String> =
        (0..60).map(|n| format!(r#"{{"id":"evt-{n}","channel":"ops-1","text":"@agent status"}}"#)).collect();
    let answers = join_all(bodies.iter().map(|body| deliver(&started.address, body))).await;
    assert!(answers.iter().all(|said| said.starts_with("HTTP/1.1 202 ")), "{answers:?}");
    assert_eq!(database.count("select count(*) from vtoc.job").await, 60);
    let paths = [
        "readyz",
        "api/v1/jobs",
        "api/v1/jobs?state=ready",
        "api/v1/receipts",
        "api/v1/agent-actions/audits",
        "api/v1/agentkit/runs",
        "api/v1/stations",
    ];
    for path in paths {
        let said = said_to(
            &started.address,
            &format!("GET /{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {ADMIN}\r\n\r\n"),
        )
        .await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{path}: {said}");
    }
    assert_eq!(pooler.statements_left().await, 0);
}
