//! Audits of agent actions: what was asked for, by whom, and what came of it.

use hyper::StatusCode;
use jobs::{
    audits::{self, AuditFilter},
    tokens::TokenScope,
};

use crate::{
    auth,
    endpoint::{Answer, Call, Endpoint},
    error::ApiError,
    json,
    query::{self, Query},
};

const STATUSES: [&str; 4] = ["queued", "running", "succeeded", "failed"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/api/v1/agent-actions/audits", list), Endpoint::get("/api/v1/agent-actions/audits/{id}", find)]
}

async fn list(call: Call) -> Answer {
    let caller = auth::caller(&call, TokenScope::Read).await?;
    let query = Query::parse(call.query.as_deref(), &["status", "tool_name", "station", "limit", "cursor"])?;
    let (filter, page) = (filter(&query)?, query.page()?);
    let scope = auth::narrowed(&call, &caller, query.get("station")).await?;
    json::cacheable(&call.headers, &audits::list(&call.shared.database, scope, &filter, &page).await?)
}

fn filter(query: &Query) -> Result<AuditFilter, ApiError> {
    if query.get("status").is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(query::invalid("status", &format!("expected one of {}", STATUSES.join(", "))));
    }
    Ok(AuditFilter { status: query.owned("status"), tool_name: query.owned("tool_name") })
}

async fn find(call: Call) -> Answer {
    let caller = auth::caller(&call, TokenScope::Read).await?;
    Query::none(call.query.as_deref())?;
    let id = call.capture().parse().map_err(|_| ApiError::NotFound)?;
    let audit = audits::find(&call.shared.database, caller.scope(), id).await?;
    json::answer(StatusCode::OK, &audit.ok_or(ApiError::NotFound)?)
}
