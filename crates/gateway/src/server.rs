//! Connections: accepted within bounds, served, drained.

use crate::config::Limits;
use crate::router::{Callers, handle};
use crate::shared::Shared;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The largest head of a request.
const HEAD_BYTES: usize = 64 << 10;

/// Accepts connections until told to stop, then waits for those under way.
pub(crate) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    callers: Arc<Callers>,
    stop: CancellationToken,
) {
    let limits = shared.limits;
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        // A place first: who cannot be served waits in the kernel's queue, not here.
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = serve_connection(
                    stream,
                    limits,
                    Arc::clone(&shared),
                    Arc::clone(&callers),
                    stop.clone(),
                    abort.clone(),
                );
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Usually too many open files. Accepting again at once would only spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "still under way at the end of the drain; cut off"
        );
        abort.cancel();
        connections.wait().await;
    }
}

async fn serve_connection(
    stream: TcpStream,
    limits: Limits,
    shared: Arc<Shared>,
    callers: Arc<Callers>,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    // Without it, small events wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let service = service_fn(move |request| {
        let (shared, callers) = (Arc::clone(&shared), Arc::clone(&callers));
        async move { Ok::<_, Infallible>(handle(shared, callers, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut draining = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // Clients leave; that is no error of ours.
                    tracing::trace!(%error, "connection ended");
                }
                return;
            }
            () = stop.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = abort.cancelled() => return,
        }
    }
}
