//! The queue of Postgres behind the same calls: its public functions, on a clock that stands still until it is moved. What
//! is seen of it is read from its tables and views by their owner.

mod look;

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use jobs::{
    ConnectOptions, Error, JobId, Scope, Wake,
    queue::{
        Attempt, Backoff, Claim, Claimed, Dedupe, Ending, Fate, Fault, Locked, NewJob, Outcome,
        cancel::cancel,
        claim::{claim, claim_suspect},
        enqueue,
        finish::finish,
        lease::{Renewer, clear_blame},
        sweep::{report_death, sweep},
    },
    testing::{TestDatabase, eventually},
    workers::{self, NewWorker},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::call::{
    ASKED_S, Answer, BACKOFF_BASE_S, Call, Came, Delivery, Heard, Job, LEASE_S, Process, Queue, SNOOZE_S, Seen, Token,
};

const KIND: &str = "weigh";
const LEASE: Duration = Duration::from_secs(LEASE_S.unsigned_abs());
const BACKOFF: Backoff =
    Backoff { base: Duration::from_secs(BACKOFF_BASE_S.unsigned_abs()), cap: Duration::from_secs(3_600) };
/// Longer than any run: a repeated delivery meets the job that it was, however long that has ended.
const KEY_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Makes the effects' ledger, which has no key of its own: what is written there twice counts twice.
pub(crate) async fn with_ledger() -> TestDatabase {
    let base = TestDatabase::new().await;
    base.execute(
        "create table public.ledger (job bigint not null); grant select, insert on public.ledger to vtoc_queue",
    )
    .await;
    base
}

/// One run's share of a database that others have used and left at rest.
pub(crate) struct Real {
    runtime: Rc<Runtime>,
    inner: Inner,
}

struct Inner {
    base: TestDatabase,
    owner: PgConnection,
    renewer: Renewer,
    /// This run's own, so that nothing is met of other runs.
    queue: String,
    epoch: DateTime<Utc>,
    ahead_s: i64,
    jobs: Vec<JobId>,
    tokens: Vec<i64>,
    claims: HashMap<(Job, Token), Claimed>,
    processes: Vec<Uuid>,
    open: HashMap<Process, Effect>,
}

/// A transaction that holds a job.
struct Effect {
    locked: Locked,
    token: i64,
    pid: i32,
}

impl Real {
    pub(crate) fn new(runtime: &Rc<Runtime>, base: &TestDatabase) -> Self {
        let inner = runtime.block_on(async {
            let mut owner = base.owner().await;
            let renewer = Renewer::connect(&base.url, &ConnectOptions::default()).await.unwrap();
            let epoch = DateTime::from_timestamp(Utc::now().timestamp(), 0).unwrap();
            set_clock(&mut owner, epoch).await;
            Inner {
                base: base.clone(),
                owner,
                renewer,
                queue: format!("run-{}", Uuid::now_v7().simple()),
                epoch,
                ahead_s: 0,
                jobs: Vec::new(),
                tokens: Vec::new(),
                claims: HashMap::new(),
                processes: Vec::new(),
                open: HashMap::new(),
            }
        });
        Self { runtime: Rc::clone(runtime), inner }
    }
}

impl Queue for Real {
    fn perform(&mut self, call: &Call) -> Answer {
        self.runtime.block_on(self.inner.perform(call))
    }

    fn seen(&mut self) -> Seen {
        self.runtime.block_on(self.inner.seen())
    }
}

impl Inner {
    async fn perform(&mut self, call: &Call) -> Answer {
        let database = &self.base.database;
        match call {
            Call::Start { process } => self.start(*process).await,
            Call::Die { process, reported } => {
                self.roll_back(*process).await;
                if *reported {
                    report_death(&self.base.database, self.processes[*process]).await.unwrap();
                }
            }
            Call::Retire { process } => workers::retire(database, self.processes[*process]).await.unwrap(),
            Call::Enqueue { delivery, heard } => return self.enqueue(*delivery, *heard).await,
            Call::Look { process } => return self.look(*process).await,
            Call::Claim { process, limit } => return self.claim(*process, *limit, false).await,
            Call::ClaimSuspect { process, .. } => return self.claim(*process, 1, true).await,
            Call::Renew { process, tokens } => return self.renew(*process, tokens).await,
            Call::Finish { results } => return self.finish(results).await,
            Call::Overrule { job, token } => {
                let outcome = self.outcome(*job, *token, Came::TimedOut);
                self.renewer.overrule(&[outcome]).await.unwrap();
                self.end_lease(*token).await;
            }
            Call::Lock { process, job, token } => return self.lock(*process, *job, *token).await,
            Call::Commit { process, .. } => self.open.remove(process).unwrap().locked.commit().await.unwrap(),
            Call::Complete { process, token, .. } => {
                self.open.remove(process).unwrap().locked.complete(None).await.unwrap();
                self.end_lease(*token).await;
            }
            Call::Drop { process } => self.roll_back(*process).await,
            Call::Scribble { job } => self.scribble(*job).await,
            Call::Sweep { blame } => return Answer::Swept(sweep(database, LEASE, *blame).await.unwrap()),
            Call::Cancel { job } => {
                return Answer::Cancelled(cancel(database, Scope::Fleet, self.jobs[*job], "enough").await.unwrap());
            }
            Call::ClearBlame { stale } => return self.clear_blame(stale).await,
            Call::Pass { seconds } => {
                self.ahead_s += seconds;
                set_clock(&mut self.owner, self.epoch + Duration::from_secs(self.ahead_s.unsigned_abs())).await;
            }
        }
        Answer::Nothing
    }

    async fn start(&mut self, process: Process) {
        assert_eq!(process, self.processes.len());
        let id = Uuid::now_v7();
        let new = NewWorker {
            id,
            name: format!("host:{process}"),
            pid: 1,
            queues: vec![self.queue.clone()],
            kinds: vec![KIND.to_owned()],
            concurrency: 8,
            isolated: false,
        };
        workers::register(&self.base.database, &new).await.unwrap();
        self.processes.push(id);
    }

    async fn enqueue(&mut self, delivery: Delivery, heard: Heard) -> Answer {
        let new = NewJob {
            queue: self.queue.clone(),
            kind: KIND.to_owned(),
            station: None,
            priority: delivery.priority,
            delay: Duration::from_secs(delivery.delay_s.unsigned_abs()),
            attempts_max: delivery.attempts_max,
            dedupe: Some(Dedupe { key: format!("{}/{}", self.queue, delivery.number), keep_for: Some(KEY_KEPT) }),
            parent: None,
            trace_parent: None,
            payload: json!({}),
        };
        let mut tx = self.base.begin().await;
        let enqueued = enqueue(&mut tx, &[new]).await.unwrap()[0];
        if heard == Heard::Unavailable {
            return Answer::Nothing;
        }
        tx.commit().await.unwrap();
        let known = self.jobs.iter().position(|job| *job == enqueued.id);
        let job = known.unwrap_or_else(|| {
            self.jobs.push(enqueued.id);
            self.jobs.len() - 1
        });
        Answer::Enqueued { job, fresh: enqueued.fresh }
    }

    async fn claim(&mut self, process: Process, limit: usize, suspect: bool) -> Answer {
        let (queues, kinds) = ([self.queue.clone()], [KIND.to_owned()]);
        let limit = u32::try_from(limit).unwrap();
        let wish = Claim { worker: self.processes[process], queues: &queues, kinds: &kinds, limit, lease: LEASE };
        let claimed = match suspect {
            true => claim_suspect(&self.base.database, &wish).await.unwrap().into_iter().collect(),
            false => claim(&self.base.database, &wish).await.unwrap(),
        };
        let Some(first) = claimed.first() else { return Answer::Nothing };
        let token = self.tokens.len();
        self.tokens.push(first.token);
        let mut attempts = BTreeMap::new();
        for one in claimed {
            assert_eq!(one.token, self.tokens[token], "a claim has one token");
            let job = self.number(one.key);
            attempts.insert(job, one.attempt);
            self.claims.insert((job, token), one);
        }
        Answer::Claimed { token, attempts }
    }

    async fn renew(&mut self, process: Process, tokens: &[Token]) -> Answer {
        let theirs: Vec<i64> = tokens.iter().map(|token| self.tokens[*token]).collect();
        let stand = self.renewer.renew(self.processes[process], &theirs, LEASE).await.unwrap();
        Answer::Stand(tokens.iter().copied().filter(|token| stand.contains(&self.tokens[*token])).collect())
    }

    async fn finish(&mut self, results: &[(Job, Token, Came)]) -> Answer {
        let outcomes: Vec<Outcome> =
            results.iter().map(|(job, token, came)| self.outcome(*job, *token, *came)).collect();
        // As a finisher does, which ends no lease of which a handler still has a job.
        let at_work = |token: &i64| self.open.values().any(|effect| effect.token == *token);
        let leases =
            results.iter().map(|(_, token, _)| self.tokens[*token]).filter(|token| !at_work(token)).collect::<Vec<_>>();
        let written = finish(&self.base.database, &outcomes, &leases).await.unwrap();
        let attempts = written.into_iter().map(|(key, token)| (self.number(key), self.claim_number(token)));
        Answer::Written(attempts.collect())
    }

    fn outcome(&self, job: Job, token: Token, came: Came) -> Outcome {
        let claimed = &self.claims[&(job, token)];
        let ending = match came {
            Came::GivenUp => Ending::Again { delay: Duration::ZERO, burned: false, outcome: "given_up", error: None },
            other => fate(other).ending(&BACKOFF, claimed.attempt, claimed.attempts_max, 1.0).unwrap(),
        };
        Outcome { held: claimed.held.clone(), ending }
    }

    /// What a finisher does after a handler has completed its job itself.
    async fn end_lease(&mut self, token: Token) {
        finish(&self.base.database, &[], &[self.tokens[token]]).await.unwrap();
    }

    async fn lock(&mut self, process: Process, job: Job, token: Token) -> Answer {
        let attempt = Attempt::new(&self.claims[&(job, token)], self.base.database.clone(), Wake::silent());
        let mut locked = match attempt.lock().await {
            Ok(locked) => locked,
            Err(Error::Stale) => return Answer::Stale,
            Err(error) => panic!("{error}"),
        };
        let write = "insert into public.ledger (job)
            select $1
            where not exists (select from public.ledger where job = $1)
            returning 1";
        let key = self.jobs[job].key();
        sqlx::query(write).bind(key).execute(&mut **locked.tx()).await.unwrap();
        let (pid,) = sqlx::query_as("select pg_backend_pid()").fetch_one(&mut **locked.tx()).await.unwrap();
        self.open.insert(process, Effect { locked, token: self.tokens[token], pid });
        Answer::Held
    }

    /// Drops a process' effect, and waits until the server has noticed.
    async fn roll_back(&mut self, process: Process) {
        let Some(Effect { locked, pid, .. }) = self.open.remove(&process) else { return };
        drop(locked);
        let there = format!("select count(*) from pg_stat_activity where pid = {pid}");
        let gone = async || self.base.count(&there).await == 0;
        eventually("the server ends the connection", Duration::from_secs(10), gone).await;
    }

    async fn scribble(&mut self, job: Job) {
        sqlx::query("insert into public.ledger (job) values ($1)")
            .bind(self.jobs[job].key())
            .execute(&mut self.owner)
            .await
            .unwrap();
    }

    async fn clear_blame(&mut self, stale: &[(Job, Token)]) -> Answer {
        let stale: Vec<(i64, i64)> =
            stale.iter().map(|(job, token)| (self.jobs[*job].key(), self.tokens[*token])).collect();
        let cleared = clear_blame(&self.base.database, &stale).await.unwrap();
        Answer::Cleared(usize::try_from(cleared).unwrap())
    }

    fn number(&self, key: i64) -> Job {
        self.jobs.iter().position(|job| job.key() == key).unwrap()
    }

    fn claim_number(&self, token: i64) -> Token {
        self.tokens.iter().position(|known| *known == token).unwrap()
    }
}

fn fate(came: Came) -> Fate {
    let retry = |fault, after_s: Option<i64>| Fate::Retry {
        error: "no".to_owned(),
        after: after_s.map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
        fault,
    };
    match came {
        Came::Done => Fate::Done(None),
        Came::Retry => retry(Fault::Error, None),
        Came::RetryAsked => retry(Fault::Error, Some(ASKED_S)),
        Came::TimedOut => retry(Fault::TimedOut, None),
        Came::Panicked => retry(Fault::Panicked, None),
        Came::Snooze => {
            Fate::Snooze { pause: Duration::from_secs(SNOOZE_S.unsigned_abs()), reason: "later".to_owned() }
        }
        Came::Cancel => Fate::Cancel("no more".to_owned()),
        Came::Dead => Fate::Dead("hopeless".to_owned()),
        Came::Interrupted => Fate::Interrupted,
        Came::GivenUp => Fate::Stale,
    }
}

/// Stops the queue's clock at a moment.
async fn set_clock(owner: &mut PgConnection, at: DateTime<Utc>) {
    let replace = format!(
        "create or replace function vtoc.clock() returns timestamptz language sql volatile parallel safe as 'select timestamptz ''{}'''",
        at.to_rfc3339()
    );
    sqlx::raw_sql(AssertSqlSafe(replace)).execute(owner).await.unwrap();
}

impl Drop for Real {
    fn drop(&mut self) {
        // Connections are only closed while the runtime runs.
        self.inner.open.clear();
        self.runtime.block_on(async { self.inner.owner.ping().await.ok() });
    }
}
