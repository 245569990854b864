//! A database whose wires are dead: every call ends at its deadline, a transaction in the middle too, and a pool full of
//! such wires gives way to a fresh one.

use std::time::{Duration, Instant};

use futures::future::{FutureExt, LocalBoxFuture, join_all};
use jobs::{
    ConnectOptions, Database, Error, JobId, POOL_TIMEOUTS_MAX, PageRequest, Scope, Wake,
    accept::{ChatMessage, Delivery, Door, chat_message},
    audits, chat, inspect, migrate, provision,
    queue::{
        Attempt, Claim,
        cancel::cancel,
        claim::{claim, claim_suspect, look},
        enqueue,
        finish::finish,
        history::make_partitions,
        lease::{Renewer, clear_blame},
        sweep::{report_death, sweep},
        wake::Listener,
    },
    receipts, runs,
    stations::{self, NewStation, Role},
    testing::TestDatabase,
    tokens::{self, TokenScope},
    workers::{self, NewWorker},
};
use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{
    fleet::{Fleet, LEASE, job, lane},
    proxy::Proxy,
};

/// Of each call in these tests.
const DEADLINE: Duration = Duration::from_secs(2);
/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(3);

fn options(connections_max: u32) -> ConnectOptions {
    ConnectOptions { connections_max, acquire_timeout: DEADLINE, deadline: DEADLINE, ..ConnectOptions::default() }
}

type Call<'a> = (&'static str, LocalBoxFuture<'a, Result<(), Error>>);

/// A call whose answer doesn't matter: there is none.
fn call<'a, T: 'a>(name: &'static str, work: impl Future<Output = Result<T, Error>> + 'a) -> Call<'a> {
    (name, work.map(|answer| answer.map(drop)).boxed_local())
}

/// Makes all calls at once; each must end as the deadline says.
async fn all_end_in_time(calls: Vec<Call<'_>>, deadline: Duration) {
    let started = Instant::now();
    let ended = calls.into_iter().map(|(name, work)| async move {
        let answer = tokio::time::timeout(deadline + SLACK, work).await;
        assert!(matches!(&answer, Ok(Err(error)) if error.is_transient()), "{name}: {answer:?}");
    });
    join_all(ended).await;
    assert!(started.elapsed() >= deadline, "somebody answered");
}

#[tokio::test]
async fn every_call_of_the_queue_ends_at_its_deadline() {
    let test = TestDatabase::new().await;
    let proxy = Proxy::until_begun(&test).await;
    let silent = Database::connect_lazy(&proxy.url, &options(20)).unwrap();
    let (queues, kinds) = lane();
    let (worker, id) = (Uuid::now_v7(), JobId::from(Uuid::now_v7()));
    let wish = Claim { worker, queues: &queues, kinds: &kinds, limit: 1, lease: LEASE };
    let newcomer = NewWorker {
        id: worker,
        name: "host:1".to_owned(),
        pid: 1,
        queues: queues.clone(),
        kinds: kinds.clone(),
        concurrency: 1,
        isolated: false,
    };
    let calls = vec![
        call("claim", claim(&silent, &wish)),
        call("claim_suspect", claim_suspect(&silent, &wish)),
        call("look", look(&silent, worker, &queues, &kinds)),
        call("finish", finish(&silent, &[], &[1])),
        call("sweep", sweep(&silent, LEASE, true)),
        call("report_death", report_death(&silent, worker)),
        call("cancel", cancel(&silent, Scope::Fleet, id, "why")),
        call("clear_blame", clear_blame(&silent, &[(1, 1)])),
        call("make_partitions", make_partitions(&silent)),
        call("workers::register", workers::register(&silent, &newcomer)),
        call("workers::retire", workers::retire(&silent, worker)),
        call("workers::list", workers::list(&silent)),
        call("readiness", silent.readiness()),
    ];
    let count = calls.len();
    all_end_in_time(calls, DEADLINE).await;
    assert_eq!(proxy.begun(), count, "each call was cut off in its transaction");
}

#[tokio::test]
async fn every_call_of_the_api_ends_at_its_deadline() {
    let test = TestDatabase::new().await;
    let proxy = Proxy::until_begun(&test).await;
    let silent = &Database::connect_lazy(&proxy.url, &options(30)).unwrap();
    let (fleet, id, page) = (Scope::Fleet, Uuid::now_v7(), PageRequest::default());
    let station = NewStation {
        slug: "toc-s1".to_owned(),
        callsign: "TOC-S1".to_owned(),
        role: Role::Ops,
        time_zone: "UTC".to_owned(),
        default_channel: "toc-s1".to_owned(),
    };
    let words = chat::NewMessage { text: "hello".to_owned(), thread: None, blocks: None, metadata: json!({}) };
    let door = Door::new(None, None, Wake::silent()).unwrap();
    let delivery = Delivery { signed_id: None, body: b"{}", station_hint: None };
    let message: ChatMessage = serde_json::from_value(json!({ "channel": "toc-s1", "text": "hello" })).unwrap();
    let (jobs, audits_wanted) = (inspect::JobFilter::default(), audits::AuditFilter::default());
    let calls = vec![
        call("chat_message", chat_message(silent, &door, &delivery, message)),
        call("stations::list", stations::list(silent, fleet)),
        call("stations::find", stations::find(silent, fleet, "toc-s1")),
        call("stations::register", stations::register(silent, &station)),
        call("tokens::authenticate", tokens::authenticate(silent, "vtoc_nobody")),
        call("tokens::create", tokens::create(silent, "me", None, &[TokenScope::Read])),
        call("tokens::list", tokens::list(silent)),
        call("tokens::revoke", tokens::revoke(silent, "me")),
        call("tokens::bootstrap", tokens::bootstrap(silent, "a token of more than thirty-two characters")),
        call("chat::put_channel", chat::put_channel(silent, "toc-s1")),
        call("chat::post", chat::post(silent, "toc-s1", words, None)),
        call("chat::messages", chat::messages(silent, "toc-s1", &page)),
        call("inspect::jobs", inspect::jobs(silent, fleet, &jobs, &page)),
        call("inspect::job", inspect::job(silent, fleet, id.into())),
        call("inspect::attempts", inspect::attempts(silent, fleet, id.into())),
        call("receipts::list", receipts::list(silent, fleet, &page)),
        call("receipts::find", receipts::find(silent, fleet, id)),
        call("runs::list", runs::list(silent, fleet, &page)),
        call("runs::find", runs::find(silent, fleet, id)),
        call("audits::list", audits::list(silent, fleet, &audits_wanted, &page)),
        call("audits::find", audits::find(silent, fleet, id)),
    ];
    let count = calls.len();
    all_end_in_time(calls, DEADLINE).await;
    assert_eq!(proxy.begun(), count, "each call was cut off in its transaction");
}

#[tokio::test]
async fn a_transaction_that_is_cut_off_in_the_middle_ends_at_the_deadline_of_its_next_statement() {
    let fleet = Fleet::new().await;
    let proxy = Proxy::before(&fleet.base).await;
    let database = Database::connect_lazy(&proxy.url, &options(8)).unwrap();
    let through = TestDatabase { url: proxy.url.clone(), database: database.clone(), ..fleet.base.clone() };
    let mut held = Vec::new();
    for _ in 0..4 {
        let claimed = fleet.running(job()).await;
        let attempt = Attempt::new(&claimed, database.clone(), Wake::silent());
        held.push(attempt.lock().await.unwrap());
    }
    let (mut open, mut renewer) = (through.begin().await, Renewer::connect(&proxy.url, &options(1)).await.unwrap());
    let mut renewer_too = Renewer::connect(&proxy.url, &options(1)).await.unwrap();
    let commits = through.begin().await;
    proxy.kill_wires();
    let follow_up = [job()];
    let mut held = held.into_iter();
    let (mut enqueues, completes) = (held.next().unwrap(), held.next().unwrap());
    let (commits_held, answers) = (held.next().unwrap(), held.next().unwrap());
    let calls = vec![
        call("enqueue", enqueue(&mut open, &follow_up)),
        call("Tx::commit", commits.commit()),
        call("Locked::enqueue", enqueues.enqueue(&follow_up)),
        call("Locked::complete", completes.complete(None)),
        call("Locked::complete with an output", answers.complete(Some(json!({})))),
        call("Locked::commit", commits_held.commit()),
        call("Renewer::renew", renewer.renew(fleet.worker, &[1], LEASE)),
        call("Renewer::overrule", renewer_too.overrule(&[])),
    ];
    all_end_in_time(calls, DEADLINE).await;
}

#[tokio::test]
async fn connecting_to_somebody_who_says_nothing_ends_at_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = &format!("postgres://nobody@{}/nothing", silent.local_addr().unwrap());
    let short = &options(1);
    let calls = vec![
        call("Database::connect", Database::connect(url, short)),
        call("Renewer::connect", Renewer::connect(url, short)),
        call("Listener::connect", Listener::connect(url, short)),
    ];
    all_end_in_time(calls, DEADLINE).await;
    let calls = vec![
        call("provision::rights", provision::rights(url)),
        call("provision::installation", provision::installation(url, "login", "password")),
        call("migrate::run", migrate::run(url)),
    ];
    all_end_in_time(calls, ConnectOptions::default().deadline).await;
}

#[tokio::test]
async fn a_pool_of_dead_wires_is_replaced_after_three_timeouts_and_calls_work_again() {
    let test = TestDatabase::new().await;
    test.station("toc-s1", Role::Ops).await;
    let proxy = Proxy::before(&test).await;
    let database = Database::connect(&proxy.url, &options(12)).await.unwrap();
    let stations = || stations::list(&database, Scope::Fleet);
    // Transactions side by side, so that there are as many wires.
    let through = TestDatabase { url: proxy.url.clone(), database: database.clone(), ..test.clone() };
    for open in join_all((0..12).map(|_| through.begin())).await {
        open.commit().await.unwrap();
    }
    assert_eq!(proxy.opened(), 12);
    proxy.kill_wires();
    for timeout in 1..=POOL_TIMEOUTS_MAX {
        let started = Instant::now();
        assert!(stations().await.unwrap_err().is_transient(), "timeout {timeout}");
        assert!(started.elapsed() < DEADLINE + SLACK);
    }
    let started = Instant::now();
    assert_eq!(stations().await.unwrap().len(), 1);
    assert!(started.elapsed() < DEADLINE, "{:?}", started.elapsed());
}
