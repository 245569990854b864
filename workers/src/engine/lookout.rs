//! The lookout: once a poll it marks jobs whose time has come, hears which jobs are called off, sees suspects, and rings
//! for the claimer. Wake-ups ring sooner; a lost one costs a poll.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jobs::{
    ConnectOptions, Database,
    queue::{
        claim::{Look, glance, look},
        wake::Listener,
    },
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{outage::Outage, rarely::Rarely};
use crate::{flights::Flights, isolation::Suspects};

/// Looks are no further apart while jobs run, so that one that is called off is dropped within a second.
const LOOK_WHILE_RUNNING: Duration = Duration::from_millis(500);

/// Between two looks, unless the last one left something: where something comes due each moment, they would follow one another.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// A look that takes no longer may search for due jobs each time.
const LOOK_IS_CHEAP: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lookout {
    pub(crate) database: Database,
    pub(crate) worker: Uuid,
    pub(crate) queues: Vec<String>,
    pub(crate) kinds: Vec<String>,
    pub(crate) poll: Duration,
    pub(crate) flights: Flights,
    pub(crate) outage: Outage,
    pub(crate) bell: Arc<Notify>,
    pub(crate) suspects: Option<Suspects>,
    pub(crate) stopping: CancellationToken,
}

impl Lookout {
    /// Looks around until the process has ended; calling off goes on while it drains.
    pub(crate) async fn run(self) {
        let mut searches = Rarely::new();
        loop {
            let pause = match self.look(&mut searches).await {
                Ok(look) => self.act(look),
                Err(error) => {
                    self.outage.note(&error);
                    tracing::warn!(%error, "the database can't be asked for work now");
                    self.poll
                }
            };
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.busy_for_a_while() => {}
            }
        }
    }

    async fn look(&self, searches: &mut Rarely) -> Result<Look, jobs::Error> {
        if !searches.may() {
            let look = glance(&self.database, self.worker, &self.queues, &self.kinds).await?;
            // A claim from where the last one ended finds what came since, and is cheap.
            return Ok(Look { due: true, ..look });
        }
        let since = Instant::now();
        let look = look(&self.database, self.worker, &self.queues, &self.kinds).await;
        // With every poll, as long as it takes no time to speak of.
        searches.took(since.elapsed().saturating_sub(LOOK_IS_CHEAP));
        look
    }

    /// Returns half a second from now, or when a job comes on board later than that; never while there is none.
    async fn busy_for_a_while(&self) {
        let next = tokio::time::Instant::now() + LOOK_WHILE_RUNNING;
        self.flights.busy().await;
        tokio::time::sleep_until(next).await;
    }

    /// Answers how long until the next look.
    fn act(&self, look: Look) -> Duration {
        let news = self.flights.shares.know(&look.stations);
        for (key, reason) in &look.cancelled {
            self.flights.cancel(*key, reason);
        }
        if look.suspects
            && let Some(suspects) = &self.suspects
        {
            suspects.start();
        }
        if look.due || news {
            self.bell.notify_one();
        }
        if look.more {
            return Duration::ZERO;
        }
        look.next_due_in.unwrap_or(self.poll).clamp(PAUSE_MIN.min(self.poll), self.poll)
    }
}

/// Rings whenever a wake-up for one of `queues` arrives.
pub(crate) async fn listen(
    url: String,
    options: ConnectOptions,
    queues: Vec<String>,
    bell: Arc<Notify>,
    stopping: CancellationToken,
) {
    loop {
        let listening = async {
            let mut listener = Listener::connect(&url, &options).await?;
            loop {
                // Hints sent before now may have been missed.
                bell.notify_one();
                listener.hinted(&queues).await?;
            }
        };
        let lost: Result<std::convert::Infallible, jobs::Error> = tokio::select! {
            () = stopping.cancelled() => return,
            lost = listening => lost,
        };
        let Err(error) = lost;
        tracing::debug!(%error, "no wake-ups for now; work is found by polling");
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
