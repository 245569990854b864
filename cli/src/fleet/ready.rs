//! The wait until a fleet that was just started can be used: its front door says so, and its workers have reported there.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::supervised::Supervised;
use super::{Fleet, Setting};
use crate::front_door::FrontDoor;
use crate::log_file;

const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A process that died so often while starting won't come up by itself.
const DEATHS_MAX: u32 = 3;

pub(super) async fn wait(fleet: &Fleet, setting: &Setting<'_>) -> Result<()> {
    let door = FrontDoor::new(format!("http://127.0.0.1:{}", setting.port), setting.admin_token.expose())?;
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = door.get("/readyz").await;
        if answer.as_ref().is_ok_and(|body| is_ready(body, setting.workers)) {
            return Ok(());
        }
        if let Some(name) = hopeless(fleet) {
            let log = setting.folder.log(&name);
            bail!("{name} doesn't stay up; the end of {}:\n{}", log.display(), log_file::tail(&log));
        }
        if Instant::now() >= deadline {
            let last = answer.map_or_else(|error| format!("{error:#}"), |body| body.to_string());
            bail!(
                "the fleet isn't ready after {} s; last answer of /readyz: {last}; logs: {}",
                DEADLINE.as_secs(),
                setting.folder.path().join("log").display()
            );
        }
        sleep(LOOK_EVERY).await;
    }
}

fn is_ready(body: &Value, workers: u16) -> bool {
    body["workers_live"].as_u64().is_some_and(|live| live >= u64::from(workers))
}

fn hopeless(fleet: &Fleet) -> Option<String> {
    let given_up = |supervised: &&Supervised| supervised.deaths() >= DEATHS_MAX;
    std::iter::once(&fleet.api).chain(&fleet.workers).find(given_up).map(|supervised| supervised.name().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_worker_must_have_reported() {
        assert!(is_ready(&json!({"workers_live": 2}), 2));
        assert!(!is_ready(&json!({"workers_live": 1}), 2));
        assert!(!is_ready(&json!({"status": "ok"}), 1));
        assert!(is_ready(&json!({"workers_live": 0}), 0));
    }
}
