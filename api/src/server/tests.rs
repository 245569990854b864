//! The accept loop over real sockets, with handlers made for the case.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    task::JoinHandle,
};

use super::*;

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), Unfinished>>,
}

async fn start<A, F>(limits: Limits, answer: A) -> Running
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let ended = tokio::spawn(async move { run(listener, answer, &limits, &stop).await });
    Running { address, shutdown, ended }
}

async fn connected(address: SocketAddr, written: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(written.as_bytes()).await.unwrap();
    stream
}

/// Everything the server says until it closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    String::from_utf8(said).unwrap()
}

async fn said(address: SocketAddr, written: &str) -> String {
    rest(connected(address, written).await).await
}

const CLOSING: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

async fn ok(_: Request<Incoming>) -> Response {
    Response::new("fine".into())
}

#[tokio::test]
async fn a_panic_costs_one_request_and_neither_the_connection_nor_the_process() {
    let answer = |request: Request<Incoming>| async move {
        assert_ne!(request.uri().path(), "/panic", "as the test wants it");
        Response::new("fine".into())
    };
    let server = start(Limits::default(), answer).await;
    let both = said(server.address, &format!("GET /panic HTTP/1.1\r\nhost: x\r\n\r\n{CLOSING}")).await;
    assert!(both.starts_with("HTTP/1.1 500 "), "{both}");
    assert!(both.contains("application/problem+json") && both.contains(r#""code":"internal""#), "{both}");
    assert!(both.contains("HTTP/1.1 200 OK") && both.ends_with("fine"), "{both}");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off() {
    let limits = Limits { header_deadline: Duration::from_millis(50), ..Limits::default() };
    let server = start(limits, ok).await;
    assert_eq!(said(server.address, "GET / HTTP/1.1\r\nhost: x\r\n").await, "");
    assert_eq!(said(server.address, "").await, "");
}

#[tokio::test]
async fn clients_that_do_not_read_their_answers_lose_their_places() {
    let limits = Limits { connections_max: 2, write_deadline: Duration::from_millis(50), ..Limits::default() };
    // More than the kernel takes on behalf of a client that doesn't read.
    let long = |request: Request<Incoming>| async move {
        let length = if request.uri().path() == "/long" { 64 << 20 } else { 4 };
        Response::new(vec![b'x'; length].into())
    };
    let server = start(limits, long).await;
    let asking = "GET /long HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    let held = [connected(server.address, &asking).await, connected(server.address, &asking).await];
    let answered = tokio::time::timeout(Duration::from_secs(5), said(server.address, CLOSING)).await;
    assert!(answered.expect("a place is free again").ends_with("xxxx"));
    drop(held);
}

#[tokio::test]
async fn the_65th_header_is_one_too_many() {
    let server = start(Limits::default(), ok).await;
    let with_headers = |count: usize| {
        let more: String = (2..count).map(|n| format!("x-{n}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nhost: x\r\n{more}connection: close\r\n\r\n")
    };
    assert!(said(server.address, &with_headers(64)).await.starts_with("HTTP/1.1 200 "));
    assert!(said(server.address, &with_headers(65)).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_connection_over_the_cap_waits_for_one_to_close() {
    let server = start(Limits { connections_max: 1, ..Limits::default() }, ok).await;
    let mut first = connected(server.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut begun = [0; 12];
    first.read_exact(&mut begun).await.unwrap();
    let mut second = connected(server.address, CLOSING).await;
    let early = tokio::time::timeout(Duration::from_millis(100), second.read_u8()).await;
    assert!(early.is_err(), "the second was answered while the first was open");
    drop(first);
    assert!(rest(second).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn what_was_accepted_before_the_shutdown_is_answered_after_it() {
    let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let answer = {
        let (begun, may_end) = (Arc::clone(&begun), Arc::clone(&may_end));
        move |_: Request<Incoming>| {
            let (begun, may_end) = (Arc::clone(&begun), Arc::clone(&may_end));
            async move {
                begun.notify_one();
                may_end.notified().await;
                Response::new("late".into())
            }
        }
    };
    let server = start(Limits::default(), answer).await;
    let stream = connected(server.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    begun.notified().await;
    server.shutdown.cancel();
    may_end.notify_one();
    let answered = rest(stream).await;
    assert!(answered.starts_with("HTTP/1.1 200 ") && answered.ends_with("late"), "{answered}");
    server.ended.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_connection_still_in_the_kernels_queue_at_the_shutdown_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = connected(listener.local_addr().unwrap(), "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let limits = Limits::default();
    let (served, answered) = tokio::join!(run(listener, ok, &limits, &shutdown), rest(stream));
    assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
    served.unwrap();
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_is_cut_off_and_counted() {
    let begun = Arc::new(Notify::new());
    let answer = {
        let begun = Arc::clone(&begun);
        move |_: Request<Incoming>| {
            begun.notify_one();
            std::future::pending::<Response>()
        }
    };
    let server = start(Limits { drain_deadline: Duration::from_millis(50), ..Limits::default() }, answer).await;
    let stream = connected(server.address, CLOSING).await;
    begun.notified().await;
    server.shutdown.cancel();
    assert_eq!(server.ended.await.unwrap().unwrap_err().connections, 1);
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_shutdown_up() {
    let server = start(Limits::default(), ok).await;
    let mut stream = connected(server.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.unwrap();
    server.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), server.ended).await;
    ended.expect("keep-alive ends at once").unwrap().unwrap();
}
