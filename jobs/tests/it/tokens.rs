//! Bearer tokens: who they let in as whom, that the table holds no secret, and that an ended one is ended.

use jobs::{
    Error, Scope,
    stations::Role,
    testing::TestDatabase,
    tokens::{self, TokenScope, authenticate, bootstrap, create, revoke},
};

#[tokio::test]
async fn a_stations_token_lets_in_as_that_station_with_its_scopes() {
    let base = TestDatabase::new().await;
    let station = base.station("toc-s1", Role::Intel).await;
    let new = create(&base.database, "console", Some("toc-s1"), &[TokenScope::Read, TokenScope::Ingest]).await.unwrap();
    let principal = authenticate(&base.database, &new.secret).await.unwrap().unwrap();
    assert_eq!(principal.scope(), Scope::Station(station.id));
    assert_eq!((principal.token_id, principal.name.as_str()), (new.token.id, "console"));
    assert_eq!(principal.station, Some(station));
    assert!(principal.may(TokenScope::Ingest) && principal.may(TokenScope::Read));
    assert!(!principal.may(TokenScope::Operate) && !principal.may(TokenScope::Admin));
}

#[tokio::test]
async fn a_token_without_a_station_is_the_fleets() {
    let base = TestDatabase::new().await;
    let new = create(&base.database, "ops", None, &[TokenScope::Operate]).await.unwrap();
    assert_eq!(authenticate(&base.database, &new.secret).await.unwrap().unwrap().scope(), Scope::Fleet);
}

#[tokio::test]
async fn nothing_else_lets_anybody_in() {
    let base = TestDatabase::new().await;
    let new = create(&base.database, "ops", None, &[TokenScope::Read]).await.unwrap();
    let id = new.token.id.to_string();
    for bearer in ["", "vtoc_", "ops", id.as_str(), &new.secret[1..], &new.secret.to_uppercase(), "\0"] {
        assert!(authenticate(&base.database, bearer).await.unwrap().is_none(), "{bearer:?}");
    }
}

#[tokio::test]
async fn the_secret_is_in_no_row() {
    let base = TestDatabase::new().await;
    let new = create(&base.database, "ops", None, &[TokenScope::Read]).await.unwrap();
    let row = base.text("select t::text || encode(t.hash, 'escape') from vtoc.token t").await.unwrap();
    assert!(!row.contains(&new.secret) && !row.contains(new.secret.trim_start_matches("vtoc_")));
}

#[tokio::test]
async fn a_revoked_token_is_nobodys_and_may_be_revoked_once() {
    let base = TestDatabase::new().await;
    let by_name = create(&base.database, "one", None, &[TokenScope::Read]).await.unwrap();
    let by_id = create(&base.database, "two", None, &[TokenScope::Read]).await.unwrap();
    for (token, handle) in [(&by_name, "one".to_owned()), (&by_id, by_id.token.id.to_string())] {
        assert!(revoke(&base.database, &handle).await.unwrap());
        assert!(!revoke(&base.database, &handle).await.unwrap());
        assert!(authenticate(&base.database, &token.secret).await.unwrap().is_none());
    }
    assert!(!revoke(&base.database, "three").await.unwrap());
    assert!(tokens::list(&base.database).await.unwrap().iter().all(|token| token.revoked_at.is_some()));
}

#[tokio::test]
async fn a_name_in_use_an_unknown_station_and_no_scope_are_refused_by_field() {
    let base = TestDatabase::new().await;
    create(&base.database, "ops", None, &[TokenScope::Read]).await.unwrap();
    let field = |refused: Result<tokens::NewToken, Error>| match refused {
        Err(Error::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(create(&base.database, "ops", None, &[TokenScope::Read]).await), "name");
    assert_eq!(field(create(&base.database, "new", Some("toc-s9"), &[TokenScope::Read]).await), "station");
    assert_eq!(field(create(&base.database, "new", None, &[]).await), "scope");
    assert_eq!(tokens::list(&base.database).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_bootstrap_token_is_admin_replaces_the_one_before_and_may_be_set_again() {
    let base = TestDatabase::new().await;
    let (old, new) = ("o".repeat(32), "n".repeat(32));
    assert!(matches!(bootstrap(&base.database, &"x".repeat(31)).await, Err(Error::Invalid { .. })));
    for secret in [&old, &old, &new] {
        bootstrap(&base.database, secret).await.unwrap();
        assert!(authenticate(&base.database, secret).await.unwrap().unwrap().may(TokenScope::Admin));
    }
    assert!(authenticate(&base.database, &old).await.unwrap().is_none());
    assert_eq!(tokens::list(&base.database).await.unwrap().len(), 1);
}
