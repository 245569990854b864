//! The program itself: what it refuses, what it says, and how it ends.

use std::{process::Stdio, time::Duration};

use futures::future::join_all;
use jobs::{stations::Role, testing::TestDatabase};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::front_door;

const SECRET: &str = "a-secret-nobody-may-read-in-a-log";

/// The program over a database that is away, with these variables besides.
fn program(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vtoc-api"));
    command
        .env_clear()
        .env("VTOC_BIND", "127.0.0.1:0")
        .env("DATABASE_URL", "postgres://nobody:hidden-word@127.0.0.1:1/nothing");
    command.envs(variables.iter().copied()).stderr(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

async fn refused(variables: &[(&str, &str)]) -> String {
    let output = timeout(Duration::from_secs(20), program(variables).output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

pub(crate) struct Started {
    process: Child,
    log: Lines<BufReader<ChildStderr>>,
    pub(crate) address: String,
}

pub(crate) async fn started(variables: &[(&str, &str)]) -> Started {
    let mut process = program(variables).spawn().unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    loop {
        let line = log.next_line().await.unwrap().expect("it says where it listens before it ends");
        if let Some((_, address)) = line.split_once("address=") {
            return Started { process, log, address: address.trim().to_owned() };
        }
    }
}

#[tokio::test]
async fn it_refuses_to_start_without_a_webhook_secret_and_says_what_to_set() {
    let said = refused(&[]).await;
    assert!(said.contains("CHATKIT_WEBHOOK_SECRET") && said.contains("VTOC_INSECURE_NO_WEBHOOK_SIGNATURE=1"), "{said}");
}

#[tokio::test]
async fn it_refuses_a_short_admin_token_without_showing_it() {
    let said = refused(&[("CHATKIT_WEBHOOK_SECRET", SECRET), ("VTOC_ADMIN_TOKEN", "shorty")]).await;
    assert!(said.contains("VTOC_ADMIN_TOKEN") && !said.contains("shorty") && !said.contains(SECRET), "{said}");
}

#[tokio::test]
async fn without_signatures_it_starts_only_when_told_and_warns() {
    let mut started = started(&[("VTOC_INSECURE_NO_WEBHOOK_SIGNATURE", "1")]).await;
    let warned = async {
        while !started.log.next_line().await.unwrap().unwrap().contains("VTOC_INSECURE_NO_WEBHOOK_SIGNATURE") {}
    };
    timeout(Duration::from_secs(20), warned).await.expect("a warning at once");
}

#[tokio::test]
async fn help_shows_no_secret() {
    let variables = [("CHATKIT_WEBHOOK_SECRET", SECRET), ("CHATKIT_API_KEY", SECRET), ("VTOC_ADMIN_TOKEN", SECRET)];
    let output = program(&variables).arg("--help").output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("CHATKIT_WEBHOOK_SECRET"), "{said}");
    assert!(!said.contains(SECRET) && !said.contains("hidden-word"), "{said}");
}

#[tokio::test]
async fn the_same_delivery_ten_times_at_once_over_two_programs_is_one_job() {
    let database = TestDatabase::new().await;
    database.station("ops-1", Role::Ops).await;
    let variables = [("CHATKIT_WEBHOOK_SECRET", front_door::SECRET), ("DATABASE_URL", database.url.as_str())];
    let programs = [started(&variables).await, started(&variables).await];
    let body = r#"{"id":"evt-1","channel":"ops-1","text":"@agent status"}"#;
    let answers = join_all((0..10).map(|copy| deliver(&programs[copy % 2].address, body))).await;
    assert!(answers.iter().all(|said| said.starts_with("HTTP/1.1 202 ")), "{answers:?}");
    assert_eq!(answers.iter().filter(|said| said.contains(r#""duplicate":true"#)).count(), 9);
    assert_eq!(database.count("select count(*) from vtoc.job").await, 1);
    assert_eq!(database.count("select sum(sights) from vtoc.receipt").await, 10);
}

/// What a program answers to a signed delivery.
pub(crate) async fn deliver(address: &str, body: &str) -> String {
    let signature = front_door::signature(body.as_bytes());
    let length = body.len();
    let request = format!(
        "POST /api/v1/chatkit/webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{signature}\r\n\r\n{body}"
    );
    said_to(address, &request).await
}

/// What a program answers to a request before it closes the connection.
pub(crate) async fn said_to(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    said
}

#[tokio::test]
async fn after_sigterm_it_answers_what_it_accepted_and_ends_well() {
    let mut started = started(&[("CHATKIT_WEBHOOK_SECRET", SECRET)]).await;
    let mut stream = TcpStream::connect(&started.address).await.unwrap();
    stream
        .write_all(
            b"POST /api/v1/chatkit/webhook HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
        )
        .await
        .unwrap();
    let mut proceed = [0; 25];
    // The handler has the request when it asks for the body.
    stream.read_exact(&mut proceed).await.unwrap();
    let id = started.process.id().unwrap().to_string();
    assert!(Command::new("/bin/kill").args(["-TERM", &id]).status().await.unwrap().success());
    while TcpStream::connect(&started.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(b"{}").await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 401 "), "{said}");
    let ended = timeout(Duration::from_secs(20), started.process.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
}
