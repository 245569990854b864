//! A whole fleet under load while its parts are taken away: the database restarted, the database killed, workers killed.
//! Senders do what integrators do: they send again until they get a 2xx. What they heard, the jobs and the channel are one
//! history, and the laws judge it.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use jobs::{
    JobId,
    laws::{Fault, Record, Sight, check},
};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{place::Place, running::Up};

/// Longest wait for the fleet to have done everything.
const SETTLED: Duration = Duration::from_secs(60);
const SENDERS: usize = 8;

/// What the senders saw.
#[derive(Default)]
struct Sent {
    accepted: AtomicUsize,
    /// Answers that are neither 202 nor 503 with Retry-After.
    wrong: AtomicUsize,
    history: Mutex<Vec<Record>>,
}

struct Load {
    url: String,
    secret: String,
    bearer: String,
    client: Client,
    sent: Arc<Sent>,
    enough: Arc<AtomicBool>,
}

impl Load {
    fn on(up: &Up, data: &Path) -> Load {
        let key = |name: &str| fs::read_to_string(data.join("keys").join(name)).unwrap().trim().to_owned();
        let _ = rustls::crypto::ring::default_provider().install_default();
        Load {
            url: up.url.clone(),
            secret: key("webhook-secret"),
            bearer: key("admin-token"),
            client: Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().unwrap(),
            sent: Arc::default(),
            enough: Arc::default(),
        }
    }

    /// One sender: each delivery again and again until it is accepted, as long as there isn't enough.
    async fn send(&self, sender: usize) {
        for delivery in 0.. {
            if self.enough.load(Ordering::Relaxed) {
                return;
            }
            while !self.deliver(&format!("{sender}-{delivery}")).await {}
            self.sent.accepted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One try; true when it was accepted.
    async fn deliver(&self, id: &str) -> bool {
        let body = json!({ "id": id, "channel": "toc-s1", "text": "@agent help" }).to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let request =
            self.client.post(format!("{}/api/v1/chatkit/webhook", self.url)).header("content-type", "application/json");
        let request = request.header("x-chatkit-signature", hex::encode(mac.finalize().into_bytes())).body(body);
        let sight = match request.send().await {
            Ok(answer) if answer.status() == StatusCode::ACCEPTED => match answer.json::<Value>().await {
                Ok(body) => Sight::Accepted(body["job_id"].as_str().unwrap().parse().unwrap()),
                // Cut in the middle of the answer.
                Err(_) => Sight::Unanswered,
            },
            Ok(answer) => {
                let asks_again =
                    answer.status() == StatusCode::SERVICE_UNAVAILABLE && answer.headers().contains_key("retry-after");
                self.sent.wrong.fetch_add(usize::from(!asks_again), Ordering::Relaxed);
                Sight::Unavailable
            }
            // The connection was cut before an answer: may have been accepted or not.
            Err(_) => Sight::Unanswered,
        };
        self.sent.history.lock().unwrap().push(Record::Sent { delivery: id.to_owned(), sight });
        if matches!(sight, Sight::Accepted(_)) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        false
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.bearer).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }

    /// Every item of a paged list.
    async fn all(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self
                .get(&format!("{path}{}limit=500{cursor}", if path.contains('?') { '&' } else { '?' }))
                .await
                .unwrap();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    async fn accepted_at_least(&self, deliveries: usize) {
        let started = Instant::now();
        while self.sent.accepted.load(Ordering::Relaxed) < deliveries {
            assert!(started.elapsed() < SETTLED, "{deliveries} deliveries are not accepted");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until nothing is ready or running.
    async fn settled(&self) {
        let started = Instant::now();
        loop {
            let mut left = 0;
            for state in ["ready", "running"] {
                let page = self.get(&format!("/api/v1/jobs?state={state}&limit=1")).await;
                left += page.map_or(1, |page| page["items"].as_array().unwrap().len());
            }
            if left == 0 {
                return;
            }
            assert!(started.elapsed() < SETTLED, "jobs are left");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The process id in the first line of a file.
fn pid(file: &Path) -> String {
    fs::read_to_string(file).unwrap().lines().next().unwrap().split_whitespace().next().unwrap().to_owned()
}

fn signal(signal: &str, pid: &str) {
    assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_delivery_is_done_once_while_database_and_workers_are_killed_under_it() {
    let place = Place::new();
    let up = Up::start_with(place.path(), 2);
    let load = Arc::new(Load::on(&up, place.path()));
    let api = pid(&place.path().join("run/api.pid"));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let load = Arc::clone(&load);
            tokio::spawn(async move { load.send(sender).await })
        })
        .collect();

    let postmaster = place.path().join("postgres/postmaster.pid");
    for (round, fault) in ["-INT", "-QUIT"].into_iter().enumerate() {
        load.accepted_at_least(200 * (round + 1)).await;
        signal(fault, &pid(&postmaster));
        load.accepted_at_least(load.sent.accepted.load(Ordering::Relaxed) + SENDERS + 50).await;
        signal("-KILL", &pid(&place.path().join("run/worker-1.pid")));
    }
    load.accepted_at_least(load.sent.accepted.load(Ordering::Relaxed) + 100).await;
    load.enough.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    load.settled().await;

    let accepted = load.sent.accepted.load(Ordering::Relaxed);
    assert_eq!(load.sent.wrong.load(Ordering::Relaxed), 0);
    assert_eq!(pid(&place.path().join("run/api.pid")), api, "the api lived through it");
    let mut history = load.sent.history.lock().unwrap().clone();
    history.extend(enqueued(&load).await);
    let posted = posted(&load, place.path()).await;
    assert_eq!(posted.len(), accepted, "one message a job");
    history.extend(posted);
    let report = check(&history);
    assert!(report.holds(), "{report}");
    assert!(report.faults.contains(&Fault::Unavailable), "nobody noticed that the database was away: {report}");
    assert_eq!(up.stop(), Some(0));
}

/// Every job that stands in the database, with the delivery whose receipt names it, and its end, which must be a good one.
async fn enqueued(load: &Load) -> Vec<Record> {
    let receipts = load.all("/api/v1/receipts").await;
    let deliveries: BTreeMap<&str, &str> = receipts
        .iter()
        .map(|receipt| {
            let key = receipt["key"].as_str().unwrap();
            (receipt["job_id"].as_str().unwrap(), key.strip_prefix("event-id:").unwrap())
        })
        .collect();
    let mut records = Vec::new();
    for view in load.all("/api/v1/jobs").await {
        let id = view["id"].as_str().unwrap();
        let job: JobId = id.parse().unwrap();
        let attempts_max = i16::try_from(view["attempts_max"].as_i64().unwrap()).unwrap();
        let delivery = deliveries.get(id).map(|delivery| (*delivery).to_owned());
        assert!(delivery.is_some(), "a job without a receipt: {view}");
        records.push(Record::Enqueued { job, delivery, attempts_max });
        assert_eq!(view["state"], "done", "{view}");
        records.push(Record::Ended { job });
    }
    records
}

/// The messages that stand in the channel; each names the job that posted it.
async fn posted(load: &Load, data: &Path) -> Vec<Record> {
    let chat = Load {
        url: load.url.clone(),
        secret: String::new(),
        bearer: fs::read_to_string(data.join("keys/chat-key")).unwrap().trim().to_owned(),
        client: load.client.clone(),
        sent: Arc::default(),
        enough: Arc::default(),
    };
    let messages = chat.all("/chatkit/v1/channels/toc-s1/messages").await;
    let effect = |message: &Value| {
        let job = message["metadata"]["job_id"].as_str().unwrap();
        Record::Effect {
            job: job.parse().unwrap(),
            name: "post".to_owned(),
            key: job.to_owned(),
            token: None,
            took: true,
        }
    };
    messages.iter().map(effect).collect()
}
