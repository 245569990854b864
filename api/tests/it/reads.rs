//! Reading the fleet: who sees what, and how wrong questions are refused.

use api::Limits;
use jobs::{
    Scope,
    queue::cancel::cancel,
    stations::Role,
    testing::TestDatabase,
    tokens::{self, TokenScope},
};
use serde_json::json;

use crate::front_door::{Answered, FrontDoor};

struct Fixture {
    database: TestDatabase,
    front_door: FrontDoor,
}

impl Fixture {
    /// Two stations with a job each.
    async fn new() -> Self {
        let database = TestDatabase::new().await;
        database.station("ops-1", Role::Ops).await;
        database.station("intel-1", Role::Intel).await;
        let front_door = FrontDoor::over(database.database.clone(), Limits::default()).await;
        for channel in ["ops-1", "intel-1"] {
            let delivered =
                front_door.deliver(json!({ "channel": channel, "text": "@agent status" }).to_string().as_bytes()).await;
            assert_eq!(delivered.status, 202, "{delivered:?}");
        }
        Self { database, front_door }
    }

    async fn token(&self, station: Option<&str>, scope: TokenScope) -> String {
        let name = format!("{station:?} {scope}").replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        tokens::create(&self.database.database, &name, station, &[scope]).await.unwrap().secret
    }

    async fn get(&self, token: &str, path: &str) -> Answered {
        self.front_door.get(path, &[&format!("authorization: Bearer {token}")]).await
    }
}

#[tokio::test]
async fn a_station_sees_its_own_and_the_fleet_sees_all() {
    let fixture = Fixture::new().await;
    let (own, fleet) =
        (fixture.token(Some("ops-1"), TokenScope::Read).await, fixture.token(None, TokenScope::Read).await);
    for path in [
        "/api/v1/jobs",
        "/api/v1/receipts",
        "/api/v1/stations",
        "/api/v1/agent-actions/audits",
        "/api/v1/agentkit/runs",
    ] {
        let count = async |token: &str| fixture.get(token, path).await.json()["items"].as_array().unwrap().len();
        let (of_station, of_fleet) = (count(&own).await, count(&fleet).await);
        assert!(of_station * 2 == of_fleet, "{path}: {of_station} of {of_fleet}");
    }
    let narrowed = fixture.get(&fleet, "/api/v1/jobs?station=intel-1").await.json();
    assert_eq!(narrowed["items"].as_array().unwrap().len(), 1);
    assert_eq!(narrowed["items"][0]["station"], json!("intel-1"));
}

#[tokio::test]
async fn what_is_foreign_looks_like_what_does_not_exist() {
    let fixture = Fixture::new().await;
    let (own, fleet) =
        (fixture.token(Some("ops-1"), TokenScope::Read).await, fixture.token(None, TokenScope::Read).await);
    for list in ["/api/v1/jobs", "/api/v1/receipts", "/api/v1/stations"] {
        let items = fixture.get(&fleet, list).await.json();
        let mut answers = Vec::new();
        for item in items["items"].as_array().unwrap() {
            let id = item["id"].to_string().replace('"', "");
            assert_eq!(fixture.get(&fleet, &format!("{list}/{id}")).await.status, 200, "{list}/{id}");
            answers.push(fixture.get(&own, &format!("{list}/{id}")).await);
        }
        let foreign = answers.into_iter().find(|answered| answered.status != 200).unwrap();
        for unknown in ["0199aaaa-0000-7000-8000-000000000000", "nothing"] {
            let unknown = fixture.get(&own, &format!("{list}/{unknown}")).await;
            assert_eq!((unknown.status, &unknown.body), (404, &foreign.body), "{list}");
        }
    }
}

#[tokio::test]
async fn a_foreign_station_named_outright_is_403_and_an_unknown_one_404_to_the_fleet() {
    let fixture = Fixture::new().await;
    let (own, fleet) =
        (fixture.token(Some("ops-1"), TokenScope::Read).await, fixture.token(None, TokenScope::Read).await);
    assert_eq!(fixture.get(&own, "/api/v1/jobs?station=ops-1").await.status, 200);
    for name in ["intel-1", "nowhere"] {
        let answered = fixture.get(&own, &format!("/api/v1/jobs?station={name}")).await;
        assert_eq!((answered.status, answered.code().as_str()), (403, "foreign_station"), "{name}");
    }
    assert_eq!(fixture.get(&fleet, "/api/v1/jobs?station=nowhere").await.status, 404);
    let hinted = [format!("authorization: Bearer {own}"), "x-toc-station: INTEL_1".to_owned()];
    assert_eq!(fixture.front_door.get("/api/v1/jobs", &[&hinted[0], &hinted[1]]).await.status, 403);
}

#[tokio::test]
async fn a_token_without_the_scope_is_403_and_an_unknown_one_401() {
    let fixture = Fixture::new().await;
    let ingest = fixture.token(Some("ops-1"), TokenScope::Ingest).await;
    let answered = fixture.get(&ingest, "/api/v1/jobs").await;
    assert_eq!((answered.status, answered.code().as_str()), (403, "missing_scope"));
    let answered = fixture.get("vtoc_nobody", "/api/v1/jobs").await;
    assert_eq!((answered.status, answered.code().as_str()), (401, "unauthenticated"));
}

#[tokio::test]
async fn wrong_questions_are_refused_by_the_name_of_the_parameter() {
    let fixture = Fixture::new().await;
    let fleet = fixture.token(None, TokenScope::Read).await;
    for (query, code) in [
        ("limit=0", "invalid_limit"),
        ("limit=501", "invalid_limit"),
        ("cursor=nonsense", "invalid_cursor"),
        ("state=asleep", "invalid_state"),
        ("sate=ready", "unknown_parameter"),
        ("kind=a&kind=b", "invalid_kind"),
    ] {
        let answered = fixture.get(&fleet, &format!("/api/v1/jobs?{query}")).await;
        assert_eq!((answered.status, answered.code().as_str()), (400, code), "{query}");
    }
    let answered = fixture.get(&fleet, "/api/v1/agent-actions/audits?status=asleep").await;
    assert_eq!((answered.status, answered.code().as_str()), (400, "invalid_status"));
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let fixture = Fixture::new().await;
    let fleet = fixture.token(None, TokenScope::Read).await;
    let first = fixture.get(&fleet, "/api/v1/jobs?limit=1").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = fixture.get(&fleet, &format!("/api/v1/jobs?limit=1&cursor={cursor}")).await.json();
    assert_ne!(first["items"][0]["id"], second["items"][0]["id"]);
    assert_eq!(second["next_cursor"], json!(null));
}

#[tokio::test]
async fn a_list_that_has_not_changed_is_304() {
    let fixture = Fixture::new().await;
    let fleet = fixture.token(None, TokenScope::Read).await;
    let bearer = format!("authorization: Bearer {fleet}");
    let first = fixture.front_door.get("/api/v1/stations", &[&bearer]).await;
    let known = format!("if-none-match: {}", first.header("etag").unwrap());
    let again = fixture.front_door.get("/api/v1/stations", &[&bearer, &known]).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    fixture.database.station("log-1", Role::Logistics).await;
    assert_eq!(fixture.front_door.get("/api/v1/stations", &[&bearer, &known]).await.status, 200);
}

#[tokio::test]
async fn a_fleet_without_workers_is_ready_and_says_so() {
    let fixture = Fixture::new().await;
    let answered = fixture.front_door.get("/readyz", &[]).await;
    let said = answered.json();
    assert_eq!((answered.status, &said["workers_live"]), (200, &json!(0)));
    assert!(said["warning"].as_str().is_some_and(|warning| warning.contains("no worker")), "{said}");
}

#[tokio::test]
async fn a_cancelled_job_is_run_again_by_who_may_operate_it() {
    let fixture = Fixture::new().await;
    let (own, other) = (
        fixture.token(Some("ops-1"), TokenScope::Operate).await,
        fixture.token(Some("intel-1"), TokenScope::Operate).await,
    );
    let reader = fixture.token(Some("ops-1"), TokenScope::Read).await;
    let id = fixture.get(&own, "/api/v1/jobs").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let retry = async |token: &str| {
        let path = format!("POST /api/v1/jobs/{id}/retry");
        fixture.front_door.request(&path, &[&format!("authorization: Bearer {token}")], b"").await
    };
    let waiting = retry(&own).await;
    assert_eq!((waiting.status, &waiting.json()["code"]), (409, &json!("not_ended")));
    cancel(&fixture.database.database, Scope::Fleet, id.parse().unwrap(), "no").await.unwrap();
    assert_eq!((retry(&reader).await.status, retry(&other).await.status), (403, 404));
    let again = retry(&own).await;
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("ready")), "{again:?}");
    assert_eq!(retry(&own).await.status, 409);
}
