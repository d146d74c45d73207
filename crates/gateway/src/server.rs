//! Connections: accepted within bounds, served, drained.

use crate::callers::Callers;
use crate::connection;
use crate::places::{self, Places};
use crate::shared::Shared;
use ripcord_rules::time::Mono;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// For the last words to those who are cut off at the end of the drain.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Trouble with accepting is over when there was none for so long.
const QUIET: Duration = Duration::from_secs(10);

/// Accepts connections until told to stop, then waits for those under way, but not after `abort`.
pub(crate) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    callers: Arc<Callers>,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    let connections = TaskTracker::new();
    let cut_off = abort.child_token();
    let count = places::allowed(shared.limits.connections, places::descriptors());
    if count < shared.limits.connections {
        tracing::info!(connections = count, "as many as the limit of open files has room for");
    }
    let places = Places::new(Arc::clone(&shared.clock), count);
    let accepting = async {
        let mut trouble = Trouble::default();
        loop {
            let Some(stream) = accept(&listener, &shared, &places, &mut trouble).await else {
                continue;
            };
            // Accepted first: only who is there can ask an idle connection for its place.
            let place = places.take().await;
            connections.spawn(connection::serve(
                stream,
                place,
                Arc::clone(&shared),
                Arc::clone(&callers),
                stop.clone(),
                cut_off.clone(),
            ));
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = accepting => {}
    }
    drop(listener);
    connections.close();
    drain(&connections, &shared, &cut_off).await;
    cut_off.cancel();
    connections.wait().await;
}

/// Gives the connections time to end: as long as the limit says, then a moment for the last words, then no more.
async fn drain(connections: &TaskTracker, shared: &Shared, cut_off: &CancellationToken) {
    let drained = async {
        if tokio::time::timeout(shared.limits.drain, connections.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(
            connections = connections.len(),
            "still under way at the end of the drain; cut off"
        );
        shared.closing.cancel();
        let _ = tokio::time::timeout(LAST_WORDS, connections.wait()).await;
    };
    tokio::select! {
        () = cut_off.cancelled() => {}
        () = drained => {}
    }
}

async fn accept(
    listener: &TcpListener,
    shared: &Shared,
    places: &Places,
    trouble: &mut Trouble,
) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => {
            if trouble.is_over(shared.clock.mono()) {
                tracing::info!("accepts connections again");
            }
            Some(stream)
        }
        Err(error) if is_of_one_connection(&error) => None,
        Err(error) => {
            // Usually too many open files: an idle connection gives its own back. Accepting again at once would only
            // spin.
            if trouble.begins(shared.clock.mono()) {
                tracing::warn!(%error, "cannot accept connections");
            }
            places.make_room();
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// The client left before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// So that only the beginning and the end of a trouble are logged.
#[derive(Debug, Default)]
struct Trouble {
    last: Option<Mono>,
}

impl Trouble {
    /// It failed; whether that is news.
    fn begins(&mut self, now: Mono) -> bool {
        self.last.replace(now).is_none()
    }

    /// It worked; whether the trouble is over by that.
    fn is_over(&mut self, now: Mono) -> bool {
        self.last.take_if(|last| now.since(*last) >= QUIET).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_when_it_begins_and_when_it_is_over() {
        let at = |seconds: u64| Mono::from_micros(seconds * 1_000_000);
        let mut trouble = Trouble::default();
        assert!(!trouble.is_over(at(0)), "there was none");
        assert!(trouble.begins(at(1)));
        assert!(!trouble.begins(at(2)));
        assert!(!trouble.is_over(at(3)), "at the brink one works and the next fails");
        assert!(!trouble.begins(at(4)));
        assert!(trouble.is_over(at(14)));
        assert!(!trouble.is_over(at(15)));
        assert!(trouble.begins(at(16)));
    }
}
