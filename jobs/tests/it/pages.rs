//! Lists of jobs: every state's pages hold each row exactly once while new rows arrive, for the fleet and for a station,
//! and a station sees its own only.

use std::collections::BTreeSet;

use jobs::{
    Error, JobId, PageRequest, Scope, StationId,
    inspect::{self, JobFilter, State},
    queue::{Ending, NewJob},
    stations::Role,
};

use crate::fleet::{Fleet, done, ended, job};

const ROWS: usize = 23;

/// Brings `count` new jobs into `state`.
async fn bring(fleet: &Fleet, state: State, count: usize, station: Option<StationId>) -> BTreeSet<JobId> {
    let new = fleet.enqueue(&vec![NewJob { station, ..job() }; count]).await;
    if state != State::Ready {
        let claimed = fleet.claim(100).await;
        let outcome = |one| match state {
            State::Dead => ended(one, Ending::Dead { outcome: "dead", error: "no".to_owned() }),
            State::Cancelled => ended(one, Ending::Cancelled("enough".to_owned())),
            _ => done(one),
        };
        if state != State::Running {
            fleet.finish(&claimed.iter().map(outcome).collect::<Vec<_>>()).await;
        }
    }
    new.into_iter().map(|one| one.id).collect()
}

/// Walks all pages, bringing one more job into the state after each.
async fn walk(fleet: &Fleet, scope: Scope, state: State, station: Option<StationId>) -> Vec<JobId> {
    let filter = JobFilter { state: Some(state), ..JobFilter::default() };
    let (mut request, mut seen) = (PageRequest { limit: 5, cursor: None }, Vec::new());
    loop {
        let page = inspect::jobs(fleet.database(), scope, &filter, &request).await.unwrap();
        assert!(page.items.len() <= 5 && page.items.iter().all(|view| view.state == state));
        seen.extend(page.items.iter().map(|view| view.id));
        let Some(cursor) = page.next_cursor else { return seen };
        bring(fleet, state, 1, station).await;
        request.cursor = Some(cursor);
    }
}

#[tokio::test]
async fn pages_of_each_state_hold_every_job_once_while_more_arrive() {
    for state in [State::Ready, State::Running, State::Done, State::Dead, State::Cancelled] {
        let fleet = Fleet::new().await;
        let brought = bring(&fleet, state, ROWS, None).await;
        let seen = walk(&fleet, Scope::Fleet, state, None).await;
        assert_eq!((seen.len(), seen.iter().copied().collect::<BTreeSet<_>>()), (ROWS, brought), "{state:?}");
    }
}

#[tokio::test]
async fn a_stations_pages_hold_its_own_jobs_once_and_no_other() {
    for state in [State::Ready, State::Running, State::Done, State::Dead, State::Cancelled] {
        let fleet = Fleet::new().await;
        let (one, two) = (fleet.base.station("one", Role::Ops).await.id, fleet.base.station("two", Role::Ops).await.id);
        bring(&fleet, state, 7, Some(two)).await;
        let brought = bring(&fleet, state, ROWS, Some(one)).await;
        bring(&fleet, state, 7, None).await;
        let seen = walk(&fleet, Scope::Station(one), state, Some(two)).await;
        assert_eq!((seen.len(), seen.into_iter().collect::<BTreeSet<_>>()), (ROWS, brought), "{state:?}");
    }
}

#[tokio::test]
async fn a_station_sees_the_worker_of_its_own_job_and_nothing_of_anothers() {
    let fleet = Fleet::new().await;
    let (one, two) = (fleet.base.station("one", Role::Ops).await.id, fleet.base.station("two", Role::Ops).await.id);
    let own = fleet.running(NewJob { station: Some(one), ..job() }).await;
    let running = inspect::job(fleet.database(), Scope::Station(one), own.id).await.unwrap().unwrap();
    assert_eq!((running.job.state, running.job.worker), (State::Running, Some(format!("host:{}", fleet.worker))));
    assert!(inspect::job(fleet.database(), Scope::Station(two), own.id).await.unwrap().is_none());
    assert!(inspect::attempts(fleet.database(), Scope::Station(two), own.id).await.unwrap().is_none());
    fleet.finish(&[done(&own)]).await;
    let attempts = inspect::attempts(fleet.database(), Scope::Station(one), own.id).await.unwrap().unwrap();
    assert_eq!(attempts.iter().map(|attempt| attempt.outcome.as_str()).collect::<Vec<_>>(), ["done"]);
    assert_eq!(attempts[0].worker, Some(format!("host:{}", fleet.worker)));
}

#[tokio::test]
async fn all_jobs_whatever_their_state_are_one_list() {
    let fleet = Fleet::new().await;
    for state in [State::Done, State::Dead, State::Running, State::Ready] {
        bring(&fleet, state, 3, None).await;
    }
    let request = |limit, cursor| PageRequest { limit, cursor };
    let first = inspect::jobs(fleet.database(), Scope::Fleet, &JobFilter::default(), &request(9, None)).await.unwrap();
    let rest = inspect::jobs(fleet.database(), Scope::Fleet, &JobFilter::default(), &request(9, first.next_cursor))
        .await
        .unwrap();
    let states: Vec<State> = first.items.iter().chain(&rest.items).map(|view| view.state).collect();
    let expected = [State::Ready, State::Running, State::Dead, State::Done].map(|state| [state; 3]).concat();
    assert_eq!((states, rest.next_cursor), (expected, None));
}

#[tokio::test]
async fn filters_narrow_a_list() {
    let fleet = Fleet::new().await;
    let one = fleet.base.station("one", Role::Ops).await.id;
    let other_kind = NewJob { kind: "measure".to_owned(), ..job() };
    fleet.enqueue(&[job(), other_kind, NewJob { station: Some(one), ..job() }]).await;
    let count = async |filter: JobFilter| {
        inspect::jobs(fleet.database(), Scope::Fleet, &filter, &PageRequest::default()).await.unwrap().items.len()
    };
    for state in [None, Some(State::Ready)] {
        let filter = || JobFilter { state, ..JobFilter::default() };
        assert_eq!(count(JobFilter { kind: Some("measure".to_owned()), ..filter() }).await, 1);
        assert_eq!(count(JobFilter { station: Some(one), ..filter() }).await, 1);
        assert_eq!(count(JobFilter { queue: Some("nowhere".to_owned()), ..filter() }).await, 0);
        assert_eq!(count(filter()).await, 3);
    }
}

#[tokio::test]
async fn a_foreign_cursor_and_a_limit_out_of_range_are_refused() {
    let fleet = Fleet::new().await;
    let ask = async |state, limit, cursor: Option<&str>| {
        let request = PageRequest { limit, cursor: cursor.map(str::to_owned) };
        inspect::jobs(fleet.database(), Scope::Fleet, &JobFilter { state, ..JobFilter::default() }, &request).await
    };
    for state in [None, Some(State::Ready), Some(State::Done)] {
        assert!(matches!(ask(state, 5, Some("x")).await, Err(Error::BadCursor)));
        for limit in [0, 501] {
            assert!(matches!(ask(state, limit, None).await, Err(Error::Invalid { field: "limit", .. })));
        }
    }
}
