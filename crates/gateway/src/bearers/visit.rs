//! One request of a bearer, and its share of what the bearer may use.

use super::{Bearer, Ended};
use crate::refusal::Refusal;
use ripcord_rules::clients::{Entry, Full, Used};
use ripcord_rules::time::{Now, Wall};
use ripcord_rules::units::NanoUsd;
use std::sync::Arc;

/// A request from its arrival until its answer is over. Given back when dropped, on every path.
pub(crate) struct Visit {
    bearer: Arc<Bearer>,
    entry: Option<Entry>,
    was_sent: bool,
}

/// What a bearer has used, and what of that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) used: Used,
    pub(crate) reserved: NanoUsd,
    pub(crate) under_way: u32,
}

impl Bearer {
    /// Lets a request in, if the bearer's share allows it.
    pub(crate) fn visit(self: &Arc<Self>, now: Now) -> Result<Visit, Full> {
        let entry = self.meter.lock().begin(&self.rights.limits, now)?;
        Ok(Visit { bearer: Arc::clone(self), entry: Some(entry), was_sent: false })
    }

    /// Counts a call that is about to be sent at what it is likely to cost.
    pub(crate) fn reserve(&self, likely: NanoUsd, now: Wall) -> Result<(), Full> {
        self.meter.lock().reserve(&self.rights.limits, likely, now)
    }

    /// A call that was counted is over, at this cost.
    pub(crate) fn used(&self, likely: NanoUsd, cost: NanoUsd, now: Wall) {
        self.meter.lock().settle(likely, cost, now);
        self.freed.notify_waiters();
    }

    /// Waits until there may be room for a call that is likely to cost this. Whoever finds none asks again.
    pub(crate) async fn room_for(&self, likely: NanoUsd, now: Wall) {
        let freed = self.freed.notified();
        let mut freed = std::pin::pin!(freed);
        // From here on nothing is missed; what was freed before shows in the meter.
        freed.as_mut().enable();
        let has_room = |meter: &ripcord_rules::clients::ClientMeter| {
            meter.has_room(&self.rights.limits, likely, now)
        };
        if !has_room(&self.meter.lock()) {
            freed.await;
        }
    }

    pub(crate) fn share(&self, now: Wall) -> Share {
        let meter = self.meter.lock();
        Share { used: meter.used(now), reserved: meter.reserved(), under_way: meter.under_way() }
    }

    #[cfg(test)]
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits as long as the key is in force: whoever waits with one that is not has to hear of it.
    pub(crate) async fn while_in_force<T>(
        &self,
        now: impl Fn() -> Wall,
        waits: impl Future<Output = T>,
    ) -> Result<T, Refusal> {
        tokio::select! {
            biased;
            // First: a slot that comes free at the same moment must not start an attempt.
            () = self.ended.cancelled() => Err(Refusal::key_ended(self.why_ended(now()))),
            done = waits => Ok(done),
        }
    }

    fn why_ended(&self, now: Wall) -> Ended {
        match self.rights.expires_at {
            Some(end) if end <= now => Ended::Expired,
            _ => Ended::Revoked,
        }
    }
}

// === impl Visit ===

impl Visit {
    /// Something is sent upstream for it, so it counts as a request of the day.
    pub(crate) const fn is_sent(&mut self) {
        self.was_sent = true;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.bearer.meter.lock().end(entry, self.was_sent);
        }
    }
}
