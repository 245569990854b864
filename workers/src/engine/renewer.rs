//! The renewer: keeps the leases of all jobs on board, on its own thread, runtime and connection, so that a handler that
//! blocks its thread can't stop it. When it can't renew in time it gives the jobs up before somebody else may take them;
//! when a handler ignores its time limit it writes the failed attempt itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jobs::{
    ConnectOptions, Error,
    kinds::Kinds,
    queue::{Fate, Fault, Held, Outcome, lease},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{alarm::Alarm, outage::Outage};
use crate::{
    config::Limits,
    flights::{Flight, Flights},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Renewer {
    pub(crate) url: String,
    pub(crate) options: ConnectOptions,
    pub(crate) worker: Uuid,
    pub(crate) limits: Limits,
    pub(crate) flights: Flights,
    pub(crate) outage: Outage,
    pub(crate) ended: CancellationToken,
}

/// What a process that can't go on ends with; its supervisor starts another.
const EXIT_WEDGED: i32 = 70;
/// How long such a process waits for results that were there before.
const LAST_RESULTS: Duration = Duration::from_secs(2);

impl Renewer {
    /// Runs the renewer on a thread of its own until `ended`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        self,
        kinds: Arc<Kinds>,
        threads: usize,
        alarm: Alarm,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name("vtoc-renewer".to_owned()).spawn(move || {
            let _armed = alarm.armed("renewer");
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime needs no more than a thread");
            runtime.block_on(self.run(&kinds, threads));
        })
    }

    async fn run(self, kinds: &Kinds, threads: usize) {
        let beat = (self.limits.renewal() / 3).clamp(Duration::from_millis(20), Duration::from_secs(1));
        // A task of its own: no answer that doesn't come may hold the fence up.
        tokio::spawn(fence(self.flights.clone(), self.limits.fence(), beat / 2));
        let (mut line, mut last) = (None, None::<Instant>);
        loop {
            if last.is_none_or(|at: Instant| at.elapsed() >= self.limits.renewal()) {
                let since = Instant::now();
                match self.renew(&mut line, since).await {
                    Ok(()) => last = Some(since),
                    Err(error) => {
                        self.outage.note(&error);
                        line = None;
                        tracing::warn!(%error, leases = self.flights.tokens().len(), "leases can't be renewed now");
                    }
                }
            }
            self.overrule(&mut line, kinds).await;
            if self.flights.stuck() >= threads {
                self.leave(&mut line, kinds).await;
            }
            tokio::select! {
                () = self.ended.cancelled() => return,
                () = tokio::time::sleep(beat) => {}
            }
        }
    }

    async fn renew(&self, line: &mut Option<lease::Renewer>, since: Instant) -> Result<(), Error> {
        let tokens = self.flights.tokens();
        let held = self.line(line).await?.renew(self.worker, &tokens, self.limits.lease).await?;
        self.flights.renewed(&tokens, &held, since);
        Ok(())
    }

    async fn line<'a>(&self, line: &'a mut Option<lease::Renewer>) -> Result<&'a mut lease::Renewer, Error> {
        match line {
            Some(open) => Ok(open),
            None => Ok(line.insert(lease::Renewer::connect(&self.url, &self.options).await?)),
        }
    }

    /// Writes the failed attempts of handlers that hold their thread beyond their time limit.
    async fn overrule(&self, line: &mut Option<lease::Renewer>, kinds: &Kinds) {
        let overdue = self.flights.overdue(self.limits.overtime);
        let fate = |held: &Held| {
            tracing::error!(
                job.key = held.key,
                job.kind = &*held.kind,
                "a handler holds its thread beyond its time limit: the attempt has failed"
            );
            let error = "held its thread beyond its time limit".to_owned();
            Fate::Retry { error, after: None, fault: Fault::TimedOut }
        };
        if self.write(line, kinds, &overdue, fate).await {
            overdue.iter().for_each(|flight| self.flights.overruled(flight));
        }
    }

    /// Every thread is held: nothing moves here any more. Gives the rest back and ends the process.
    async fn leave(&self, line: &mut Option<lease::Renewer>, kinds: &Kinds) {
        tracing::error!("every thread of this process is held by a handler: it gives its other jobs back and ends");
        let unanswered = self.flights.unanswered();
        if self.write(line, kinds, &unanswered, |_| Fate::Interrupted).await {
            self.flights.leave(unanswered.iter().map(|flight| &flight.held));
        }
        // What has landed is the finisher's, which has a thread of its own.
        let patience = Instant::now();
        while self.flights.len() > 0 && patience.elapsed() < LAST_RESULTS {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        std::process::exit(EXIT_WEDGED);
    }

    async fn write(
        &self,
        line: &mut Option<lease::Renewer>,
        kinds: &Kinds,
        jobs: &[Arc<Flight>],
        fate: impl Fn(&Held) -> Fate,
    ) -> bool {
        if jobs.is_empty() {
            return true;
        }
        let outcome = |flight: &Arc<Flight>| {
            let held = &flight.held;
            let backoff = kinds.get(&held.kind)?.policy.backoff;
            let ending = fate(held).ending(&backoff, held.attempt, held.attempts_max, rand::random())?;
            Some(Outcome { held: held.clone(), ending })
        };
        let outcomes: Vec<Outcome> = jobs.iter().filter_map(outcome).collect();
        let written = match self.line(line).await {
            Ok(open) => open.overrule(&outcomes).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "and it can't be written now");
            *line = None;
            return false;
        }
        true
    }
}

/// Gives jobs up that couldn't be renewed in time, for as long as the runtime lives.
async fn fence(flights: Flights, limit: Duration, beat: Duration) {
    loop {
        let given_up = flights.fence(limit);
        if given_up > 0 {
            tracing::error!(
                leases = given_up,
                "no renewal in time: their jobs are given up before others may take them"
            );
        }
        tokio::time::sleep(beat).await;
    }
}
