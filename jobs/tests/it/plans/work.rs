//! What a worker process sends whether or not a job ends: claims, looks, renewals, sweeps.

use std::time::Duration;

use jobs::{
    ConnectOptions, StationId,
    queue::{
        self, Claim, Fronts,
        claim::{claim_from, claim_suspect, look},
        lease::{Renewer, clear_blame},
        sweep::{report_death, sweep},
    },
    workers::{self, NewWorker},
};
use uuid::Uuid;

use super::stage::Stage;

pub(super) const LEASE: Duration = Duration::from_secs(30);

/// Jobs that run in the whole fleet.
pub(super) const SLOTS: u32 = 8_000;

/// What the worker drains and knows; there is a kind that it doesn't.
pub(super) struct Lane {
    pub(super) queues: Vec<String>,
    pub(super) kinds: Vec<String>,
}

impl Lane {
    pub(super) fn new() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            queues: words(&["default", "collect", "chat", "bulk"]),
            kinds: words(&["run_playbook", "collect_feed", "post_chat", "update_audit", "archive_day"]),
        }
    }

    /// Every station's jobs in every queue, as a worker shares a claim out among them.
    pub(super) fn lanes(&self, limit: u32) -> Vec<queue::Lane<'_>> {
        let stations = || (0..=8).map(|id| (id > 0).then_some(StationId(id)));
        // Some of them are empty.
        let quota = limit.div_ceil(30);
        let lane = |queue, station| queue::Lane { queue, station, quota };
        self.queues.iter().flat_map(|queue| stations().map(move |station| lane(queue.as_str(), station))).collect()
    }

    pub(super) fn claim(&self, limit: u32) -> Claim<'_> {
        Claim { worker: worker(1), queues: &self.queues, kinds: &self.kinds, limit, lease: LEASE }
    }
}

/// A process of the stock, from 0 to 19 alive.
pub(super) fn worker(number: u128) -> Uuid {
    Uuid::parse_str(&format!("00000000-0000-7000-8000-{number:012}")).unwrap()
}

#[tokio::test]
async fn a_worker_reads_no_more_of_a_full_queue_than_it_takes() {
    let mut stage = Stage::new().await;
    let lane = Lane::new();
    for limit in [1, 50, 500] {
        stage
            .pin(&format!("claim {limit}"), limit, async |db| {
                let claimed =
                    claim_from(db, &lane.claim(limit), &lane.lanes(limit), &Fronts::default(), || ()).await.unwrap();
                assert_eq!(claimed.len(), limit as usize);
            })
            .await;
    }
    let mut fronts = Fronts::default();
    stage
        .pin("claim 500 from a front", 500, async |db| {
            let claimed = claim_from(db, &lane.claim(500), &lane.lanes(500), &fronts, || ()).await.unwrap();
            assert_eq!(claimed.len(), 500);
            fronts.join(&Fronts::of(&claimed));
        })
        .await;
    stage
        .pin("claim a suspect", 1, async |db| {
            assert!(claim_suspect(db, &lane.claim(1)).await.unwrap().is_some());
        })
        .await;
    stage
        .pin("look", 1_000, async |db| {
            look(db, worker(1), &lane.queues, &lane.kinds).await.unwrap();
        })
        .await;
    processes(&mut stage).await;
    sweeps(&mut stage).await;
    stage.close("work").await;
}

async fn processes(stage: &mut Stage) {
    let tokens: Vec<i64> = (20_000_001..=20_000_050).collect();
    let mut renewer = Renewer::connect(&stage.base.url, &ConnectOptions::default()).await.unwrap();
    stage.pin("renew 50 leases", 50, async |_| drop(renewer.renew(worker(1), &tokens, LEASE).await.unwrap())).await;
    stage
        .pin("register a process", 1, async |db| {
            let (id, name) = (Uuid::now_v7(), "host-9".to_owned());
            let Lane { queues, kinds } = Lane::new();
            let new = NewWorker { id, name, pid: 1, queues, kinds, concurrency: 8, isolated: false };
            workers::register(db, &new).await.unwrap();
        })
        .await;
    stage.pin("retire a process", 1, async |db| workers::retire(db, worker(150)).await.unwrap()).await;
    stage.pin("list processes", SLOTS, async |db| drop(workers::list(db).await.unwrap())).await;
    stage.pin("report a death", 1, async |db| report_death(db, worker(19)).await.unwrap()).await;
}

async fn sweeps(stage: &mut Stage) {
    let base = stage.base.clone();
    stage.pin("sweep what a dead process held", SLOTS, async |db| assert!(sweep(db, LEASE, true).await.is_ok())).await;
    let mut lost = 0;
    stage
        .pin("sweep leases that ran out", SLOTS, async |db| {
            lost += 1;
            let expire = format!(
                "update vtoc.job_lease set lease_until = vtoc.clock() - interval '1 second' where worker_id = '{}'",
                worker(lost)
            );
            base.execute(&expire).await;
            let lost = format!(
                "update vtoc.worker set seen_at = vtoc.clock() - interval '1 hour' where id = '{}'",
                worker(lost)
            );
            base.execute(&lost).await;
            assert!(sweep(db, LEASE, true).await.unwrap().again > 0);
        })
        .await;
    stage.pin("sweep nothing", SLOTS, async |db| assert!(sweep(db, LEASE, true).await.is_ok())).await;
    let stale: Vec<(i64, i64)> = {
        let keys = "select string_agg(job_id || ':' || token, ',') from (select job_id, token from vtoc.job_attempt where outcome = 'crashed' limit 50) a";
        let keys = base.text(keys).await.unwrap();
        let pair = |text: &str| text.split_once(':').map(|(key, token)| (key.parse().unwrap(), token.parse().unwrap()));
        keys.split(',').filter_map(pair).collect()
    };
    let mut stale = stale.chunks(5);
    stage
        .pin("take blame back", 5, async |db| {
            assert!(clear_blame(db, stale.next().unwrap()).await.unwrap() > 0);
        })
        .await;
}
