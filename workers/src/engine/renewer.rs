//! The renewer: keeps the leases of all jobs on board, on its own thread, runtime and connection, so that a handler that
//! blocks its thread can't stop it. When it can't renew in time it gives the jobs up before somebody else may take them;
//! when a handler ignores its time limit it writes the failed attempt itself.

use std::time::{Duration, Instant};

use jobs::{
    ConnectOptions, Error,
    kinds::Kinds,
    queue::{Fate, Fault, Outcome, lease},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::outage::Outage;
use crate::{
    config::Limits,
    flights::{Facts, Flights},
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

impl Renewer {
    /// Runs the renewer on a thread of its own until `ended`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        self,
        kinds: std::sync::Arc<Kinds>,
        threads: usize,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        std::thread::Builder::new().name("vtoc-renewer".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime needs no more than a thread");
            runtime.block_on(self.run(&kinds, threads));
        })
    }

    async fn run(self, kinds: &Kinds, threads: usize) {
        let beat = (self.limits.renewal() / 3).clamp(Duration::from_millis(20), Duration::from_secs(1));
        let (mut line, mut last_try, mut wedged) = (None, None::<Instant>, 0);
        loop {
            if last_try.is_none_or(|at: Instant| at.elapsed() >= self.limits.renewal()) {
                let since = Instant::now();
                match self.renew(&mut line, since).await {
                    Ok(()) => last_try = Some(since),
                    Err(error) => {
                        self.outage.note(&error);
                        line = None;
                        tracing::warn!(%error, leases = self.flights.tokens().len(), "leases can't be renewed now");
                    }
                }
            }
            let given_up = self.flights.fence(self.limits.fence());
            if given_up > 0 {
                tracing::error!(
                    leases = given_up,
                    "no renewal in time: their jobs are given up before others may take them"
                );
            }
            wedged += self.overrule(&mut line, kinds).await;
            if wedged >= threads {
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

    /// Writes the failed attempts of handlers that hold their thread beyond their time limit. Answers how many.
    async fn overrule(&self, line: &mut Option<lease::Renewer>, kinds: &Kinds) -> usize {
        let overdue = self.flights.overdue(self.limits.overtime);
        let fate = |facts: &Facts| {
            tracing::error!(
                job.key = facts.key,
                job.kind = facts.kind,
                "a handler holds its thread beyond its time limit: the attempt has failed"
            );
            Fate::Retry {
                error: "held its thread beyond its time limit".to_owned(),
                after: None,
                fault: Fault::TimedOut,
            }
        };
        if self.write(line, kinds, &overdue, fate).await { overdue.len() } else { 0 }
    }

    /// Every thread is held: nothing moves here any more. Gives the rest back and ends the process.
    async fn leave(&self, line: &mut Option<lease::Renewer>, kinds: &Kinds) {
        tracing::error!("every thread of this process is held by a handler: it gives its other jobs back and ends");
        self.write(line, kinds, &self.flights.unanswered(), |_| Fate::Interrupted).await;
        std::process::exit(EXIT_WEDGED);
    }

    async fn write(
        &self,
        line: &mut Option<lease::Renewer>,
        kinds: &Kinds,
        jobs: &[Facts],
        fate: impl Fn(&Facts) -> Fate,
    ) -> bool {
        if jobs.is_empty() {
            return true;
        }
        let outcome = |facts: &Facts| {
            let backoff = kinds.get(&facts.kind)?.policy.backoff;
            let ending = fate(facts).ending(&backoff, facts.attempt, facts.attempts_max, rand::random())?;
            Some(Outcome { key: facts.key, token: facts.token, ending })
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
        for facts in jobs {
            self.flights.leave(facts.key, facts.token);
        }
        true
    }
}
