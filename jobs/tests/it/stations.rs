//! Stations: who is found by which name, and what a name may not become.

use jobs::{
    Error, Scope,
    stations::{NewStation, Role, find, list, register},
    testing::TestDatabase,
};

fn new(slug: &str, callsign: &str, role: Role) -> NewStation {
    NewStation {
        slug: slug.to_owned(),
        callsign: callsign.to_owned(),
        role,
        time_zone: "UTC".to_owned(),
        default_channel: "ch".to_owned(),
    }
}

#[tokio::test]
async fn a_slug_wins_over_an_id_that_looks_the_same() {
    let base = TestDatabase::new().await;
    let first = base.station("toc-s1", Role::Ops).await;
    let id = first.id.0.to_string();
    assert_eq!(find(&base.database, Scope::Fleet, &id).await.unwrap(), Some(first));
    let named = base.station(&id, Role::Intel).await;
    assert_eq!(find(&base.database, Scope::Fleet, &id).await.unwrap(), Some(named));
}

#[tokio::test]
async fn a_station_finds_itself_and_no_other() {
    let base = TestDatabase::new().await;
    let (own, other) = (base.station("one", Role::Ops).await, base.station("two", Role::Ops).await);
    let scope = Scope::Station(own.id);
    assert_eq!(find(&base.database, scope, "two").await.unwrap(), None);
    assert_eq!(find(&base.database, scope, &other.id.0.to_string()).await.unwrap(), None);
    assert_eq!(list(&base.database, scope).await.unwrap(), [own]);
}

#[tokio::test]
async fn registering_again_brings_up_to_date_and_never_changes_the_role() {
    let base = TestDatabase::new().await;
    let first = register(&base.database, &new("toc-s1", "ONE", Role::Ops)).await.unwrap();
    let again = register(&base.database, &new("toc-s1", "UNO", Role::Ops)).await.unwrap();
    assert_eq!((again.id, again.callsign.as_str()), (first.id, "UNO"));
    let moved = register(&base.database, &new("toc-s1", "DOS", Role::Intel)).await;
    assert!(matches!(moved, Err(Error::Invalid { field: "role", .. })), "{moved:?}");
    assert_eq!(find(&base.database, Scope::Fleet, "toc-s1").await.unwrap(), Some(again));
}

#[tokio::test]
async fn what_the_table_refuses_is_told_by_field() {
    let base = TestDatabase::new().await;
    for (slug, callsign, refused) in
        [("TOC", "C", "slug"), ("-a", "C", "slug"), ("", "C", "slug"), ("ok", "", "callsign")]
    {
        let answer = register(&base.database, &new(slug, callsign, Role::Ops)).await;
        assert!(matches!(&answer, Err(Error::Invalid { field, .. }) if *field == refused), "{slug:?}: {answer:?}");
    }
}
