//! The gateway's part in the slots that it shares with the other programs of the machine.

use ripcord_store::{CoordinationError, Line, Slot, Slots};
use std::sync::Arc;

/// The slots of one account. The gate asks [`SharedSlots::claim`] before each grant, and the slot is taken with
/// [`SharedSlots::take`].
pub(crate) struct SharedSlots {
    slots: Arc<dyn Slots>,
    /// What the line gave us, until it is claimed.
    ready: Option<Slot>,
    /// Claimed for a request, until it takes it. `None` for each claim where slots cannot be shared.
    claimed: Vec<Option<Slot>>,
    /// Where we stand while others hold what the gate wants.
    line: Option<Box<dyn Line>>,
    /// The place that is shared cannot be used. Requests go on, by our own count alone.
    is_broken: bool,
}

// === impl SharedSlots ===

impl SharedSlots {
    pub(crate) const fn new(slots: Arc<dyn Slots>) -> Self {
        Self { slots, ready: None, claimed: Vec::new(), line: None, is_broken: false }
    }

    /// Claims a slot for one more request, if there is one.
    pub(crate) fn claim(&mut self) -> bool {
        let slot = match self.ready.take() {
            Some(slot) => Some(slot),
            None => {
                let taken = self.slots.try_take();
                match self.heard(taken) {
                    Some(None) => return false,
                    Some(slot) => slot,
                    None => None,
                }
            }
        };
        self.claimed.push(slot);
        true
    }

    /// What was claimed. `None` where slots cannot be shared.
    pub(crate) fn take(&mut self) -> Option<Slot> {
        self.claimed.pop().flatten()
    }

    /// Stands in line for a slot, or goes on standing there. Whether it has one now, or needs none.
    pub(crate) fn wait(&mut self) -> bool {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => {
                let line = self.slots.line();
                match self.heard(line) {
                    Some(line) => line,
                    None => return true,
                }
            }
        };
        let advanced = line.advance();
        match self.heard(advanced) {
            Some(Some(slot)) => self.ready = Some(slot),
            Some(None) => {
                self.line = Some(line);
                return false;
            }
            None => {}
        }
        true
    }

    /// Gives back what nobody wants, and leaves the line.
    pub(crate) fn want_nothing(&mut self) {
        self.ready = None;
        self.line = None;
    }

    /// How many slots of the account other programs hold, for people.
    pub(crate) fn held(&self) -> Option<usize> {
        self.slots.seats().ok().map(|seats| seats.held())
    }

    /// The answer of what is shared; `None` if it cannot be used, which is told once.
    fn heard<T>(&mut self, answer: Result<T, CoordinationError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.is_broken = false;
                Some(answer)
            }
            Err(error) => {
                if !self.is_broken {
                    tracing::warn!(%error, "slots are not shared with the other programs of this machine");
                }
                self.is_broken = true;
                None
            }
        }
    }
}
