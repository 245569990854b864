//! The client against a server in this process that misbehaves in every way the outside does.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::interval,
};

use super::*;

/// What the server does with a connection once it has read the request's head and body.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Sends this and closes.
    Answer(String),
    /// Never says a word.
    Hang,
    /// Sends a body without end.
    Endless,
    /// Sends one byte of a long body at a time.
    Trickle,
}

/// A server on loopback; it counts connections and keeps what it was sent.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

pub(crate) async fn serve(behaviour: Behaviour) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (counted, kept) = (Arc::clone(&connections), Arc::clone(&requests));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(answer(stream, behaviour.clone(), Arc::clone(&kept)));
        }
    });
    Server { address, connections, requests }
}

async fn answer(mut stream: TcpStream, behaviour: Behaviour, kept: Arc<Mutex<Vec<String>>>) {
    let request = read_request(&mut stream).await;
    kept.lock().unwrap().push(request);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100000000\r\n\r\n";
    match behaviour {
        Behaviour::Answer(text) => drop(stream.write_all(text.as_bytes()).await),
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Endless => {
            let mut written = stream.write_all(head.as_bytes()).await;
            while written.is_ok() {
                written = stream.write_all(&[b'x'; 65_536]).await;
            }
        }
        Behaviour::Trickle => {
            let (mut written, mut tick) =
                (stream.write_all(head.as_bytes()).await, interval(Duration::from_millis(50)));
            while written.is_ok() {
                tick.tick().await;
                written = stream.write_all(b"x").await;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return text,
            Ok(count) => read.extend_from_slice(&chunk[..count]),
        }
    }
}

pub(crate) fn answered(head: &str, body: &str) -> Behaviour {
    Behaviour::Answer(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

/// A client that may talk to this server, within a second.
pub(crate) fn client_for(address: SocketAddr) -> Client {
    let allow_hosts = vec![address.to_string().parse().unwrap()];
    Client::new(Policy { allow_hosts, total_timeout: Duration::from_secs(1), ..Policy::default() }).unwrap()
}

async fn get(client: &Client, url: &str) -> Result<Response, Error> {
    client.send(Request::new(Method::Get, url.parse().unwrap())).await
}

async fn get_from(behaviour: Behaviour) -> Result<Response, Error> {
    let server = serve(behaviour).await;
    get(&client_for(server.address), &format!("http://{}/", server.address)).await
}

#[tokio::test]
async fn an_answer_is_read_whole() {
    let answer = get_from(answered("201 Created", "{\"a\":1}")).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (201, &b"{\"a\":1}"[..]));
}

#[tokio::test]
async fn hanging_and_trickling_end_at_the_deadline() {
    for behaviour in [Behaviour::Hang, Behaviour::Trickle] {
        let begun = Instant::now();
        assert!(matches!(get_from(behaviour).await, Err(Error::Unreachable { .. })));
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn an_endless_body_ends_at_the_cap() {
    let error = get_from(Behaviour::Endless).await.unwrap_err();
    assert!(matches!(&error, Error::Malformed { why, .. } if why.contains("1048576")), "{error}");
}

#[tokio::test]
async fn a_packed_answer_stays_packed() {
    let answer = get_from(answered("200 OK\r\ncontent-encoding: gzip", "not gzip")).await.unwrap();
    assert_eq!(&answer.body[..], b"not gzip");
}

#[tokio::test]
async fn a_redirect_is_a_refusal_and_is_not_followed() {
    let inside = serve(answered("200 OK", "secret")).await;
    let head = format!("302 Found\r\nlocation: http://{}/", inside.address);
    let server = serve(answered(&head, "")).await;
    let allow_hosts = [server.address, inside.address].map(|address| address.to_string().parse().unwrap()).to_vec();
    let client = Client::new(Policy { allow_hosts, ..Policy::default() }).unwrap();
    let answer = get(&client, &format!("http://{}/", server.address)).await;
    assert_eq!(answer, Err(Error::Rejected { host: "127.0.0.1".into(), status: 302 }));
    assert_eq!(inside.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_status_says_what_the_caller_can_do() {
    let host = || "127.0.0.1".to_owned();
    let limited =
        |seconds: Option<u64>| Error::RateLimited { host: host(), retry_after: seconds.map(Duration::from_secs) };
    let rows = [
        ("429 Too Many\r\nretry-after: 7", limited(Some(7))),
        ("429 Too Many", limited(None)),
        ("429 Too Many\r\nretry-after: 99999999999", limited(Some(99_999_999_999))),
        ("503 Down\r\nretry-after: 7", limited(Some(7))),
        ("503 Down", Error::Unreachable { host: host(), why: "answered 503".into() }),
        ("500 Oops", Error::Unreachable { host: host(), why: "answered 500".into() }),
        ("404 Not Found", Error::Rejected { host: host(), status: 404 }),
    ];
    for (head, expected) in rows {
        let error = get_from(answered(head, "the body's secret")).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert_eq!(error, expected, "{head}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let answer = get(&client_for(address), &format!("http://{address}/")).await;
    assert!(matches!(answer, Err(Error::Unreachable { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_name_that_leads_inside_is_blocked_by_the_resolver() {
    let client = Client::new(Policy::default()).unwrap();
    for url in ["http://localhost/", "http://localhost:8080/", "https://localhost/"] {
        assert_eq!(get(&client, url).await, Err(Error::Blocked { host: "localhost".into() }), "{url}");
    }
}

#[tokio::test]
async fn every_way_to_write_an_inside_address_is_blocked() {
    let client = Client::new(Policy::default()).unwrap();
    let urls = [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://0/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fd00:ec2::254]/",
        "http://１２７.0.0.1/",
    ];
    for url in urls {
        let answer = get(&client, url).await;
        assert!(matches!(answer, Err(Error::Blocked { .. })), "{url}: {answer:?}");
    }
}

#[tokio::test]
async fn other_schemes_ports_and_passwords_in_the_address_are_blocked() {
    let client = Client::new(Policy::default()).unwrap();
    for url in ["ftp://example.org/", "file:///etc/passwd", "http://example.org:22/", "http://me:pw@example.org/"] {
        let answer = get(&client, url).await;
        assert!(matches!(answer, Err(Error::Blocked { .. })), "{url}: {answer:?}");
    }
}

#[tokio::test]
async fn a_listed_host_is_open_at_its_port_only() {
    let (listed, other) = (serve(answered("200 OK", "x")).await, serve(answered("200 OK", "x")).await);
    let by_address = client_for(listed.address);
    let allow_hosts = vec![format!("localhost:{}", listed.address.port()).parse().unwrap()];
    let by_name = Client::new(Policy { allow_hosts, ..Policy::default() }).unwrap();
    for (client, host) in [(&by_address, "127.0.0.1"), (&by_name, "localhost")] {
        assert!(get(client, &format!("http://{host}:{}/", listed.address.port())).await.is_ok(), "{host}");
        let blocked = get(client, &format!("http://{host}:{}/", other.address.port())).await;
        assert_eq!(blocked, Err(Error::Blocked { host: host.into() }));
        assert_eq!(get(client, &format!("http://{host}:80/")).await, Err(Error::Blocked { host: host.into() }));
    }
    assert_eq!(other.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn secrets_are_never_shown() {
    let request = Request::new(Method::Post, "https://example.org/?token=secret".parse().unwrap()).bearer("secret");
    assert!(!format!("{request:?}").contains("secret"), "{request:?}");
    let client = Client::new(Policy::default()).unwrap();
    let error = client.send(request.header("x-key", "secret\n")).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }) && !format!("{error} {error:?}").contains("secret"));
}
