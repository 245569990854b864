//! For tests, ours and those of people who write kinds: a database of one's own, cloned from a migrated template on the
//! cluster that `VTOC_TEST_DATABASE_URL` names (`scripts/test` starts one), a clock to move, and assertions about what
//! is queued. What runs a job in the test's own process is `workers::testing`.

mod assertions;
mod claim_job;
mod clock;
mod database;
mod expected;
mod pooler;
mod queued;
mod services;
mod template;
mod wait;

pub use self::{
    assertions::{assert_enqueued, refute_enqueued},
    claim_job::claim_job,
    database::TestDatabase,
    expected::Expected,
    pooler::Pooler,
    queued::{Queued, newest_key, queued},
    services::{services, services_posting_to},
    wait::eventually,
};
