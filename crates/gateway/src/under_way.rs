//! Whose requests are under way: the ports they come from, so that a program of this machine can be told by its sockets.

use parking_lot::Mutex;
use std::sync::Arc;

/// The requests under way.
#[derive(Debug, Default)]
pub(crate) struct UnderWay {
    ports: Mutex<Vec<u16>>,
}

/// One request, from its head to the last byte of its answer.
#[derive(Debug)]
pub(crate) struct Entered {
    all: Arc<UnderWay>,
    port: u16,
}

// === impl UnderWay ===

impl UnderWay {
    /// A request from this port, under way until the result is dropped.
    pub(crate) fn enter(self: &Arc<Self>, port: u16) -> Entered {
        self.ports.lock().push(port);
        Entered { all: Arc::clone(self), port }
    }

    /// The ports, each as often as requests come from it.
    pub(crate) fn ports(&self) -> Vec<u16> {
        let mut ports = self.ports.lock().clone();
        ports.sort_unstable();
        ports
    }
}

// === impl Entered ===

impl Drop for Entered {
    fn drop(&mut self) {
        let mut ports = self.all.ports.lock();
        if let Some(index) = ports.iter().position(|port| *port == self.port) {
            ports.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_enters_is_listed_until_dropped() {
        let all = Arc::new(UnderWay::default());
        let (first, second, again) = (all.enter(7), all.enter(5), all.enter(7));
        assert_eq!(all.ports(), [5, 7, 7]);
        drop(first);
        assert_eq!(all.ports(), [5, 7]);
        drop((second, again));
        assert!(all.ports().is_empty());
    }
}
