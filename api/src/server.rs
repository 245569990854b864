//! The accept loop: connections are counted, heads and unread answers are timed, a panic costs one request, and a
//! shutdown lets what was accepted finish. Knows nothing of routes.

use std::{
    convert::Infallible, future::Future, io, iter, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration,
};

use futures::FutureExt;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use warp::reply::Response;

use crate::{config::Limits, error::ApiError};

#[cfg(test)]
mod tests;

/// After an accept that failed for want of descriptors, trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long connections go on reading after the shutdown began.
const LAST_READ: Duration = Duration::from_millis(100);

/// The shutdown's deadline passed with requests still under way.
#[derive(Debug, thiserror::Error)]
#[error("{connections} connections were cut off at the end of the drain")]
pub struct Unfinished {
    /// How many.
    pub connections: usize,
}

/// Serves `answer` until `shutdown`, then stops accepting and lets what was accepted finish.
pub(crate) async fn run<A, F>(
    listener: TcpListener,
    answer: A,
    limits: &Limits,
    shutdown: &CancellationToken,
) -> Result<(), Unfinished>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let cut_off = CancellationToken::new();
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let open = |stream, permit| {
        let connection = Connection {
            stream,
            builder: builder(limits),
            write_deadline: limits.write_deadline,
            shutdown: shutdown.clone(),
            cut_off: cut_off.clone(),
            permit,
        };
        connections.spawn(connection.serve(answer.clone()));
    };

    while let Some(permit) = shutdown.run_until_cancelled(Arc::clone(&permits).acquire_owned()).await {
        let permit = permit.expect("the semaphore is never closed");
        match shutdown.run_until_cancelled(listener.accept()).await {
            Some(Ok((stream, _peer))) => open(stream, permit),
            Some(Err(error)) => survive(&error).await,
            None => break,
        }
    }
    let free = iter::from_fn(|| Arc::clone(&permits).try_acquire_owned().ok());
    for (permit, stream) in free.zip(waiting(listener)) {
        open(stream, permit);
    }
    connections.close();
    drain(&connections, &cut_off, limits.drain_deadline).await
}

/// Connections that the kernel has accepted for us: their senders may have written already. The runtime may not have
/// heard of them yet, so the kernel is asked directly; it stops listening when the iterator goes.
fn waiting(listener: TcpListener) -> impl Iterator<Item = TcpStream> {
    let listener = listener.into_std().ok();
    iter::from_fn(move || {
        let (stream, _peer) = listener.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    })
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_deadline).max_headers(limits.headers_max);
    builder
}

async fn survive(error: &io::Error) {
    let gone_meanwhile = matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset);
    if !gone_meanwhile {
        tracing::warn!(%error, "no connection can be accepted");
        sleep(ACCEPT_PAUSE).await;
    }
}

async fn drain(connections: &TaskTracker, cut_off: &CancellationToken, deadline: Duration) -> Result<(), Unfinished> {
    if timeout(deadline, connections.wait()).await.is_ok() {
        return Ok(());
    }
    let unfinished = Unfinished { connections: connections.len() };
    cut_off.cancel();
    connections.wait().await;
    Err(unfinished)
}

struct Connection {
    stream: TcpStream,
    builder: http1::Builder,
    write_deadline: Duration,
    shutdown: CancellationToken,
    cut_off: CancellationToken,
    permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve<A, F>(self, answer: A)
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let Self { stream, builder, write_deadline, shutdown, cut_off, permit } = self;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "answers may be delayed");
        }
        // Who asks and doesn't read would keep a place that others wait for.
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(write_deadline));
        let stream = pin!(stream);
        let service = service_fn(move |request| guarded(answer.clone(), request));
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = &mut connection => Some(ended),
            // A connection told to shut down forgets what it hasn't read, so what is in its socket is read first.
            () = async { shutdown.cancelled().await; sleep(LAST_READ).await } => {
                connection.as_mut().graceful_shutdown();
                cut_off.run_until_cancelled(connection).await
            }
        };
        if let Some(Err(error)) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(permit);
    }
}

async fn guarded<A, F>(answer: A, request: Request<Incoming>) -> Result<Response, Infallible>
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response>,
{
    // Nothing is shared with a handler but pools and immutable settings, which a panic leaves whole.
    let answered = AssertUnwindSafe(async { answer(request).await }).catch_unwind().await;
    Ok(answered.unwrap_or_else(|_| ApiError::Internal("a handler panicked".to_owned()).into_response()))
}
