//! `update_audit`: moves the audit of an agent action forward. Late and repeated updates change nothing.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Cx, Failure, Kind, Policy};
use crate::{
    audits::{self, AuditStatus},
    queue::Fate,
};

/// The payload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpdateAudit {
    /// Which audit.
    pub audit: Uuid,
    /// Where it should stand.
    pub status: AuditStatus,
    /// What came of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Kind for UpdateAudit {
    const NAME: &'static str = "update_audit";
    const POLICY: Policy = Policy::effect("audit");

    async fn run(self, cx: &Cx) -> Result<Fate, Failure> {
        let station = cx.station()?;
        let mut held = cx.attempt.lock().await?;
        let (result, error) = (self.result.as_ref(), self.error.as_deref());
        let changed = audits::advance(held.tx(), station, self.audit, self.status, result, error).await?;
        held.complete(Some(serde_json::json!({ "changed": changed }))).await?;
        Ok(Fate::Committed)
    }
}
