//! Chat deliveries against a database: what is written, what is answered, and that both agree.

use api::Limits;
use futures::future::join_all;
use jobs::{stations::Role, testing::TestDatabase};
use serde_json::json;

use crate::front_door::{FrontDoor, SECRET, signature};

const STATUS: &str = r#"{"channel":"ops-1","text":"@agent status"}"#;

struct Fixture {
    database: TestDatabase,
    front_door: FrontDoor,
}

impl Fixture {
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        database.station("ops-1", Role::Ops).await;
        let front_door = FrontDoor::over(database.database.clone(), Limits::default()).await;
        Self { database, front_door }
    }

    async fn jobs(&self) -> i64 {
        self.database.count("select count(*) from vtoc.job").await
    }

    async fn receipts(&self) -> i64 {
        self.database.count("select count(*) from vtoc.receipt").await
    }
}

#[tokio::test]
async fn a_new_delivery_is_202_with_its_receipt_and_job() {
    let fixture = Fixture::new().await;
    let answered = fixture.front_door.deliver(STATUS.as_bytes()).await;
    assert_eq!(answered.status, 202, "{answered:?}");
    let said = answered.json();
    let mut names: Vec<&String> = said.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["job_id", "receipt_id", "received"]);
    assert_eq!((fixture.jobs().await, fixture.receipts().await), (1, 1));
}

#[tokio::test]
async fn the_same_delivery_ten_times_at_once_over_two_servers_is_one_job() {
    let fixture = Fixture::new().await;
    let second = FrontDoor::over(fixture.database.database.clone(), Limits::default()).await;
    let body = json!({ "id": "evt-1", "channel": "ops-1", "text": "@agent status" }).to_string();
    let doors = [&fixture.front_door, &second];
    let answers = join_all((0..10).map(|copy| doors[copy % 2].deliver(body.as_bytes()))).await;
    assert!(answers.iter().all(|answered| answered.status == 202), "{answers:?}");
    let mut jobs: Vec<String> = answers.iter().map(|answered| answered.json()["job_id"].to_string()).collect();
    jobs.dedup();
    assert_eq!(jobs.len(), 1);
    let repeats = answers.iter().filter(|answered| answered.json()["duplicate"] == json!(true)).count();
    assert_eq!((repeats, fixture.jobs().await, fixture.receipts().await), (9, 1, 1));
}

#[tokio::test]
async fn the_same_id_with_another_body_is_409_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let body = |text| json!({ "id": "evt-1", "channel": "ops-1", "text": text }).to_string();
    assert_eq!(fixture.front_door.deliver(body("@agent status").as_bytes()).await.status, 202);
    let answered = fixture.front_door.deliver(body("@agent help").as_bytes()).await;
    assert_eq!((answered.status, answered.code().as_str()), (409, "delivery_conflict"));
    assert_eq!((fixture.jobs().await, fixture.receipts().await), (1, 1));
}

#[tokio::test]
async fn a_delivery_without_an_id_is_swallowed_for_30_seconds_and_new_afterwards() {
    let fixture = Fixture::new().await;
    let first = fixture.front_door.deliver(STATUS.as_bytes()).await.json();
    let second = fixture.front_door.deliver(STATUS.as_bytes()).await.json();
    assert_eq!((&second["job_id"], &second["duplicate"]), (&first["job_id"], &json!(true)));
    fixture.database.set_clock_ahead(31).await;
    let third = fixture.front_door.deliver(STATUS.as_bytes()).await.json();
    assert_ne!(third["job_id"], first["job_id"]);
    assert_eq!(fixture.jobs().await, 2);
}

#[tokio::test]
async fn a_delivery_that_is_not_believed_or_not_whole_writes_nothing() {
    let fixture = Fixture::new().await;
    let line = "POST /api/v1/chatkit/webhook";
    assert_eq!(fixture.front_door.request(line, &[&signature(b"other")], STATUS.as_bytes()).await.status, 401);
    assert_eq!(fixture.front_door.request(line, &[], STATUS.as_bytes()).await.status, 401);
    assert_eq!(fixture.front_door.deliver(&vec![b' '; 300 * 1024]).await.status, 413);
    assert_eq!(fixture.front_door.deliver(b"not an event").await.status, 400);
    assert_eq!((fixture.jobs().await, fixture.receipts().await), (0, 0));
}

#[tokio::test]
async fn events_with_nothing_to_do_are_202_ignored_with_a_reason() {
    let fixture = Fixture::new().await;
    let typed = json!({ "id": "evt-2", "type": "channel.archived", "channel": "ops-1" }).to_string();
    for body in [typed.as_str(), r#"{"channel":"ops-1","type":"reaction.added","text":"@agent status"}"#] {
        let answered = fixture.front_door.deliver(body.as_bytes()).await;
        let said = answered.json();
        assert_eq!((answered.status, &said["ignored"]), (202, &json!(true)), "{body}: {said}");
        assert!(said["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{said}");
    }
    assert_eq!(fixture.jobs().await, 0);
}

#[tokio::test]
async fn a_signed_delivery_id_is_what_makes_deliveries_the_same() {
    let fixture = Fixture::new().await;
    let deliver = async |id: &str, body: &str| {
        let headers = standard_headers(id, body);
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        fixture.front_door.request("POST /api/v1/chatkit/webhook", &headers, body.as_bytes()).await
    };
    let first = deliver("msg-1", STATUS).await;
    assert_eq!(first.status, 202, "{first:?}");
    assert_eq!(deliver("msg-1", STATUS).await.json()["duplicate"], json!(true));
    assert_eq!(deliver("msg-1", r#"{"channel":"ops-1","text":"@agent help"}"#).await.status, 409);
    assert_eq!(deliver("msg-2", STATUS).await.json()["duplicate"], json!(null));
    assert_eq!(fixture.jobs().await, 2);
}

#[tokio::test]
async fn an_id_too_long_for_a_key_is_400_and_named() {
    let fixture = Fixture::new().await;
    let long = "x".repeat(8_000);
    let body = json!({ "id": &long, "channel": "ops-1", "text": "@agent status" }).to_string();
    let headers = standard_headers(&long, STATUS);
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let signed = fixture.front_door.request("POST /api/v1/chatkit/webhook", &headers, STATUS.as_bytes()).await;
    for answered in [fixture.front_door.deliver(body.as_bytes()).await, signed] {
        assert_eq!((answered.status, answered.code().as_str()), (400, "invalid_id"), "{answered:?}");
        assert_eq!(answered.json()["parameter"], json!("id"));
    }
    assert_eq!((fixture.jobs().await, fixture.receipts().await), (0, 0));
}

/// The three headers, made by the vendor's own package.
fn standard_headers(id: &str, body: &str) -> [String; 3] {
    let now = chrono::Utc::now().timestamp();
    let signer = standardwebhooks::Webhook::from_bytes(SECRET.as_bytes().to_vec()).unwrap();
    let signature = signer.sign(id, now, body.as_bytes()).unwrap();
    [format!("webhook-id: {id}"), format!("webhook-timestamp: {now}"), format!("webhook-signature: {signature}")]
}
