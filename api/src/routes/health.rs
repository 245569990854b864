//! Whether this process runs, and whether it can do its work. A fleet without workers is ready: taking work in
//! matters most then.

use hyper::StatusCode;
use serde::Serialize;

use crate::{
    endpoint::{Answer, Call, Endpoint},
    error::ApiError,
    json,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/healthz", healthz), Endpoint::get("/readyz", readyz)]
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    #[serde(flatten)]
    readiness: jobs::Readiness,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
}

async fn healthz(_: Call) -> Answer {
    json::answer(StatusCode::OK, &Health { status: "ok" })
}

async fn readyz(call: Call) -> Answer {
    let readiness = call.shared.database.readiness().await?;
    if !readiness.migrations_current {
        return Err(ApiError::NotMigrated);
    }
    let warning = (readiness.workers_live == 0)
        .then_some("no worker was seen within the last minute: jobs are queued, none runs");
    json::answer(StatusCode::OK, &Ready { status: "ready", readiness, warning })
}
