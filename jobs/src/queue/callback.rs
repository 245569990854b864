//! Answers from outside. A token is known before it leaves the house, so that an answer may overtake the wait for it, and
//! every token a job has given out since its last wait counts, so that an attempt lost on the way takes no answer with it.

use std::fmt;

use rand::Rng;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Held,
    enqueue::PAYLOAD_MAX,
    wait::{By, wake},
};
use crate::{
    Database, Error, Scope,
    database::Line,
    database::{as_fleet, as_scope},
    nul,
};

/// What an answer must come with: whoever has it may answer. Stored as SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackToken(String);

impl CallbackToken {
    /// 256 random bits.
    pub(super) fn new() -> Self {
        let mut bytes = [0_u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(hex::encode(bytes))
    }

    /// The secret, for the far side.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CallbackToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackToken(…)")
    }
}

/// What came of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It ended the wait, or will end it as soon as it begins; so it did when it came before.
    Woken,
    /// No such token in the caller's scope.
    Unknown,
    /// The wait was over, or the job has ended.
    Late,
}

/// Lets the job answer to `token`.
pub(super) async fn promise(tx: &mut Line, token: &CallbackToken, held: &Held) -> Result<(), Error> {
    sqlx::query!(
        "insert into vtoc.job_callback (token_sha256, job_id, claim) values ($1, $2, $3)",
        &sha256(token.secret())[..],
        held.key,
        held.token
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Answers a token, for a caller who may see its job in `scope`. The first answer counts; a repeat, whatever it says, changes
/// nothing and is told the same.
///
/// # Errors
/// [`Error::Invalid`] for an answer over [`PAYLOAD_MAX`] or with a NUL character, [`Error::Unavailable`].
pub async fn answer(database: &Database, scope: Scope, token: &str, answer: &Value) -> Result<Answered, Error> {
    if answer.to_string().len() > PAYLOAD_MAX {
        return Err(Error::invalid("answer", format!("over {PAYLOAD_MAX} bytes")));
    }
    if nul::is_in(answer) {
        return Err(Error::invalid("answer", "a text with a NUL character, which the database can't hold"));
    }
    let token = sha256(token);
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let callback = sqlx::query!(
                r#"select job_id, claim, answered_at is not null as "answered!"
                from vtoc.job_callback
                where token_sha256 = $1
                for update"#,
                &token[..]
            )
            .fetch_optional(&mut *tx)
            .await?;
            let Some(callback) = callback else {
                tx.commit().await?;
                return Ok(Answered::Unknown);
            };
            as_scope(&mut tx, scope).await?;
            let seen =
                sqlx::query!("select from vtoc.job where id = $1", callback.job_id).fetch_optional(&mut *tx).await?;
            as_fleet(&mut tx).await?;
            let answered = match seen {
                None => Answered::Unknown,
                Some(_) if callback.answered => Answered::Woken,
                Some(_) => take(&mut tx, callback.job_id, callback.claim, answer, &token).await?,
            };
            tx.commit().await?;
            Ok(answered)
        })
        .await
}

/// Takes the first answer to a locked token.
async fn take(tx: &mut Line, job: i64, claim: i64, answer: &Value, token: &[u8; 32]) -> Result<Answered, Error> {
    // Whoever ends the wait at this moment is waited for here, so that what follows sees it.
    let waits = sqlx::query!("select from vtoc.job_waiting where id = $1 and what = 'callback' for update", job)
        .fetch_optional(&mut *tx)
        .await?
        .is_some();
    let late = sqlx::query_scalar!(
        r#"select exists (select from vtoc.job_woken where job_id = $1 and claim >= $2)
            or exists (select from vtoc.job_finished where id = $1) as "late!""#,
        job,
        claim
    )
    .fetch_one(&mut *tx)
    .await?;
    if late {
        return Ok(Answered::Late);
    }
    sqlx::query!(
        "update vtoc.job_callback set answered_at = vtoc.clock(), answer = $2 where token_sha256 = $1",
        &token[..],
        answer
    )
    .execute(&mut *tx)
    .await?;
    if waits {
        wake(tx, By::Callback, &[job], &[Some(answer.clone())]).await?;
    }
    Ok(Answered::Woken)
}

/// Wakes those of `waiting` whose answer came before their wait.
pub(super) async fn answered_early(tx: &mut Line, waiting: &[i64]) -> Result<(), Error> {
    if waiting.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        // An answer that comes at this moment is waited for here, or waits and finds the job waiting.
        r#"with token as materialized (
            select job_id, claim, answered_at, answer
            from vtoc.job_callback
            where job_id = any($1)
            order by token_sha256
            for update
        )
        select distinct on (t.job_id) t.job_id as "job_id!", t.answer
        from token t
        left join vtoc.job_woken w on w.job_id = t.job_id
        where t.answered_at is not null and t.claim > coalesce(w.claim, -1)
        order by t.job_id, t.answered_at"#,
        waiting
    )
    .fetch_all(&mut *tx)
    .await?;
    if !rows.is_empty() {
        let (jobs, answers): (Vec<i64>, Vec<Option<Value>>) =
            rows.into_iter().map(|row| (row.job_id, row.answer)).unzip();
        wake(tx, By::Callback, &jobs, &answers).await?;
    }
    Ok(())
}

fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
