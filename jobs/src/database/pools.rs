//! The pool in use. One whose calls time out again and again holds connections to nobody: it gives way to a fresh one
//! instead of trying each of its connections in turn. Whoever still waits for the old one is sent to the new.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use sqlx::{
    PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Timeouts in a row, with no answer in between, after which a pool is replaced.
pub const POOL_TIMEOUTS_MAX: u32 = 3;

/// A pool, and how it does.
#[derive(Debug)]
pub(super) struct Pool {
    pool: PgPool,
    /// Calls that timed out since the last answer.
    timeouts: AtomicU32,
}

impl Pool {
    fn fresh(sizes: &PgPoolOptions, server: &PgConnectOptions) -> Arc<Self> {
        let pool = sizes.clone().connect_lazy_with(server.clone());
        Arc::new(Self { pool, timeouts: AtomicU32::new(0) })
    }

    /// The database has answered, whatever it said.
    pub(super) fn answered(&self) {
        self.timeouts.store(0, Ordering::Relaxed);
    }
}

/// The pool in use, and how to make another.
#[derive(Debug)]
pub(super) struct Pools {
    sizes: PgPoolOptions,
    server: PgConnectOptions,
    current: Mutex<Arc<Pool>>,
}

impl Pools {
    pub(super) fn new(sizes: PgPoolOptions, server: PgConnectOptions) -> Self {
        let current = Mutex::new(Pool::fresh(&sizes, &server));
        Self { sizes, server, current }
    }

    pub(super) fn current(&self) -> Arc<Pool> {
        Arc::clone(&self.current.lock().expect("no holder of this lock panics"))
    }

    /// A connection of the pool in use.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        loop {
            let current = self.current();
            match current.pool.acquire().await {
                Err(sqlx::Error::PoolClosed) if !Arc::ptr_eq(&current, &self.current()) => {}
                Err(sqlx::Error::PoolTimedOut) => {
                    self.timed_out(&current);
                    return Err(sqlx::Error::PoolTimedOut);
                }
                acquired => return acquired,
            }
        }
    }

    /// A call over `pool` had no answer in time. Must be called in a runtime.
    pub(super) fn timed_out(&self, pool: &Arc<Pool>) {
        let timeouts = pool.timeouts.fetch_add(1, Ordering::Relaxed) + 1;
        if timeouts < POOL_TIMEOUTS_MAX {
            return;
        }
        let mut current = self.current.lock().expect("no holder of this lock panics");
        if !Arc::ptr_eq(&current, pool) {
            return;
        }
        *current = Pool::fresh(&self.sizes, &self.server);
        drop(current);
        tracing::warn!(timeouts, "the database's connections don't answer: they are replaced");
        let old = pool.pool.clone();
        // It may have to wait for connections in use, which end by their own deadlines.
        tokio::spawn(async move { old.close().await });
    }

    /// Closes the pool in use, waiting for its connections in use.
    pub(super) async fn close(&self) {
        self.current().pool.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools() -> Pools {
        Pools::new(PgPoolOptions::new(), "postgres://nobody@127.0.0.1:1/nothing".parse().unwrap())
    }

    #[tokio::test]
    async fn an_answer_in_between_starts_the_count_again() {
        let pools = pools();
        let first = pools.current();
        for _ in 1..POOL_TIMEOUTS_MAX {
            pools.timed_out(&first);
        }
        first.answered();
        pools.timed_out(&first);
        assert!(Arc::ptr_eq(&first, &pools.current()));
    }

    #[tokio::test]
    async fn late_timeouts_of_a_replaced_pool_leave_its_successor_alone() {
        let pools = pools();
        let first = pools.current();
        for _ in 1..=POOL_TIMEOUTS_MAX {
            pools.timed_out(&first);
        }
        let second = pools.current();
        assert!(!Arc::ptr_eq(&first, &second));
        for _ in 1..=POOL_TIMEOUTS_MAX {
            pools.timed_out(&first);
        }
        assert!(Arc::ptr_eq(&second, &pools.current()));
    }

    #[tokio::test]
    async fn who_waits_for_a_replaced_pool_is_sent_to_its_successor() {
        let sizes = PgPoolOptions::new().max_connections(1);
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("postgres://nobody@{}/nothing", silent.local_addr().unwrap());
        let pools = Pools::new(sizes, server.parse().unwrap());
        let first = pools.current();
        let replaced = async {
            let taken = silent.accept().await.unwrap();
            for _ in 1..=POOL_TIMEOUTS_MAX {
                pools.timed_out(&first);
            }
            // The one that waited behind the first connects anew.
            (taken, silent.accept().await.unwrap())
        };
        tokio::select! {
            _ = futures::future::join(pools.acquire(), pools.acquire()) => panic!("somebody gave up"),
            both = tokio::time::timeout(std::time::Duration::from_secs(20), replaced) => assert!(both.is_ok()),
        }
    }
}
