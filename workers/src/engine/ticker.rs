//! The ticker: enqueues the jobs of schedules that are due. Every worker ticks; the database sees to it that a tick makes one
//! job. It sleeps until the next schedule is due and looks every ten seconds for one that was made or edited meanwhile, so
//! that idle it costs a tenth of a transaction a second. A wake-up would be no cheaper to have: one may be lost.

use std::time::Duration;

use jobs::{
    Database, Wake,
    schedules::{Ticked, tick},
};
use rand::RngExt;
use tokio_util::sync::CancellationToken;

use super::outage::Outage;

/// How often it looks at least; a new schedule's first tick may be that late, which is within the grace of missed ones.
const LOOK: Duration = Duration::from_secs(10);
/// How long it leaves a schedule alone that is due and that another process holds.
const HELD: Duration = Duration::from_millis(500);
/// How long until the next try after a failed one.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Ticker {
    pub(crate) database: Database,
    pub(crate) outage: Outage,
    /// Wakes the workers of the jobs' queues.
    pub(crate) wake: Wake,
    pub(crate) stopping: CancellationToken,
}

impl Ticker {
    /// Ticks until the process is told to stop; a tick that is under way is heard out.
    pub(crate) async fn run(self) {
        loop {
            let pause = match tick(&self.database).await {
                Ok(ticked) => self.act(&ticked),
                Err(error) => {
                    self.outage.note(&error);
                    if error.is_transient() {
                        tracing::debug!(%error, "no tick now");
                    } else {
                        tracing::warn!(%error, "schedules don't tick");
                    }
                    AGAIN
                }
            };
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Answers how long until the next tick.
    fn act(&self, ticked: &Ticked) -> Duration {
        for queue in &ticked.queues {
            self.wake.hint(queue);
        }
        for schedule in &ticked.missed {
            tracing::warn!(schedule.name = schedule, "ticks were missed");
        }
        for (schedule, why) in &ticked.ended {
            tracing::warn!(schedule.name = schedule, why, "a schedule has ended");
        }
        // Give or take a tenth, so that workers started together don't look together.
        let look = LOOK.mul_f64(rand::rng().random_range(0.9..1.1));
        match ticked.next_in {
            Some(Duration::ZERO) if ticked.settled == 0 => HELD,
            Some(next) => next.min(look),
            None => look,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticker() -> Ticker {
        let database = Database::connect_lazy("postgres://localhost/none", &jobs::ConnectOptions::default());
        Ticker {
            database: database.expect("a URL"),
            outage: Outage::new(),
            wake: Wake::silent(),
            stopping: CancellationToken::new(),
        }
    }

    #[tokio::test]
    async fn it_sleeps_until_the_next_tick_ten_seconds_or_until_another_process_has_let_go() {
        let pause = |next_in, settled| ticker().act(&Ticked { next_in, settled, ..Ticked::default() });
        assert!((9.0..11.0).contains(&pause(None, 0).as_secs_f64()));
        assert!((9.0..11.0).contains(&pause(Some(Duration::from_secs(3600)), 0).as_secs_f64()));
        assert_eq!(pause(Some(Duration::from_millis(70)), 0), Duration::from_millis(70));
        assert_eq!(pause(Some(Duration::ZERO), 0), HELD);
        assert_eq!(pause(Some(Duration::ZERO), 100), Duration::ZERO, "there is more, and it is free");
    }
}
