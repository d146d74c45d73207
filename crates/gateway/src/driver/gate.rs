//! Gives the [`Gate`] its clock, and its waiters their wake-ups.

use crate::clock::Clock;
use crate::driver::shared_slots::SharedSlots;
use parking_lot::{Mutex, MutexGuard};
use ripcord_rules::admit::{
    AccountLimits, Allowance, Asker, Candidate, Class, Closure, Gate, Grant, Offer,
    Place as Stands, Priority, Refused, Ticket, Wake, Waking,
};
use ripcord_rules::time::Mono;
use ripcord_store::{LINE_POLL, Slot, Slots};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
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
    /// By account.
    shared_slots: Vec<SharedSlots>,
    waiters: HashMap<Ticket, Waiting>,
}

/// Somebody in the queue.
struct Waiting {
    request: Arc<str>,
    wake: oneshot::Sender<Woken>,
}

/// A request in the queue, to be shown.
pub(crate) struct Queued {
    pub(crate) request: Arc<str>,
    pub(crate) priority: Priority,
    pub(crate) stands: Stands,
}

/// What an attempt taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    Answered,
    /// The load balancers, or the service, want fewer.
    TooFast,
    /// Its model is full.
    ModelFull,
}

/// What a waiter is told, with the slot that comes with a grant.
struct Woken {
    waking: Waking,
    slot: Option<Slot>,
}

/// A slot. Given back when dropped, on every path.
pub(crate) struct Permit {
    driver: Arc<GateDriver>,
    pub(crate) grant: Grant,
    /// An attempt was made on it.
    is_used: bool,
    /// Among the programs of the machine; `None` where they cannot share.
    slot: Option<Slot>,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    Refused(Refused),
    /// Waited, and the deadline came first; and how long the wait would have gone on, if that can be told.
    Expired(Option<Duration>),
}

/// A place in the queue. Left when dropped.
struct Place<'a> {
    driver: &'a Arc<GateDriver>,
    ticket: Ticket,
    wake: oneshot::Receiver<Woken>,
}

// === impl GateDriver ===

impl GateDriver {
    /// A gate with so many places in the queue before these accounts, whose slots other programs may use, too.
    pub(crate) fn new(
        clock: Arc<Clock>,
        places: usize,
        accounts: Vec<(AccountLimits, Arc<dyn Slots>)>,
    ) -> Arc<Self> {
        let (limits, slots): (Vec<_>, Vec<_>) = accounts.into_iter().unzip();
        let state = State {
            gate: Gate::new(places, limits),
            shared_slots: slots.into_iter().map(SharedSlots::new).collect(),
            waiters: HashMap::new(),
        };
        Arc::new(Self { clock, state: Mutex::new(state), moved: Notify::new() })
    }

    /// Waits for a slot on one of the candidates.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        candidates: Vec<Candidate>,
        asker: Asker,
        request: &Arc<str>,
    ) -> Result<Permit, NotAdmitted> {
        let mut place = {
            let mut state = self.state.lock();
            let State { gate, shared_slots, .. } = &mut *state;
            let claim = |account: usize| shared_slots[account].claim();
            // If others hold what was asked for and it is not queued for either, the next offer asks anew.
            match gate.offer(self.clock.mono(), candidates, asker, claim) {
                Offer::Granted(grant) => {
                    let slot = shared_slots[grant.account].take();
                    return Ok(self.permit(grant, slot));
                }
                Offer::Refused(refused) => return Err(NotAdmitted::Refused(refused)),
                Offer::Queued(ticket) => {
                    let (sender, wake) = oneshot::channel();
                    let waiting = Waiting { request: Arc::clone(request), wake: sender };
                    state.waiters.insert(ticket, waiting);
                    Place { driver: self, ticket, wake }
                }
            }
        };
        self.moved.notify_one();
        // The sender is only dropped with the driver.
        let Ok(woken) = (&mut place.wake).await else { return Err(NotAdmitted::Expired(None)) };
        match woken.waking {
            Waking::Granted(grant) => Ok(self.permit(grant, woken.slot)),
            Waking::Closed(first) => Err(NotAdmitted::Refused(Refused::ClosedPastDeadline(first))),
            Waking::Expired(wait) => Err(NotAdmitted::Expired(wait)),
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

    /// The service prints how many requests a minute the account may make.
    pub(crate) fn hear_printed_pace(&self, account: usize, per_minute: u64) {
        let mut state = self.state.lock();
        state.gate.hear_printed_pace(self.clock.mono(), account, per_minute);
        self.pass_on_what_changed(state);
    }

    /// Something speaks for these again, so nobody need wait for the moment that was named before.
    pub(crate) fn ask_sooner(&self, is_it: impl Fn(&Candidate) -> bool) {
        let mut state = self.state.lock();
        state.gate.ask_sooner(is_it);
        self.pass_on_what_changed(state);
    }

    pub(crate) fn queued(&self) -> usize {
        self.state.lock().gate.queued()
    }

    /// Requests in the queue, by priority.
    pub(crate) fn queued_by_priority(&self) -> [usize; Priority::ALL.len()] {
        let state = self.state.lock();
        Priority::ALL.map(|priority| state.gate.queued_of(priority))
    }

    /// Those in the queue that came first, at most so many; or the one with this id.
    pub(crate) fn queue(&self, most: usize, only: Option<&str>) -> Vec<Queued> {
        let state = self.state.lock();
        let wanted = |(_, waiting): &(&Ticket, &Waiting)| {
            only.is_none_or(|request| *waiting.request == *request)
        };
        let now = self.clock.mono();
        let mut first: Vec<(&Ticket, &Waiting)> = state.waiters.iter().filter(wanted).collect();
        first.sort_unstable_by_key(|(ticket, _)| state.gate.waits_since(**ticket));
        let shown = first.into_iter().take(most).filter_map(|(&ticket, waiting)| {
            Some(Queued {
                request: Arc::clone(&waiting.request),
                priority: ticket.priority(),
                stands: state.gate.place(ticket, now)?,
            })
        });
        shown.collect()
    }

    /// Requests in the queue that name the account.
    pub(crate) fn queued_for(&self, account: usize) -> usize {
        self.state.lock().gate.queued_for(account)
    }

    /// Attempts that the account bears at once.
    pub(crate) fn slots(&self, account: usize) -> u32 {
        self.state.lock().gate.slots(account)
    }

    /// Attempts that the account may start in a thousand minutes, if there is a bound.
    pub(crate) fn pace_per_thousand_minutes(&self, account: usize) -> Option<u64> {
        self.state.lock().gate.pace_per_thousand_minutes(account)
    }

    pub(crate) fn in_use(&self, account: usize) -> u32 {
        self.state.lock().gate.in_use(account)
    }

    /// `Some(now)` if the account takes requests of this class, `None` if nobody knows when it will.
    pub(crate) fn opens_at(&self, account: usize, class: Class, now: Mono) -> Option<Mono> {
        self.state.lock().gate.opens_at(account, class, now)
    }

    /// Slots of the account that any program of the machine holds, this one included; `None` if that cannot be told.
    pub(crate) fn held_on_machine(&self, account: usize) -> Option<usize> {
        // The look is at files, so nobody waits for it.
        let slots = self.state.lock().shared_slots.get(account)?.slots();
        slots.seats().ok().map(|seats| seats.held())
    }

    /// Ticks the gate at its deadlines, and stands in line where others hold our slots, until told to stop.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let next = {
                let mut state = self.state.lock();
                let now = self.clock.mono();
                state.stand_in_line(now);
                self.deliver(&mut state);
                state.leave_lines(now);
                let poll = state.is_short().then(|| now.after(LINE_POLL));
                state.gate.next_deadline(now).into_iter().chain(poll).min()
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

    fn permit(self: &Arc<Self>, grant: Grant, slot: Option<Slot>) -> Permit {
        Permit { driver: Arc::clone(self), grant, is_used: false, slot }
    }

    fn deliver(&self, state: &mut State) {
        loop {
            let State { gate, shared_slots, waiters } = state;
            let claim = |account: usize| shared_slots[account].claim();
            let wakes = gate.tick(self.clock.mono(), claim);
            let mut given_back = false;
            for Wake { ticket, waking } in wakes {
                let granted = match waking {
                    Waking::Granted(grant) => Some(grant),
                    Waking::Expired(_) | Waking::Closed(_) => None,
                };
                let slot = granted.and_then(|grant| shared_slots[grant.account].take());
                let woken = Woken { waking, slot };
                // What nobody hears is dropped, and its slot with it.
                let is_heard =
                    waiters.remove(&ticket).is_some_and(|waiter| waiter.wake.send(woken).is_ok());
                if let (false, Some(grant)) = (is_heard, granted) {
                    gate.release_unused(&grant);
                    given_back = true;
                }
            }
            if !given_back {
                return;
            }
        }
    }

    fn release(&self, grant: &Grant, is_used: bool, slot: Option<Slot>) {
        let mut state = self.state.lock();
        // For others first: whoever waits in this program asks for it anew.
        drop(slot);
        if is_used {
            state.gate.release(self.clock.mono(), grant);
        } else {
            state.gate.release_unused(grant);
        }
        self.pass_on(state);
    }

    /// There may be room for more now, or the next deadline may have moved.
    fn pass_on_what_changed(&self, mut state: MutexGuard<'_, State>) {
        if state.gate.queued() > 0 {
            self.deliver(&mut state);
            drop(state);
            self.moved.notify_one();
        }
    }

    /// Gives to those who wait what was given back. Where others took it first, [`Self::run`] stands in line for it.
    fn pass_on(&self, mut state: MutexGuard<'_, State>) {
        self.deliver(&mut state);
        let is_short = state.is_short();
        drop(state);
        if is_short {
            self.moved.notify_one();
        }
    }
}

impl State {
    /// Whether others hold slots that somebody here waits for.
    fn is_short(&self) -> bool {
        (0..self.shared_slots.len()).any(|account| self.gate.is_short(account))
    }

    /// Goes on standing in line where others hold what somebody here wants.
    fn stand_in_line(&mut self, now: Mono) {
        for (account, shared) in self.shared_slots.iter_mut().enumerate() {
            let must_wait = self.gate.is_short(account) && self.gate.is_wanted(account, now);
            if must_wait && shared.wait() {
                self.gate.slots_may_be_free(account);
            }
        }
    }

    /// Leaves the lines for what nobody here wants any more.
    fn leave_lines(&mut self, now: Mono) {
        for (account, shared) in self.shared_slots.iter_mut().enumerate() {
            let has_asked = shared.has_asked() || self.gate.is_short(account);
            if has_asked && !self.gate.is_wanted(account, now) {
                shared.want_nothing();
                self.gate.slots_may_be_free(account);
            }
        }
    }
}

impl Permit {
    /// An attempt is made on it now.
    pub(crate) const fn begin(&mut self) {
        self.is_used = true;
    }

    /// What came of the attempt.
    pub(crate) fn learn(&self, lesson: Lesson) {
        let now = self.driver.clock.mono();
        let mut state = self.driver.state.lock();
        let gate = &mut state.gate;
        match lesson {
            Lesson::Answered => gate.answered(now, &self.grant),
            Lesson::TooFast => gate.edge_refused(now, &self.grant),
            Lesson::ModelFull => gate.model_refused(now, &self.grant),
        }
        self.driver.pass_on_what_changed(state);
    }

    /// What the service says is left, in the answer to the attempt.
    pub(crate) fn hear_allowances(&self, told: impl IntoIterator<Item = Allowance>) {
        let now = self.driver.clock.mono();
        self.driver.state.lock().gate.hear_allowances(now, &self.grant, told);
        // Somebody's wait may have no end in time any more.
        self.driver.moved.notify_one();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.driver.release(&self.grant, self.is_used, self.slot.take());
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.driver.state.lock();
        state.waiters.remove(&self.ticket);
        // Whoever leaves at the moment of the grant gives the slot on.
        if !state.gate.cancel(self.ticket)
            && let Ok(Woken { waking: Waking::Granted(grant), slot }) = self.wake.try_recv()
        {
            drop(slot);
            state.gate.release_unused(&grant);
            self.driver.pass_on(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_rules::admit::PaceRule;
    use ripcord_store::{AccountTag, Coordination as _, MemoryCoordination};
    use std::time::Duration;

    fn driver(slots: u32) -> Arc<GateDriver> {
        sharing(&MemoryCoordination::default(), slots, 1_000)
    }

    /// A gate as it is in another program that shares the slots.
    fn sharing(coordination: &MemoryCoordination, slots: u32, places: usize) -> Arc<GateDriver> {
        let shared = coordination.slots(&AccountTag::of("alice"), slots).unwrap();
        GateDriver::new(Arc::new(Clock::start()), places, vec![(limits(slots), shared)])
    }

    fn limits(slots: u32) -> AccountLimits {
        AccountLimits { slots, pace: PaceRule::Adaptive }
    }

    /// Whoever asks without a word about it.
    fn until(deadline: Option<Mono>) -> Asker {
        Asker { deadline, ..Asker::default() }
    }

    impl GateDriver {
        async fn admit_one(
            self: &Arc<Self>,
            candidates: Vec<Candidate>,
            asker: Asker,
        ) -> Result<Permit, NotAdmitted> {
            self.admit(candidates, asker, &Arc::from("a request")).await
        }
    }

    fn zero() -> Vec<Candidate> {
        vec![Candidate::default()]
    }

    fn in_(driver: &GateDriver, duration: Duration) -> Option<Mono> {
        Some(driver.clock.mono().after(duration))
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_given_back_goes_to_whoever_waited_longest() {
        let driver = driver(1);
        let held = driver.admit_one(zero(), until(None)).await.ok().unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..3 {
            let driver = Arc::clone(&driver);
            waiting.spawn(async move {
                driver
                    .admit_one(zero(), until(None))
                    .await
                    .map(|permit| (number, permit))
                    .ok()
                    .unwrap()
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
        let refused =
            driver.admit_one(zero(), until(in_(&driver, Duration::from_secs(90)))).await.err();
        assert!(matches!(
            refused,
            Some(NotAdmitted::Refused(Refused::ClosedPastDeadline(Some(_))))
        ));
        driver.admit_one(zero(), until(in_(&driver, Duration::from_secs(91)))).await.ok().unwrap();
        assert_eq!(driver.clock.mono().since(before).as_secs(), 90);
        stop.cancel();
        drop(task);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_the_wait() {
        let driver = driver(1);
        let stop = CancellationToken::new();
        let task = tokio::task::JoinSet::from_iter([Arc::clone(&driver).run(stop.clone())]);
        let _held = driver.admit_one(zero(), until(None)).await.ok().unwrap();
        let waited =
            driver.admit_one(zero(), until(in_(&driver, Duration::from_secs(5)))).await.err();
        assert_eq!(waited, Some(NotAdmitted::Expired(None)));
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
                    let _permit = driver.admit_one(zero(), until(None)).await;
                    tokio::time::sleep(Duration::from_millis(number % 7)).await;
                };
                let _ = tokio::time::timeout(Duration::from_millis(number % 5), hold).await;
            });
        }
        while tasks.join_next().await.is_some() {}
        assert_eq!((driver.in_use(0), driver.queued()), (0, 0));
        assert!(driver.state.lock().waiters.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn two_programs_share_the_slots_of_an_account_and_both_come_on() {
        let coordination = MemoryCoordination::default();
        let (slots, places) = (2, 1_000);
        let gates = [sharing(&coordination, slots, places), sharing(&coordination, slots, places)];
        let stop = CancellationToken::new();
        let mut running = tokio::task::JoinSet::new();
        gates.iter().for_each(|gate| drop(running.spawn(Arc::clone(gate).run(stop.clone()))));
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..200_usize {
            let gates = gates.clone();
            requests.spawn(async move {
                let permit = gates[number % 2].admit_one(zero(), until(None)).await.ok().unwrap();
                let most = gates[0].in_use(0) + gates[1].in_use(0);
                tokio::time::sleep(Duration::from_millis(20)).await;
                drop(permit);
                (number % 2, most)
            });
        }
        let mut order = Vec::new();
        while let Some(served) = requests.join_next().await {
            let (program, most) = served.unwrap();
            assert!(most <= 2, "{most} at once");
            order.push(program);
        }
        let first_half: usize = order[..100].iter().sum();
        assert!((25..=75).contains(&first_half), "neither starves: {first_half} of 100");
        let held = |gate: &GateDriver| (gate.in_use(0), gate.queued(), gate.held_on_machine(0));
        gates.iter().for_each(|gate| assert_eq!(held(gate), (0, 0, Some(0))));
        stop.cancel();
        while running.join_next().await.is_some() {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_leaves_takes_no_slot_from_the_others_of_the_machine() {
        let coordination = MemoryCoordination::default();
        let (slots, places) = (1, 1_000);
        let (here, there) =
            (sharing(&coordination, slots, places), sharing(&coordination, slots, places));
        let stop = CancellationToken::new();
        let task = tokio::task::JoinSet::from_iter([Arc::clone(&here).run(stop.clone())]);
        let held = there.admit_one(zero(), until(None)).await.ok().unwrap();
        let refused = here.admit_one(zero(), until(in_(&here, Duration::from_secs(1)))).await.err();
        assert_eq!(refused, Some(NotAdmitted::Expired(None)));
        drop(held);
        // Nobody stands in line any more, so it is there at once.
        drop(there.admit_one(zero(), until(None)).await.ok().unwrap());
        let permit =
            here.admit_one(zero(), until(in_(&here, Duration::from_secs(1)))).await.ok().unwrap();
        assert_eq!(there.held_on_machine(0), Some(1));
        drop(permit);
        stop.cancel();
        drop(task);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_makes_room_at_a_model_lets_somebody_in_at_once() {
        let driver = driver(5);
        let of_model = || {
            vec![Candidate {
                model: Some(ripcord_rules::admit::ModelNumber(1)),
                ..Candidate::default()
            }]
        };
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(driver.admit_one(of_model(), until(None)).await.ok().unwrap());
        }
        // Two at once, as far as is known, and both are long answers.
        held.pop().unwrap().learn(Lesson::ModelFull);
        held.pop();
        held.push(driver.admit_one(of_model(), until(None)).await.ok().unwrap());
        let mut next = Box::pin(driver.admit_one(of_model(), until(None)));
        begins_to_wait(next.as_mut()).await;
        for _ in 0..3 {
            held[0].learn(Lesson::Answered);
        }
        let granted = tokio::time::timeout(Duration::from_secs(1), next).await;
        assert_eq!((granted.unwrap().is_ok(), held.len()), (true, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_again_stands_before_what_came_later() {
        let driver = driver(1);
        let of = |came| Asker { came: Mono::from_micros(came), ..Asker::default() };
        let held = driver.admit_one(zero(), of(1)).await.ok().unwrap();
        let mut later = Box::pin(driver.admit_one(zero(), of(2)));
        begins_to_wait(later.as_mut()).await;
        let mut again = Box::pin(driver.admit_one(zero(), of(1)));
        begins_to_wait(again.as_mut()).await;
        drop(held);
        let granted = tokio::time::timeout(Duration::from_secs(1), again).await;
        drop(granted.unwrap().ok().unwrap());
        drop(later.await.ok().unwrap());
    }

    /// Polls once what is expected to wait.
    async fn begins_to_wait<T>(mut waiting: std::pin::Pin<&mut impl Future<Output = T>>) {
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(waiting.as_mut().poll(context).is_pending())
        });
        assert!(polled.await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_grant_that_nobody_takes_is_not_lost_to_those_behind_when_others_come_first() {
        let coordination = MemoryCoordination::default();
        let (slots, places) = (1, 10);
        let gate = sharing(&coordination, slots, places);
        let elsewhere = coordination.slots(&AccountTag::of("alice"), 1).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::task::JoinSet::from_iter([Arc::clone(&gate).run(stop.clone())]);
        let held = gate.admit_one(zero(), until(None)).await.ok().unwrap();
        let mut first = Box::pin(gate.admit_one(zero(), until(None)));
        let mut second = Box::pin(gate.admit_one(zero(), until(None)));
        begins_to_wait(first.as_mut()).await;
        begins_to_wait(second.as_mut()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(held);
        // Granted to the first, which has not heard of it when another program comes and the client goes.
        let mut line = elsewhere.line().unwrap();
        assert!(line.advance().unwrap().is_none());
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(first);
        let slot = line.advance().unwrap().unwrap();
        drop(line);
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(slot);
        let served = tokio::time::timeout(Duration::from_secs(1), second).await;
        drop(served.unwrap().ok().unwrap());
        stop.cancel();
        drop(task);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_queue_a_slot_that_others_held_is_used_when_it_is_free() {
        let coordination = MemoryCoordination::default();
        let (slots, places) = (1, 0);
        let gate = sharing(&coordination, slots, places);
        let elsewhere = coordination.slots(&AccountTag::of("alice"), 1).unwrap();
        let slot = elsewhere.try_take().unwrap().unwrap();
        let refused = gate.admit_one(zero(), until(None)).await.err();
        assert_eq!(refused, Some(NotAdmitted::Refused(Refused::QueueFull(None))));
        drop(slot);
        drop(gate.admit_one(zero(), until(None)).await.ok().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_was_there_for_a_moment_sends_no_later_call_to_the_account_that_pays() {
        let coordination = MemoryCoordination::default();
        let (slots, places) = (5, 10);
        let [plan, pays] = ["plan", "pays"]
            .map(|account| coordination.slots(&AccountTag::of(account), 5).unwrap());
        let gate = GateDriver::new(
            Arc::new(Clock::start()),
            places,
            vec![(limits(slots), Arc::clone(&plan)), (limits(slots), pays)],
        );
        let both = || {
            let pays = Candidate { account: 1, tier: 2, ..Candidate::default() };
            vec![Candidate::default(), pays]
        };
        let line = plan.line().unwrap();
        let first = gate.admit_one(both(), until(None)).await.ok().unwrap();
        drop(line);
        let mut permits = Vec::new();
        for _ in 0..5 {
            permits.push(gate.admit_one(both(), until(None)).await.ok().unwrap());
        }
        let used =
            |permits: &[Permit]| permits.iter().map(|one| one.grant.account).collect::<Vec<_>>();
        assert_eq!((first.grant.account, used(&permits)), (1, vec![0; 5]));
    }
}
