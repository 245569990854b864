//! On whose behalf a job is: never on that of another station's job, unless that job waits for it.

use jobs::{
    queue::{NewJob, family},
    stations::Role,
};

use crate::fleet::{Fleet, job};

#[tokio::test]
async fn a_job_acts_on_behalf_of_no_other_stations_job_unless_it_is_that_jobs_child() {
    let fleet = Fleet::new().await;
    let (one, two) = (fleet.base.station("one", Role::Ops).await.id, fleet.base.station("two", Role::Ops).await.id);
    let of = |station, parent| NewJob { station, parent, ..job() };
    let owner = fleet.running(of(Some(one), None)).await;
    let fleets = fleet.running(of(None, None)).await;
    for (station, parent, seen) in [
        (Some(one), owner.id, Some(owner.id)),
        (Some(two), owner.id, None),
        (None, owner.id, None),
        (Some(one), fleets.id, None),
        (None, fleets.id, Some(fleets.id)),
    ] {
        let claimed = fleet.running(of(station, Some(parent))).await;
        assert_eq!(fleet.attempt(&claimed).parent().await.unwrap(), seen, "{station:?}");
    }
    let mut tx = fleet.begin().await;
    family::enqueue(&mut tx, fleets.id, &[of(Some(one), None)]).await.unwrap();
    tx.commit().await.unwrap();
    let child = fleet.claim(1).await.remove(0);
    assert_eq!(fleet.attempt(&child).parent().await.unwrap(), Some(fleets.id));
}
