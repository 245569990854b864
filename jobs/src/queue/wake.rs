//! Wake-ups: a hint that there is work, sent after the commit on a connection of its own. The first goes out at once, the
//! rest are gathered for 5 ms. A lost hint costs one poll interval and nothing else.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use sqlx::{AssertSqlSafe, postgres::PgListener};
use tokio::sync::Notify;

use crate::{
    ConnectOptions, Error, Pooling,
    database::{Line, within},
};

const CHANNEL: &str = "vtoc_wake";
const GATHER: Duration = Duration::from_millis(5);

/// Sends hints. Cheap to clone; never blocks and never fails.
#[derive(Debug, Clone)]
pub struct Wake {
    pending: Option<Arc<Pending>>,
}

/// Queues with a hint to send: a set, so that an outage gathers no more than there are queues.
#[derive(Debug, Default)]
struct Pending {
    queues: Mutex<BTreeSet<String>>,
    more: Notify,
}

impl Wake {
    /// Starts the task that sends; it ends when the last clone is dropped. Must be called in a runtime.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a URL that isn't one.
    pub fn start(url: &str, options: &ConnectOptions) -> Result<Self, Error> {
        options.parse(url)?;
        let pending = Arc::new(Pending::default());
        tokio::spawn(send(url.to_owned(), options.clone(), Arc::downgrade(&pending)));
        Ok(Self { pending: Some(pending) })
    }

    /// Sends nothing: workers find work by polling.
    #[must_use]
    pub fn silent() -> Self {
        Self { pending: None }
    }

    /// Says that `queue` has work. Call it after the commit.
    pub fn hint(&self, queue: &str) {
        if let Some(pending) = &self.pending {
            pending.queues.lock().expect("no holder of this lock panics").insert(queue.to_owned());
            pending.more.notify_one();
        }
    }
}

async fn send(url: String, options: ConnectOptions, pending: Weak<Pending>) {
    let mut line: Option<Line> = None;
    while let Some(payload) = gathered(&pending).await {
        if let Err(error) = notify(&mut line, &url, &options, &payload).await {
            line = None;
            tracing::debug!(%error, "a wake-up was lost; workers find the work by polling");
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Waits for hints and takes them; none when nobody can give any more.
async fn gathered(pending: &Weak<Pending>) -> Option<String> {
    loop {
        let hints = pending.upgrade()?;
        let queues = std::mem::take(&mut *hints.queues.lock().expect("no holder of this lock panics"));
        if !queues.is_empty() {
            return Some(Vec::from_iter(queues).join(","));
        }
        // Looks up now and then, to see whether anybody is left.
        let _ = tokio::time::timeout(Duration::from_secs(1), hints.more.notified()).await;
    }
}

async fn notify(line: &mut Option<Line>, url: &str, options: &ConnectOptions, payload: &str) -> Result<(), Error> {
    let open = match line {
        Some(open) => open,
        None => line.insert(Line::connect(url, options).await?),
    };
    // Two messages of one statement may meet two sessions, unless a transaction holds them together.
    let pooled = options.pooling == Pooling::Transaction;
    if pooled {
        sqlx::raw_sql(AssertSqlSafe(options.opening())).execute(&mut *open).await?;
    }
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, payload).execute(&mut *open).await?;
    if pooled {
        sqlx::raw_sql("commit").execute(open).await?;
    }
    Ok(())
}

/// Receives hints on a connection of its own.
#[derive(Debug)]
pub struct Listener {
    listener: PgListener,
}

impl Listener {
    /// Connects and listens.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when nobody answers.
    pub async fn connect(url: &str, options: &ConnectOptions) -> Result<Self, Error> {
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(options.acquire_timeout)
            .connect_lazy_with(options.parse(url)?);
        let listening = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.ignore_pool_close_event(true);
            listener.listen(CHANNEL).await?;
            Ok(Self { listener })
        };
        within(options.deadline, listening).await
    }

    /// Waits for a hint about one of `queues`. Also returns after a lost connection was restored, since hints may have
    /// been missed meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the connection is lost and can't be restored now.
    pub async fn hinted(&mut self, queues: &[String]) -> Result<(), Error> {
        loop {
            match self.listener.try_recv().await? {
                None => return Ok(()),
                Some(hint) if hint.payload().split(',').any(|hinted| queues.iter().any(|queue| queue == hinted)) => {
                    return Ok(());
                }
                Some(_) => {}
            }
        }
    }
}
