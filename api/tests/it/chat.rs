//! The built-in chat keeps the contract that `agents`' chat client relies on.

use api::Limits;
use jobs::testing::TestDatabase;
use serde_json::json;

use crate::front_door::{Answered, CHAT_KEY, FrontDoor};

async fn front_door() -> FrontDoor {
    FrontDoor::over(TestDatabase::new().await.database, Limits::default()).await
}

async fn put(front_door: &FrontDoor, channel: &str) -> Answered {
    let bearer = format!("authorization: Bearer {CHAT_KEY}");
    front_door.request(&format!("PUT /chatkit/v1/channels/{channel}"), &[&bearer], b"").await
}

async fn post(front_door: &FrontDoor, channel: &str, key: &str, text: &str) -> Answered {
    let bearer = format!("authorization: Bearer {CHAT_KEY}");
    let key = format!("idempotency-key: {key}");
    let body = json!({ "text": text, "thread": "t-1", "metadata": { "run": "r-1" } }).to_string();
    front_door
        .request(&format!("POST /chatkit/v1/channels/{channel}/messages"), &[&bearer, &key], body.as_bytes())
        .await
}

async fn messages(front_door: &FrontDoor, channel: &str) -> Answered {
    let bearer = format!("authorization: Bearer {CHAT_KEY}");
    front_door.get(&format!("/chatkit/v1/channels/{channel}/messages"), &[&bearer]).await
}

#[tokio::test]
async fn a_message_posted_twice_under_one_key_is_there_once() {
    let front_door = front_door().await;
    assert_eq!(put(&front_door, "ops").await.status, 200);
    assert_eq!(put(&front_door, "ops").await.status, 200);
    let (first, again) =
        (post(&front_door, "ops", "k-1", "hello").await, post(&front_door, "ops", "k-1", "hello").await);
    assert_eq!((first.status, again.status), (201, 200), "{first:?} {again:?}");
    assert_eq!(first.json()["id"], again.json()["id"]);
    let listed = messages(&front_door, "ops").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["text"], json!("hello"));
    assert_eq!((&listed["items"][0]["thread"], &listed["items"][0]["channel"]), (&json!("t-1"), &json!("ops")));
}

#[tokio::test]
async fn a_key_used_for_another_message_is_409() {
    let front_door = front_door().await;
    put(&front_door, "ops").await;
    assert_eq!(post(&front_door, "ops", "k-1", "hello").await.status, 201);
    let answered = post(&front_door, "ops", "k-1", "something else").await;
    assert_eq!((answered.status, answered.code().as_str()), (409, "idempotency_key_reused"));
}

#[tokio::test]
async fn a_channel_nobody_made_is_404_and_slugs_are_decoded() {
    let front_door = front_door().await;
    assert_eq!(post(&front_door, "nowhere", "k-1", "hello").await.status, 404);
    assert_eq!(messages(&front_door, "nowhere").await.status, 404);
    assert_eq!(put(&front_door, "caf%C3%A9").await.json()["slug"], json!("café"));
}

#[tokio::test]
async fn a_message_without_text_is_400() {
    let front_door = front_door().await;
    put(&front_door, "ops").await;
    let answered = post(&front_door, "ops", "k-1", "").await;
    assert_eq!((answered.status, answered.code().as_str()), (400, "invalid_text"));
}
