//! A wire to the database that can go dead without being cut: what goes in doesn't come out, and nobody is told.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use jobs::testing::TestDatabase;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// What the wires share.
#[derive(Debug, Default)]
struct State {
    opened: AtomicUsize,
    /// Wires below this number are dead.
    dead_below: AtomicUsize,
    begun: AtomicUsize,
}

impl State {
    fn is_dead(&self, wire: usize) -> bool {
        wire < self.dead_below.load(Ordering::SeqCst)
    }
}

/// A listener before a database; it ends with the test.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<State>,
}

impl Proxy {
    /// One that passes everything on.
    pub(crate) async fn before(test: &TestDatabase) -> Self {
        Self::start(test, false).await
    }

    /// One whose wires go dead once a transaction was begun over them and that was answered.
    pub(crate) async fn until_begun(test: &TestDatabase) -> Self {
        Self::start(test, true).await
    }

    async fn start(test: &TestDatabase, until_begun: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut url = Url::parse(&test.url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let here = listener.local_addr().unwrap();
        url.set_ip_host(here.ip()).unwrap();
        url.set_port(Some(here.port())).unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let wire = shared.opened.fetch_add(1, Ordering::SeqCst);
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass_on(client, server, Arc::clone(&shared), wire, until_begun));
            }
        });
        Self { url: url.into(), state }
    }

    /// The wires there are go dead for good. Those that are opened later aren't.
    pub(crate) fn kill_wires(&self) {
        self.state.dead_below.store(self.opened(), Ordering::SeqCst);
    }

    /// Wires that were opened so far.
    pub(crate) fn opened(&self) -> usize {
        self.state.opened.load(Ordering::SeqCst)
    }

    /// Transactions that were begun so far.
    pub(crate) fn begun(&self) -> usize {
        self.state.begun.load(Ordering::SeqCst)
    }
}

async fn pass_on(client: TcpStream, server: TcpStream, state: Arc<State>, wire: usize, until_begun: bool) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let forth = async {
        let (mut bytes, mut begun) = ([0; 8192], false);
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            if state.is_dead(wire) || (begun && until_begun) {
                continue;
            }
            to_server.write_all(&bytes[..read]).await.unwrap();
            if bytes[..read].windows(6).any(|word| word == b"begin;") {
                begun = true;
                state.begun.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let back = async {
        let mut bytes = [0; 8192];
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            if !state.is_dead(wire) && to_client.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    };
    // Whoever hangs up first ends both.
    tokio::select! {
        () = forth => {}
        () = back => {}
    }
}
