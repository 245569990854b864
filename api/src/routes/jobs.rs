//! Looking at jobs: lists, one with its payload, and its attempts; and running one again.

use hyper::StatusCode;
use jobs::{
    JobId,
    inspect::{self, JobFilter},
    queue::dead::{self, Retried},
    tokens::TokenScope,
};

use crate::{
    auth,
    endpoint::{Answer, Call, Endpoint},
    error::ApiError,
    json,
    query::Query,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/v1/jobs", list),
        Endpoint::get("/api/v1/jobs/{id}", find),
        Endpoint::get("/api/v1/jobs/{id}/attempts", attempts),
        Endpoint::post("/api/v1/jobs/{id}/retry", retry),
    ]
}

async fn list(call: Call) -> Answer {
    let caller = auth::caller(&call, TokenScope::Read).await?;
    let query = Query::parse(call.query.as_deref(), &["state", "kind", "queue", "station", "limit", "cursor"])?;
    let (filter, page) = (filter(&query)?, query.page()?);
    let scope = auth::narrowed(&call, &caller, query.get("station")).await?;
    json::cacheable(&call.headers, &inspect::jobs(&call.shared.database, scope, &filter, &page).await?)
}

/// The station narrows the scope instead.
fn filter(query: &Query) -> Result<JobFilter, ApiError> {
    let state = query.get("state").map(str::parse).transpose()?;
    Ok(JobFilter { state, kind: query.owned("kind"), queue: query.owned("queue"), station: None })
}

async fn find(call: Call) -> Answer {
    let caller = auth::caller(&call, TokenScope::Read).await?;
    Query::none(call.query.as_deref())?;
    let job = inspect::job(&call.shared.database, caller.scope(), id(&call)?).await?;
    json::answer(StatusCode::OK, &job.ok_or(ApiError::NotFound)?)
}

async fn attempts(call: Call) -> Answer {
    let caller = auth::caller(&call, TokenScope::Read).await?;
    Query::none(call.query.as_deref())?;
    let attempts = inspect::attempts(&call.shared.database, caller.scope(), id(&call)?).await?;
    json::cacheable(&call.headers, &attempts.ok_or(ApiError::NotFound)?)
}

/// Answers with the job as it is afterwards.
async fn retry(call: Call) -> Answer {
    let caller = auth::caller(&call, TokenScope::Operate).await?;
    Query::none(call.query.as_deref())?;
    let (database, scope, id) = (&call.shared.database, caller.scope(), id(&call)?);
    match dead::retry(database, scope, &[id]).await?.pop() {
        Some(Retried::Again) => {}
        Some(Retried::KeyTaken { by }) => return Err(ApiError::KeyTaken { by }),
        Some(Retried::NotEnded) => return Err(ApiError::NotEnded),
        Some(Retried::Unknown) | None => return Err(ApiError::NotFound),
    }
    json::answer(StatusCode::OK, &inspect::job(database, scope, id).await?.ok_or(ApiError::NotFound)?)
}

/// What isn't an id names no job.
fn id(call: &Call) -> Result<JobId, ApiError> {
    call.capture().parse().map_err(|_| ApiError::NotFound)
}
