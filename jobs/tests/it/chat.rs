//! The built-in chat's tables: a repeated key is the same message, and pages hold every message once.

use std::collections::HashSet;

use futures::future::join_all;
use jobs::{
    Error, PageRequest,
    chat::{NewMessage, Posting, messages, post, put_channel},
    stations::Role,
    testing::TestDatabase,
};
use serde_json::json;

fn saying(text: &str) -> NewMessage {
    NewMessage { text: text.to_owned(), thread: None, blocks: None, metadata: json!({}) }
}

async fn with_channel() -> TestDatabase {
    let base = TestDatabase::new().await;
    put_channel(&base.database, "ops").await.unwrap();
    base
}

#[tokio::test]
async fn a_repeated_key_is_the_same_message_and_another_text_under_it_is_refused() {
    let base = with_channel().await;
    let Posting::Created(first) = post(&base.database, "ops", saying("hello"), Some("k")).await.unwrap() else {
        panic!("not created")
    };
    let Posting::Repeated(again) = post(&base.database, "ops", saying("hello"), Some("k")).await.unwrap() else {
        panic!("not repeated")
    };
    assert_eq!(again.id, first.id);
    assert!(matches!(post(&base.database, "ops", saying("other"), Some("k")).await.unwrap(), Posting::KeyReused));
    let in_thread = NewMessage { thread: Some("t".to_owned()), ..saying("hello") };
    assert!(matches!(post(&base.database, "ops", in_thread, Some("k")).await.unwrap(), Posting::KeyReused));
    assert_eq!(base.count("select count(*) from vtoc.chat_message").await, 1);
}

#[tokio::test]
async fn the_same_key_ten_times_at_once_is_one_message() {
    let base = with_channel().await;
    let postings = join_all((0..10).map(|_| post(&base.database, "ops", saying("hello"), Some("k")))).await;
    let created = postings.iter().filter(|posting| matches!(posting, Ok(Posting::Created(_)))).count();
    let repeated = postings.iter().filter(|posting| matches!(posting, Ok(Posting::Repeated(_)))).count();
    assert_eq!((created, repeated), (1, 9), "{postings:?}");
}

#[tokio::test]
async fn without_a_key_every_post_is_a_message() {
    let base = with_channel().await;
    for _ in 0..2 {
        assert!(matches!(post(&base.database, "ops", saying("hello"), None).await.unwrap(), Posting::Created(_)));
    }
    assert_eq!(base.count("select count(*) from vtoc.chat_message").await, 2);
}

#[tokio::test]
async fn a_channel_that_is_not_there_takes_and_shows_nothing() {
    let base = with_channel().await;
    assert!(matches!(post(&base.database, "nowhere", saying("hello"), None).await.unwrap(), Posting::NoChannel));
    assert!(messages(&base.database, "nowhere", &PageRequest::default()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_stations_channel_and_its_messages_belong_to_the_station() {
    let base = with_channel().await;
    let station = base.station("toc-s1", Role::Ops).await;
    put_channel(&base.database, "toc-s1").await.unwrap();
    post(&base.database, "toc-s1", saying("hello"), None).await.unwrap();
    post(&base.database, "ops", saying("hello"), None).await.unwrap();
    let own = format!("select count(*) from vtoc.chat_message where station_id = {}", station.id.0);
    assert_eq!(base.count(&own).await, 1);
    assert_eq!(base.count("select count(*) from vtoc.chat_message where station_id is null").await, 1);
}

#[tokio::test]
async fn what_the_tables_cannot_hold_is_refused_by_field() {
    let base = with_channel().await;
    let nul = NewMessage { metadata: json!({ "a": "b\0" }), ..saying("hello") };
    let in_thread = NewMessage { thread: Some("t\0".to_owned()), ..saying("hello") };
    for (message, field) in [
        (saying(""), "text"),
        (saying(&"x".repeat(40_001)), "text"),
        (saying("a\0b"), "text"),
        (nul, "metadata"),
        (in_thread, "thread"),
    ] {
        let refused = post(&base.database, "ops", message, None).await;
        assert!(
            matches!(&refused, Err(Error::Invalid { field: named, .. }) if *named == field),
            "{field}: {refused:?}"
        );
    }
    for slug in [String::new(), "x".repeat(129), "a\0".to_owned()] {
        assert!(
            matches!(put_channel(&base.database, &slug).await, Err(Error::Invalid { field: "channel", .. })),
            "{slug:?}"
        );
    }
}

#[tokio::test]
async fn pages_hold_every_message_once_newest_first_while_more_are_posted() {
    let base = with_channel().await;
    for n in 0..25 {
        post(&base.database, "ops", saying(&format!("{n}")), None).await.unwrap();
    }
    let (mut request, mut seen) = (PageRequest { limit: 4, cursor: None }, Vec::new());
    loop {
        let page = messages(&base.database, "ops", &request).await.unwrap().unwrap();
        seen.extend(page.items.into_iter().map(|message| message.text));
        post(&base.database, "ops", saying("late"), None).await.unwrap();
        let Some(cursor) = page.next_cursor else { break };
        request.cursor = Some(cursor);
    }
    assert_eq!(seen, (0..25).rev().map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 25);
}
