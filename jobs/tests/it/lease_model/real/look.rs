//! What is to be seen in Postgres: where each job of a run stands, how its attempts ended, and what the ledger holds.

use std::{borrow::Cow, collections::BTreeMap};

use jobs::queue::claim::look;
use uuid::Uuid;

use super::{
    super::call::{Answer, Job, Place, Process, Seen, Standing, Token},
    Inner, KIND,
};

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    place: String,
    attempt: i16,
    crash_count: i16,
    suspect: bool,
    due: bool,
    run_at_s: i64,
    token: i64,
    worker_id: Uuid,
    effects: i64,
}

impl Inner {
    pub(super) async fn look(&mut self, process: Process) -> Answer {
        let (queues, kinds) = ([self.queue.clone()], [KIND.to_owned()]);
        let look = look(&self.base.database, self.processes[process], &queues, &kinds).await.unwrap();
        Answer::Looked {
            promoted: usize::try_from(look.promoted).unwrap(),
            next_due_in_s: look.next_due_in.map(|wait| i64::try_from(wait.as_secs()).unwrap()),
            called_off: look.cancelled.into_iter().map(|(key, _)| self.number(key)).collect(),
        }
    }

    pub(super) async fn seen(&mut self) -> Seen {
        let keys: Vec<i64> = self.jobs.iter().map(|job| job.key()).collect();
        let rows: Vec<Row> = sqlx::query_as(
            "select s.*, (select count(*) from public.ledger l where l.job = s.id) as effects
            from (
                select id, 'ready' as place, attempt, crash_count, suspect, due,
                    extract(epoch from run_at - $2)::bigint as run_at_s, 0::bigint as token, $3::uuid as worker_id
                from vtoc.job_ready
                union all
                select id, 'running', attempt, crash_count, suspect, false, 0, token, worker_id
                from vtoc.job_running
                union all
                select id, state, attempt, 0::smallint, false, false, 0, 0, $3
                from vtoc.job_finished
            ) s
            where s.id = any($1)",
        )
        .bind(&keys)
        .bind(self.epoch)
        .bind(Uuid::nil())
        .fetch_all(&mut self.owner)
        .await
        .unwrap();
        let mut jobs = BTreeMap::new();
        for row in rows {
            let job = self.number(row.id);
            let doubled = jobs.insert(job, self.standing(row));
            assert!(doubled.is_none(), "job {job} stands in two places");
        }
        assert_eq!(jobs.len(), keys.len(), "a job stands nowhere: {jobs:?}");
        Seen { jobs, attempts: self.attempts(&keys).await }
    }

    fn standing(&self, row: Row) -> Standing {
        let place = match row.place.as_str() {
            "ready" => Place::Ready { run_at_s: row.run_at_s, due: row.due },
            "running" => Place::Running { token: self.token(row.token), process: self.process(row.worker_id) },
            "done" => Place::Done,
            "dead" => Place::Dead,
            "cancelled" => Place::Cancelled,
            other => panic!("a job is {other}"),
        };
        Standing {
            place,
            attempt: row.attempt,
            crash_count: row.crash_count,
            suspect: row.suspect,
            effects: usize::try_from(row.effects).unwrap(),
        }
    }

    async fn attempts(&mut self, keys: &[i64]) -> BTreeMap<(Job, Token), (i16, Cow<'static, str>)> {
        let rows: Vec<(i64, i64, i16, String)> = sqlx::query_as(
            "select job_id, token, attempt, outcome from vtoc.job_attempt where job_id = any($1) and outcome <> 'done'",
        )
        .bind(keys)
        .fetch_all(&mut self.owner)
        .await
        .unwrap();
        let named =
            |(key, token, attempt, outcome)| ((self.number(key), self.token(token)), (attempt, Cow::Owned(outcome)));
        rows.into_iter().map(named).collect()
    }

    fn token(&self, token: i64) -> Token {
        self.tokens.iter().position(|known| *known == token).unwrap()
    }

    fn process(&self, id: Uuid) -> Process {
        self.processes.iter().position(|known| *known == id).unwrap()
    }
}
