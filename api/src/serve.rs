//! The front door as one call: routes behind the accept loop, and the small tasks beside it.

use std::{sync::Arc, time::Duration};

use jobs::{Database, accept::Door, queue::history::make_partitions, tokens};
use tokio::{net::TcpListener, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use crate::{
    config::{Config, Webhooks},
    routes,
    server::{self, Unfinished},
    shared::Shared,
};

const WARNING_INTERVAL: Duration = Duration::from_secs(60);
const BOOTSTRAP_INTERVAL: Duration = Duration::from_secs(2);
/// Days are made a week ahead.
const DAYS_INTERVAL: Duration = Duration::from_secs(3600);
/// How soon after a failure they are made again.
const DAYS_AGAIN: Duration = Duration::from_secs(10);

/// Serves on `listener` until `shutdown`; then stops accepting and finishes what was accepted. The database may be
/// away when it starts and at any time after: requests that need it are answered 503 meanwhile.
///
/// # Errors
/// [`Unfinished`] when the drain deadline passed with connections still busy; they were cut off.
pub async fn serve(
    config: Config,
    database: Database,
    door: Door,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Unfinished> {
    let limits = config.limits.clone();
    let tasks = TaskTracker::new();
    if matches!(config.webhooks, Webhooks::Unsigned) {
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(warn_each_minute()));
    }
    if let Some(token) = config.admin_token.clone() {
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(bootstrap(database.clone(), token)));
    }
    tasks.spawn(shutdown.clone().run_until_cancelled_owned(make_days(database.clone())));
    let service = warp::service(routes::filter(&Arc::new(Shared { database, door, config })));
    let answer = move |request| {
        let mut service = service.clone();
        async move {
            match service.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    };
    let served = server::run(listener, answer, &limits, &shutdown).await;
    tasks.close();
    tasks.wait().await;
    served
}

async fn warn_each_minute() {
    let mut minute = time::interval(WARNING_INTERVAL);
    loop {
        minute.tick().await;
        tracing::warn!("VTOC_INSECURE_NO_WEBHOOK_SIGNATURE is set: anybody who reaches this port can post webhooks");
    }
}

/// The token must get into a database that may not be there yet, or not be migrated.
async fn bootstrap(database: Database, token: String) {
    while let Err(error) = tokens::bootstrap(&database, &token).await {
        tracing::warn!(%error, "the admin token is not in the database yet");
        time::sleep(BOOTSTRAP_INTERVAL).await;
    }
}

/// What is accepted is enqueued into today's partition, whether or not a worker has been there to make it.
async fn make_days(database: Database) {
    loop {
        let pause = match make_partitions(&database).await {
            Ok(()) => DAYS_INTERVAL,
            Err(error) => {
                tracing::warn!(%error, "the days to come have no partitions yet");
                DAYS_AGAIN
            }
        };
        time::sleep(pause).await;
    }
}
