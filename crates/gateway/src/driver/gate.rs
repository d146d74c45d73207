//! Gives the [`Gate`] its clock, and its waiters their wake-ups.

use crate::clock::Clock;
use parking_lot::Mutex;
use ripcord_rules::admit::{
    Candidate, Closure, Gate, GateLimits, Offer, Refused, Ticket, Wake, Waking,
};
use ripcord_rules::time::Mono;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// The gate, shared.
pub(crate) struct GateDriver {
    clock: Arc<Clock>,
    state: Mutex<State>,
    /// Told when the next deadline may have moved closer.
    moved: Notify,
}

struct State {
    gate: Gate,
    waiters: HashMap<Ticket, oneshot::Sender<Waking>>,
}

/// A slot. Given back when dropped, on every path.
pub(crate) struct Permit {
    driver: Arc<GateDriver>,
    pub(crate) account: usize,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    Refused(Refused),
    /// Waited, and the deadline came first.
    Expired,
}

/// A place in the queue. Left when dropped.
struct Place<'a> {
    driver: &'a Arc<GateDriver>,
    ticket: Ticket,
    wake: oneshot::Receiver<Waking>,
}

// === impl GateDriver ===

impl GateDriver {
    pub(crate) fn new(clock: Arc<Clock>, limits: GateLimits, accounts: usize) -> Arc<Self> {
        let state = State { gate: Gate::new(limits, accounts), waiters: HashMap::new() };
        Arc::new(Self { clock, state: Mutex::new(state), moved: Notify::new() })
    }

    /// Waits for a slot on one of the candidates.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        candidates: Vec<Candidate>,
        deadline: Option<Mono>,
    ) -> Result<Permit, NotAdmitted> {
        let mut place = {
            let mut state = self.state.lock();
            match state.gate.offer(self.clock.mono(), candidates, deadline) {
                Offer::Granted(account) => return Ok(self.permit(account)),
                Offer::Refused(refused) => return Err(NotAdmitted::Refused(refused)),
                Offer::Queued(ticket) => {
                    let (sender, wake) = oneshot::channel();
                    state.waiters.insert(ticket, sender);
                    Place { driver: self, ticket, wake }
                }
            }
        };
        self.moved.notify_one();
        match (&mut place.wake).await {
            Ok(Waking::Granted(account)) => Ok(self.permit(account)),
            Ok(Waking::Closed(first)) => {
                Err(NotAdmitted::Refused(Refused::ClosedPastDeadline(first)))
            }
            // The sender is only dropped with the driver.
            Ok(Waking::Expired) | Err(_) => Err(NotAdmitted::Expired),
        }
    }

    /// Closes an account for one reason.
    pub(crate) fn close(&self, account: usize, closure: Closure, until: Option<Mono>) {
        let mut state = self.state.lock();
        state.gate.close(account, closure, until);
        self.deliver(&mut state);
        drop(state);
        self.moved.notify_one();
    }

    /// Ends one reason, and lets in whoever waited for it.
    pub(crate) fn open(&self, account: usize, closure: Closure) {
        let mut state = self.state.lock();
        state.gate.open(account, closure);
        self.deliver(&mut state);
        drop(state);
        // What else keeps the account closed may now be what its waiters wait for.
        self.moved.notify_one();
    }

    pub(crate) fn queued(&self) -> usize {
        self.state.lock().gate.queued()
    }

    pub(crate) fn in_use(&self, account: usize) -> u32 {
        self.state.lock().gate.in_use(account)
    }

    /// `Some(now)` if the account takes requests, `None` if nobody knows when it will.
    pub(crate) fn opens_at(&self, account: usize, now: Mono) -> Option<Mono> {
        self.state.lock().gate.opens_at(account, now)
    }

    /// Ticks the gate at its deadlines until told to stop.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = {
                let mut state = self.state.lock();
                self.deliver(&mut state);
                state.gate.next_deadline(self.clock.mono())
            };
            let until_next = async {
                match next {
                    Some(next) => tokio::time::sleep_until(self.clock.instant(next)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = until_next => {}
                () = self.moved.notified() => {}
            }
        }
    }

    fn permit(self: &Arc<Self>, account: usize) -> Permit {
        Permit { driver: Arc::clone(self), account }
    }

    fn deliver(&self, state: &mut State) {
        loop {
            let wakes = state.gate.tick(self.clock.mono());
            let mut given_back = false;
            for Wake { ticket, waking } in wakes {
                let unheard = match state.waiters.remove(&ticket) {
                    Some(waiter) => waiter.send(waking).is_err(),
                    None => true,
                };
                if let (true, Waking::Granted(account)) = (unheard, waking) {
                    state.gate.release(account);
                    given_back = true;
                }
            }
            if !given_back {
                return;
            }
        }
    }

    fn release(&self, account: usize) {
        let mut state = self.state.lock();
        state.gate.release(account);
        self.deliver(&mut state);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.driver.release(self.account);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.driver.state.lock();
        state.waiters.remove(&self.ticket);
        // Whoever leaves at the moment of the grant gives the slot on.
        if !state.gate.cancel(self.ticket)
            && let Ok(Waking::Granted(account)) = self.wake.try_recv()
        {
            state.gate.release(account);
            self.driver.deliver(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn driver(slots: u32) -> Arc<GateDriver> {
        let limits = GateLimits { slots_per_account: slots, queue: 1_000 };
        GateDriver::new(Arc::new(Clock::start()), limits, 1)
    }

    fn zero() -> Vec<Candidate> {
        vec![Candidate { account: 0, tier: 0 }]
    }

    fn in_(driver: &GateDriver, duration: Duration) -> Option<Mono> {
        Some(driver.clock.mono().after(duration))
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_given_back_goes_to_whoever_waited_longest() {
        let driver = driver(1);
        let held = driver.admit(zero(), None).await.ok().unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..3 {
            let driver = Arc::clone(&driver);
            waiting.spawn(async move {
                driver.admit(zero(), None).await.map(|permit| (number, permit)).ok().unwrap()
            });
            tokio::task::yield_now().await;
        }
        drop(held);
        for expected in 0..3 {
            let (number, permit) = waiting.join_next().await.unwrap().unwrap();
            assert_eq!(number, expected);
            drop(permit);
        }
        assert_eq!((driver.in_use(0), driver.queued()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_opens_lets_its_waiters_in() {
        let driver = driver(1);
        let stop = CancellationToken::new();
        let task = tokio::task::JoinSet::from_iter([Arc::clone(&driver).run(stop.clone())]);
        driver.close(0, Closure::Rest, in_(&driver, Duration::from_secs(90)));
        let before = driver.clock.mono();
        let refused = driver.admit(zero(), in_(&driver, Duration::from_secs(90))).await.err();
        assert!(matches!(
            refused,
            Some(NotAdmitted::Refused(Refused::ClosedPastDeadline(Some(_))))
        ));
        driver.admit(zero(), in_(&driver, Duration::from_secs(91))).await.ok().unwrap();
        assert_eq!(driver.clock.mono().since(before).as_secs(), 90);
        stop.cancel();
        drop(task);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_the_wait() {
        let driver = driver(1);
        let stop = CancellationToken::new();
        let task = tokio::task::JoinSet::from_iter([Arc::clone(&driver).run(stop.clone())]);
        let _held = driver.admit(zero(), None).await.ok().unwrap();
        let waited = driver.admit(zero(), in_(&driver, Duration::from_secs(5))).await.err();
        assert_eq!(waited, Some(NotAdmitted::Expired));
        stop.cancel();
        drop(task);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_cancelled_waiters_leave_nothing_behind() {
        let driver = driver(2);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..1_000_u64 {
            let driver = Arc::clone(&driver);
            tasks.spawn(async move {
                let hold = async {
                    let _permit = driver.admit(zero(), None).await;
                    tokio::time::sleep(Duration::from_millis(number % 7)).await;
                };
                let _ = tokio::time::timeout(Duration::from_millis(number % 5), hold).await;
            });
        }
        while tasks.join_next().await.is_some() {}
        assert_eq!((driver.in_use(0), driver.queued()), (0, 0));
        assert!(driver.state.lock().waiters.is_empty());
    }
}
