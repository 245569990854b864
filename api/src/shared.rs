//! What every request shares: the way to `jobs`, and the settings of the front door. Nothing in here changes while
//! the process runs.

use jobs::{Database, accept::Door};

use crate::{body::BodyLimit, config::Config};

pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) door: Door,
    pub(crate) config: Config,
}

impl Shared {
    /// The limit of a webhook's body.
    pub(crate) fn webhook_limit(&self) -> BodyLimit {
        let limits = &self.config.limits;
        BodyLimit { bytes_max: limits.webhook_bytes_max, deadline: limits.body_deadline }
    }
}
