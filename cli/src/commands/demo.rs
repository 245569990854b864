//! `vtoc demo`: one chat message from the door to the answer, on a fleet of its own, told step by step as it is seen from
//! outside. The fleet is the same as anybody's; nothing in it knows that it is shown.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::demo::{Fleet, story};
use crate::progress::say;
use crate::stop_request::StopRequests;

/// Show one chat message on its way through a fleet that is started for it.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Leave the fleet running afterwards.
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let mut stop_requests = StopRequests::listen()?;
        let mut fleet = Fleet::prepare()?;
        let result = tokio::select! {
            told = tell(&mut fleet) => told.map(|()| ExitCode::SUCCESS),
            () = stop_requests.next() => Ok(ExitCode::FAILURE),
        };
        if self.keep && result.is_ok() {
            return fleet.keep().map(|()| ExitCode::SUCCESS);
        }
        if let Err(error) = result {
            let kept = fleet.stop_and_keep_logs().await.context("stop the fleet")?;
            return Err(error.context(format!("the demonstration didn't reach its end; logs: {}", kept.display())));
        }
        fleet.stop().await?;
        say("everything is stopped and removed");
        result
    }
}

async fn tell(fleet: &mut Fleet) -> Result<()> {
    let address = fleet.start().await?;
    story::tell(&address).await
}
