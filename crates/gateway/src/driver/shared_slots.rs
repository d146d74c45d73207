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
    /// Slots cannot be taken. Requests go on, by our own count alone.
    cannot_take: bool,
    /// Nobody can stand in line. Whoever waits asks for a slot again and again.
    cannot_stand: bool,
}

// === impl SharedSlots ===

impl SharedSlots {
    pub(crate) const fn new(slots: Arc<dyn Slots>) -> Self {
        Self {
            slots,
            ready: None,
            claimed: Vec::new(),
            line: None,
            cannot_take: false,
            cannot_stand: false,
        }
    }

    /// Claims a slot for one more request, if there is one.
    pub(crate) fn claim(&mut self) -> bool {
        let slot = match self.ready.take() {
            Some(slot) => Some(slot),
            None => {
                let taken = self.slots.try_take();
                match heard(taken, &mut self.cannot_take) {
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
        let advanced = self.advance();
        match heard(advanced, &mut self.cannot_stand) {
            Some(Some(slot)) => self.ready = Some(slot),
            Some(None) => return false,
            None => {}
        }
        true
    }

    /// What the line gives us now. Whoever is served, or cannot go on, leaves it.
    fn advance(&mut self) -> Result<Option<Slot>, CoordinationError> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => self.slots.line()?,
        };
        let slot = line.advance()?;
        if slot.is_none() {
            self.line = Some(line);
        }
        Ok(slot)
    }

    /// Whether there is anything to give back, or a line to leave.
    pub(crate) const fn has_asked(&self) -> bool {
        self.ready.is_some() || self.line.is_some()
    }

    /// Gives back what nobody wants, and leaves the line.
    pub(crate) fn want_nothing(&mut self) {
        self.ready = None;
        self.line = None;
    }

    /// The slots themselves, to look at.
    pub(crate) fn slots(&self) -> Arc<dyn Slots> {
        Arc::clone(&self.slots)
    }
}

/// The answer of what is shared; `None` if it cannot be used, which is told once, until it can be again.
fn heard<T>(answer: Result<T, CoordinationError>, is_broken: &mut bool) -> Option<T> {
    let was_broken = std::mem::replace(is_broken, answer.is_err());
    match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            if !was_broken {
                tracing::warn!(%error, "slots are not shared with the other programs of this machine");
            }
            None
        }
    }
}
