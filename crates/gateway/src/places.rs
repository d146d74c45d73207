//! How many connections there may be, and who leaves when all places are taken.
//!
//! A connection on which nothing happens must not keep others out: when a newcomer finds every place taken, the
//! connection that has been idle longest gives up its own. One with a request or an answer under way never does.

use crate::clock::Clock;
use parking_lot::Mutex;
use ripcord_rules::time::Mono;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// A connection idle for less than this is left alone: its next request may be on its way.
const YOUNG: Duration = Duration::from_millis(50);

/// Descriptors that are no connections: listener, ledger, management calls, log.
const OTHER_DESCRIPTORS: u64 = 64;

/// Where the limit of descriptors is not known: what the smallest usual one, 1,024, has room for, with a margin.
const PLACES_UNKNOWN: usize = 400;

/// The places of all connections.
pub(crate) struct Places {
    clock: Arc<Clock>,
    free: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// Told when a connection became idle.
    turned_idle: Notify,
}

#[derive(Default)]
struct Idle {
    /// Longest first.
    since: BTreeMap<(Mono, u64), CancellationToken>,
    next_id: u64,
}

/// One connection's place. Free again when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    id: u64,
    leave: CancellationToken,
    state: Mutex<State>,
    _permit: OwnedSemaphorePermit,
}

struct State {
    /// Requests, answers and pending writes.
    busy: u32,
    /// While nothing of that is under way.
    idle_since: Option<Mono>,
}

/// Something is under way on the connection, until this is dropped.
pub(crate) struct Busy(Arc<Place>);

/// How many of the wanted connections the process may have: each can need a second descriptor, to Chutes.
pub(crate) fn allowed(wanted: usize, descriptors: Option<u64>) -> usize {
    let possible = descriptors.map_or(PLACES_UNKNOWN, |descriptors| {
        usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS) / 2).unwrap_or(usize::MAX)
    });
    wanted.min(possible).max(1)
}

/// How many files and connections the process may have open; `None` if that is not known.
pub(crate) fn descriptors() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        Some(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
    }
    #[cfg(not(unix))]
    None
}

// === impl Places ===

impl Places {
    pub(crate) fn new(clock: Arc<Clock>, count: usize) -> Arc<Self> {
        Arc::new(Self {
            clock,
            free: Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            idle: Mutex::default(),
            turned_idle: Notify::new(),
        })
    }

    /// A place for a newcomer, who waits only while every connection is in use.
    pub(crate) async fn take(self: &Arc<Self>) -> Arc<Place> {
        loop {
            let free = Arc::clone(&self.free);
            if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
                return self.place(permit);
            }
            let next_try = self.make_room();
            let old_enough = async {
                match next_try {
                    Some(next) => tokio::time::sleep_until(self.clock.instant(next)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // The semaphore is never closed.
                Ok(permit) = free.acquire_owned() => return self.place(permit),
                () = old_enough => {}
                () = self.turned_idle.notified() => {}
            }
        }
    }

    /// Tells the connection that has been idle longest to leave. When there is none that may be told: the moment at
    /// which there will be.
    pub(crate) fn make_room(&self) -> Option<Mono> {
        let now = self.clock.mono();
        let mut idle = self.idle.lock();
        let first = idle.since.first_entry()?;
        let old_enough = first.key().0.after(YOUNG);
        if old_enough > now {
            return Some(old_enough);
        }
        first.remove().cancel();
        None
    }

    fn place(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Arc<Place> {
        let mut idle = self.idle.lock();
        idle.next_id += 1;
        let (id, now, leave) = (idle.next_id, self.clock.mono(), CancellationToken::new());
        idle.since.insert((now, id), leave.clone());
        drop(idle);
        let state = Mutex::new(State { busy: 0, idle_since: Some(now) });
        Arc::new(Place { places: Arc::clone(self), id, leave, state, _permit: permit })
    }
}

// === impl Place ===

impl Place {
    /// Ends when somebody else needs the place more.
    pub(crate) async fn wanted(&self) {
        self.leave.cancelled().await;
    }

    /// Marks the connection as in use; `None` if it has been told to leave.
    pub(crate) fn busy(self: &Arc<Self>) -> Option<Busy> {
        let mut state = self.state.lock();
        if let Some(since) = state.idle_since.take() {
            self.places.idle.lock().since.remove(&(since, self.id))?;
        }
        state.busy += 1;
        drop(state);
        Some(Busy(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(since) = self.state.lock().idle_since.take() {
            self.places.idle.lock().since.remove(&(since, self.id));
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Place { places, id, leave, state, .. } = &*self.0;
        let mut state = state.lock();
        state.busy -= 1;
        if state.busy > 0 {
            return;
        }
        let now = places.clock.mono();
        state.idle_since = Some(now);
        places.idle.lock().since.insert((now, *id), leave.clone());
        places.turned_idle.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(count: usize) -> Arc<Places> {
        Places::new(Arc::new(Clock::start()), count)
    }

    #[test]
    fn each_connection_may_need_two_descriptors() {
        assert_eq!(allowed(2_048, Some(20_000)), 2_048);
        assert_eq!(allowed(2_048, Some(1_024)), 480);
        assert_eq!(allowed(100, Some(1_024)), 100);
        assert_eq!(allowed(2_048, Some(10)), 1, "one at least");
        assert_eq!(allowed(2_048, Some(u64::MAX)), 2_048);
        assert_eq!(allowed(2_048, None), 400);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_idle_longest_leaves_for_a_newcomer() {
        let places = places(2);
        let first = places.take().await;
        tokio::time::advance(YOUNG).await;
        let second = places.take().await;
        let newcomer = async {
            tokio::select! {
                _ = places.take() => false,
                () = first.wanted() => true,
                () = second.wanted() => false,
            }
        };
        assert!(newcomer.await);
        assert!(first.busy().is_none(), "too late to begin a request");
        assert!(second.busy().is_some());
        drop(first);
        places.take().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_use_or_young_is_left_alone() {
        let places = places(1);
        let before = places.clock.mono();
        let only = places.take().await;
        let request = only.busy().unwrap();
        let answer = only.busy().unwrap();
        tokio::time::advance(YOUNG * 2).await;
        assert_eq!(places.make_room(), None);
        drop(request);
        assert_eq!(places.make_room(), None, "its answer is still under way");
        assert!(!only.leave.is_cancelled());
        drop(answer);
        assert_eq!(places.make_room(), Some(before.after(YOUNG * 3)), "just idle");
        let freed = async {
            only.wanted().await;
            drop(only);
        };
        tokio::join!(places.take(), freed);
        assert!(places.clock.mono() >= before.after(YOUNG * 3));
        assert!(places.idle.lock().since.is_empty());
    }
}
