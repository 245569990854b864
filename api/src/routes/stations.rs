//! Stations, by slug or id.

use hyper::StatusCode;
use jobs::{
    stations::{self, Station},
    tokens::TokenScope,
};
use serde::Serialize;

use crate::{
    auth,
    endpoint::{Answer, Call, Endpoint},
    error::ApiError,
    json,
    query::Query,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/api/v1/stations", list), Endpoint::get("/api/v1/stations/{id}", find)]
}

/// All of them: an installation has few, so this list has no pages.
#[derive(Serialize)]
struct Stations {
    items: Vec<Station>,
    next_cursor: Option<String>,
}

async fn list(call: Call) -> Answer {
    let caller = auth::caller(&call, TokenScope::Read).await?;
    Query::none(call.query.as_deref())?;
    let scope = auth::narrowed(&call, &caller, None).await?;
    let items = stations::list(&call.shared.database, scope).await?;
    json::cacheable(&call.headers, &Stations { items, next_cursor: None })
}

async fn find(call: Call) -> Answer {
    let caller = auth::caller(&call, TokenScope::Read).await?;
    Query::none(call.query.as_deref())?;
    let station = stations::find(&call.shared.database, caller.scope(), call.capture()).await?;
    json::answer(StatusCode::OK, &station.ok_or(ApiError::NotFound)?)
}
