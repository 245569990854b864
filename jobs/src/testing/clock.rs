//! The queue's clock, which a test may move: nothing has to be waited for.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::TestDatabase;
use crate::queue::{claim::look, history::make_partitions};

impl TestDatabase {
    /// Moves the queue's clock by `seconds` from the real time, and does nothing else.
    pub async fn set_clock_ahead(&self, seconds: i64) {
        self.move_clock(seconds * 1_000).await;
    }

    /// Lets `passed` go by on the queue's clock, to the millisecond, and does what workers do meanwhile: what has become
    /// due may be claimed, and the history has its days. Leases run out; taking their jobs back is a sweep's.
    pub async fn advance(&self, passed: Duration) {
        let ahead_ms =
            self.count("select round(extract(epoch from vtoc.clock() - clock_timestamp()) * 1000)::bigint").await;
        self.move_clock(ahead_ms + i64::try_from(passed.as_millis()).expect("less than an age")).await;
        make_partitions(&self.database).await.expect("the test cluster answers");
        self.promote().await;
    }

    /// Marks all jobs whose time has come, as workers do once a poll.
    pub async fn promote(&self) {
        while look(&self.database, Uuid::nil(), &[], &[]).await.expect("the test cluster answers").promoted > 0 {}
    }

    async fn move_clock(&self, ahead_ms: i64) {
        let replace = format!(
            "create or replace function vtoc.clock() returns timestamptz language sql volatile parallel safe
            as $$ select clock_timestamp() + interval '{ahead_ms} ms' $$"
        );
        sqlx::raw_sql(AssertSqlSafe(replace)).execute(&mut self.owner().await).await.expect("the clock can be moved");
    }
}
