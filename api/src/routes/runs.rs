//! Playbook runs with their steps.

use hyper::StatusCode;
use jobs::{runs, tokens::TokenScope};

use crate::{
    auth,
    endpoint::{Answer, Call, Endpoint},
    error::ApiError,
    json,
    query::Query,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/api/v1/agentkit/runs", list), Endpoint::get("/api/v1/agentkit/runs/{id}", find)]
}

async fn list(call: Call) -> Answer {
    let caller = auth::caller(&call, TokenScope::Read).await?;
    let query = Query::parse(call.query.as_deref(), &["station", "limit", "cursor"])?;
    let page = query.page()?;
    let scope = auth::narrowed(&call, &caller, query.get("station")).await?;
    json::cacheable(&call.headers, &runs::list(&call.shared.database, scope, &page).await?)
}

async fn find(call: Call) -> Answer {
    let caller = auth::caller(&call, TokenScope::Read).await?;
    Query::none(call.query.as_deref())?;
    let id = call.capture().parse().map_err(|_| ApiError::NotFound)?;
    let run = runs::find(&call.shared.database, caller.scope(), id).await?;
    json::answer(StatusCode::OK, &run.ok_or(ApiError::NotFound)?)
}
