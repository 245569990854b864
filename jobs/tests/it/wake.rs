//! Wake-ups towards a server that doesn't answer: they are lost, and the next ones are tried again.

use std::time::Duration;

use jobs::{ConnectOptions, Wake};
use tokio::{net::TcpListener, time::timeout};

#[tokio::test]
async fn a_server_that_takes_the_connection_and_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://nobody@{}/nothing", silent.local_addr().unwrap());
    let options = ConnectOptions { deadline: Duration::from_millis(50), ..ConnectOptions::default() };
    let wake = Wake::start(&url, &options).unwrap();
    wake.hint("chat");
    let (_first, _) = silent.accept().await.unwrap();
    wake.hint("chat");
    let second = timeout(Duration::from_secs(5), silent.accept()).await;
    assert!(second.is_ok(), "the first connection is still waited for");
}
