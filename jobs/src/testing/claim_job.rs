//! Claiming one job by its id, through the claim that workers use: for that moment the others of its queue and kind are
//! not due.

use std::time::Duration;

use uuid::Uuid;

use super::TestDatabase;
use crate::{
    JobId, Scope, inspect,
    queue::{
        Claimed,
        claim::{Claim, claim, claim_suspect},
    },
};

/// Takes `job` under a lease of `worker`, whether its time has come or not.
///
/// # Panics
/// When the job doesn't wait, or a worker took it meanwhile.
pub async fn claim_job(db: &TestDatabase, worker: Uuid, lease: Duration, job: JobId) -> Claimed {
    let mut tx = db.begin().await;
    let row: Option<(String, String, bool)> =
        sqlx::query_as("update vtoc.job_ready set due = true where id = $1 returning queue, kind, suspect")
            .bind(job.key())
            .fetch_optional(&mut *tx)
            .await
            .expect("the statement is right");
    let Some((queue, kind, suspect)) = row else {
        panic!("job {job} can't be claimed: {}", standing(db, job).await);
    };
    let others: Vec<i64> = sqlx::query_scalar(
        "update vtoc.job_ready
        set due = false
        where due and id <> $1 and queue = $2 and kind = $3 and suspect = $4
        returning id",
    )
    .bind(job.key())
    .bind(&queue)
    .bind(&kind)
    .bind(suspect)
    .fetch_all(&mut *tx)
    .await
    .expect("the statement is right");
    tx.commit().await.expect("the test cluster answers");
    let wish = Claim { worker, queues: &[queue], kinds: &[kind], limit: 1, lease };
    let claimed = if suspect {
        claim_suspect(&db.database, &wish).await
    } else {
        claim(&db.database, &wish).await.map(|mut claimed| claimed.pop())
    };
    sqlx::query("update vtoc.job_ready set due = true where id = any($1)")
        .bind(&others)
        .execute(&mut db.owner().await)
        .await
        .expect("the statement is right");
    claimed
        .expect("the test cluster answers")
        .filter(|claimed| claimed.id == job)
        .unwrap_or_else(|| panic!("job {job} was taken by somebody else: does a worker run beside this test?"))
}

async fn standing(db: &TestDatabase, job: JobId) -> String {
    match inspect::job(&db.database, Scope::Fleet, job).await.expect("the test cluster answers") {
        Some(found) => format!("it is {}", format!("{:?}", found.job.state).to_lowercase()),
        None => "there is no such job".to_owned(),
    }
}
