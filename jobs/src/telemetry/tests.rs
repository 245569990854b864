//! Two receivers of the same readings at once, on a real Postgres.

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::*;
use crate::testing::{TestDatabase, eventually};

struct Sky {
    base: TestDatabase,
    station: Station,
}

impl Sky {
    async fn new() -> Self {
        let base = TestDatabase::new().await;
        let station = base.station("toc-s1", Role::Ops).await;
        ensure_days(&base.database, Role::Ops, &days_of(&readings("lax-a", 1))).await.unwrap();
        Self { base, station }
    }

    async fn begin(&self) -> Tx {
        self.base.database.begin_station_data(Role::Ops, self.station.id).await.unwrap()
    }

    async fn hears(&self, events: &[Event]) {
        let mut tx = self.begin().await;
        store(&mut tx, Role::Ops, self.station.id, None, events).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Adds the sights of readings that are there, by the plan that `settings` leave the planner.
    async fn sees_again(&self, settings: &'static str, events: &[Event]) -> Result<(), Error> {
        let mut tx = self.begin().await;
        sqlx::raw_sql(settings).execute(&mut *tx).await?;
        merge_sights(&mut tx, Role::Ops, self.station.id, &Batch::of(events)?).await?;
        tx.commit().await
    }

    async fn waiting(&self) -> i64 {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        self.base.count(waiting).await
    }
}

/// What `receiver` heard of the first `count` aircraft, in the order of the keys.
fn readings(receiver: &str, count: usize) -> Vec<Event> {
    let reading = |n: usize| {
        let event = json!({
            "feed": "adsb",
            "kind": "track",
            "entity": { "id": format!("icao24:{n:06x}"), "class": "aircraft" },
            "observed_at": "2026-11-22T08:16:41Z",
            "observed_at_source": "reported",
            "received_at": "2026-11-22T08:16:42Z",
            "provenance": { "station": "toc-s1", "connector": receiver, "decoder": "adsb/sbs" },
        });
        serde_json::from_value::<Event>(event).unwrap().sealed().unwrap()
    };
    let mut readings: Vec<Event> = (0..count).map(reading).collect();
    readings.sort_by(|a, b| a.dedupe_key.cmp(&b.dedupe_key));
    readings
}

#[tokio::test]
async fn two_receivers_whose_plans_take_the_rows_in_opposite_order_do_not_deadlock() {
    let (by_key, by_place) = (
        "set local enable_hashjoin = off; set local enable_mergejoin = off; set local enable_seqscan = off",
        "set local enable_nestloop = off; set local enable_mergejoin = off; set local enable_indexscan = off; set local enable_bitmapscan = off",
    );
    let sky = Sky::new().await;
    let (others, shared) = (readings("lax-a", 300).split_off(3), readings("lax-a", 300)[..3].to_vec());
    sky.hears(&others).await;
    for reading in shared.iter().rev() {
        sky.hears(std::slice::from_ref(reading)).await;
    }
    sky.base.execute("analyze ops.telemetry_event").await;

    // Somebody holds the row in the middle until both have come to it from their ends, or to each other.
    let mut middle = sky.begin().await;
    let hold = format!("select from ops.telemetry_event where dedupe_key = '\\x{}' for update", shared[1].dedupe_key);
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut *middle).await.unwrap();
    let released = async {
        eventually("both wait", Duration::from_secs(4), async || sky.waiting().await == 2).await;
        middle.commit().await.unwrap();
    };
    let heard = ["lax-b", "lax-c"].map(|receiver| readings(receiver, 300)[..3].to_vec());
    let (forward, backward, ()) =
        tokio::join!(sky.sees_again(by_key, &heard[0]), sky.sees_again(by_place, &heard[1]), released);
    forward.unwrap();
    backward.unwrap();
    let by_all = "select count(*) from ops.telemetry_event where seen_by @> '{lax-a,lax-b,lax-c}'";
    assert_eq!(sky.base.count(by_all).await, 3);
}
