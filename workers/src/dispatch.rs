//! From an envelope to the kind that knows it.

use std::sync::Arc;

use apalis_core::error::BoxDynError;
use jobs::{
    Database, Wake,
    kinds::{Cx, Kinds, Services},
    queue::{Attempt, Fate},
};

use crate::flights::Boarded;

/// What every handler of the process shares.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) kinds: Kinds,
    pub(crate) services: Arc<Services>,
    pub(crate) database: Database,
    pub(crate) wake: Wake,
}

/// Runs one job.
pub(crate) async fn dispatch(job: Boarded, room: Arc<Room>) -> Result<Fate, BoxDynError> {
    let Some(kind) = room.kinds.get(&job.claimed.kind) else {
        // The claim asks for known kinds only.
        return Ok(Fate::Interrupted);
    };
    let attempt = Attempt::new(&job.claimed, room.database.clone(), room.wake.clone());
    Ok(kind.run(job.claimed.payload, Cx { attempt, services: Arc::clone(&room.services) }).await)
}
