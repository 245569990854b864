//! The outside world: takes posts and counts them by idempotency key, as a chat service and as a plain receiver. It can be
//! told to hold its answers back.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::sync::watch;
use warp::{Filter, http::StatusCode};

/// What the receiver saw.
#[derive(Debug, Default)]
struct Seen {
    /// How often each key was presented, in order of first sight.
    keys: HashMap<String, usize>,
    /// What took effect: one entry a key.
    texts: Vec<String>,
}

/// The receiver; ends with the test.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
    hold: Arc<watch::Sender<bool>>,
    busy: Arc<AtomicU64>,
}

impl Receiver {
    /// Starts it on a free loopback port.
    pub(crate) async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (hold, held) = watch::channel(false);
        let busy = Arc::new(AtomicU64::new(0));
        let take = {
            let (seen, busy) = (Arc::clone(&seen), Arc::clone(&busy));
            move |path: warp::path::FullPath, key: Option<String>, body: warp::hyper::body::Bytes| {
                let (seen, mut held) = (Arc::clone(&seen), held.clone());
                let wait_s = busy.load(Ordering::Relaxed);
                async move {
                    if wait_s > 0 {
                        let refused =
                            warp::reply::with_status(warp::reply::json(&json!({})), StatusCode::TOO_MANY_REQUESTS);
                        return Ok(warp::reply::with_header(refused, "retry-after", wait_s.to_string()));
                    }
                    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
                    {
                        let mut seen = seen.lock().unwrap();
                        let key = key.unwrap_or_else(|| format!("none:{}", path.as_str()));
                        let sights = seen.keys.entry(key).or_default();
                        *sights += 1;
                        if *sights == 1 {
                            seen.texts.push(body["text"].as_str().unwrap_or(path.as_str()).to_owned());
                        }
                    }
                    held.wait_for(|held| !held).await.unwrap();
                    let posted =
                        json!({"id": "m", "channel": "toc-s1", "thread": null, "created_at": "2026-11-22T00:00:00Z"});
                    let taken = warp::reply::with_status(warp::reply::json(&posted), StatusCode::CREATED);
                    Ok::<_, std::convert::Infallible>(warp::reply::with_header(taken, "retry-after", "0".to_owned()))
                }
            }
        };
        let routes = warp::post()
            .and(warp::path::full())
            .and(warp::header::optional("idempotency-key"))
            .and(warp::body::bytes())
            .and_then(take);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(warp::serve(routes).incoming(listener).run());
        Self { url, seen, hold: Arc::new(hold), busy }
    }

    /// From now on requests are refused with 429 and this Retry-After, and not counted; 0 ends it.
    pub(crate) fn ask_to_wait(&self, seconds: u64) {
        self.busy.store(seconds, Ordering::Relaxed);
    }

    /// From now on requests are counted and not answered.
    pub(crate) fn hold(&self) {
        self.hold.send_replace(true);
    }

    /// Answers again, those that wait too.
    pub(crate) fn answer(&self) {
        self.hold.send_replace(false);
    }

    /// How many different effects arrived.
    pub(crate) fn effects(&self) -> usize {
        self.seen.lock().unwrap().keys.len()
    }

    /// How many requests arrived, repeats included.
    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().keys.values().sum()
    }

    /// The texts that took effect.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.seen.lock().unwrap().texts.clone()
    }
}
