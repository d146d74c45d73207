use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const LIMITS: GateLimits = GateLimits { slots_per_account: 1, queue: 3 };

const ALL: Class = Class { bearer: 0, work: Work::Interactive };
const BATCH: Class = Class { bearer: 0, work: Work::Background };

fn at(micros: u64) -> Mono {
    Mono::from_micros(micros)
}

fn all(accounts: &[usize]) -> Vec<Candidate> {
    accounts
        .iter()
        .map(|&account| Candidate { account, class: ALL, ..Candidate::default() })
        .collect()
}

fn on(account: usize) -> Grant {
    Grant { account, ..Grant::default() }
}

/// Slots that nobody else uses.
fn always(_: usize) -> bool {
    true
}

fn queued(offer: Offer) -> Ticket {
    match offer {
        Offer::Queued(ticket) => ticket,
        other => panic!("expected a place in the queue, got {other:?}"),
    }
}

#[test]
fn first_come_first_served() {
    let mut gate = Gate::new(LIMITS, 1);
    assert_eq!(gate.offer(at(0), all(&[0]), None, always), Offer::Granted(on(0)));
    let second = queued(gate.offer(at(1), all(&[0]), None, always));
    let third = queued(gate.offer(at(2), all(&[0]), None, always));
    gate.release(0);
    // Before the tick a newcomer does not slip in.
    let fourth = queued(gate.offer(at(3), all(&[0]), None, always));
    assert_eq!(gate.tick(at(3), always), [Wake { ticket: second, waking: Waking::Granted(on(0)) }]);
    gate.release(0);
    assert_eq!(gate.tick(at(4), always), [Wake { ticket: third, waking: Waking::Granted(on(0)) }]);
    assert!(gate.cancel(fourth) && !gate.cancel(third));
}

#[test]
fn a_waiter_for_one_account_does_not_hold_up_another() {
    let mut gate = Gate::new(LIMITS, 2);
    gate.offer(at(0), all(&[0]), None, always);
    queued(gate.offer(at(0), all(&[0]), None, always));
    assert_eq!(gate.offer(at(0), all(&[0, 1]), None, always), Offer::Granted(on(1)));
}

#[test]
fn work_spreads_over_accounts() {
    let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 0 }, 2);
    let grants: Vec<Offer> =
        (0..5).map(|_| gate.offer(at(0), all(&[0, 1]), None, always)).collect();
    assert_eq!(
        grants,
        [
            Offer::Granted(on(0)),
            Offer::Granted(on(1)),
            Offer::Granted(on(0)),
            Offer::Granted(on(1)),
            Offer::Refused(Refused::QueueFull)
        ]
    );
}

#[test]
fn a_lower_tier_goes_first_while_it_has_slots() {
    let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 0 }, 2);
    let wants = || {
        vec![
            Candidate { account: 0, class: ALL, tier: 1, ..Candidate::default() },
            Candidate { account: 1, class: ALL, tier: 0, ..Candidate::default() },
        ]
    };
    let grants: Vec<Offer> = (0..3).map(|_| gate.offer(at(0), wants(), None, always)).collect();
    assert_eq!(grants, [Offer::Granted(on(1)), Offer::Granted(on(1)), Offer::Granted(on(0))]);
}

#[test]
fn a_later_stage_is_taken_while_no_account_of_an_earlier_one_is_open() {
    let mut gate = Gate::new(LIMITS, 2);
    let wants = |not_before| {
        let first = Candidate { tier: 2, choice: 7, not_before, ..Candidate::default() };
        vec![first, Candidate { account: 1, stage: 1, choice: 8, ..Candidate::default() }]
    };
    let on_first = Grant { choice: 7, ..on(0) };
    let on_second = Grant { choice: 8, ..on(1) };
    assert_eq!(gate.offer(at(0), wants(None), None, always), Offer::Granted(on_first));
    // It is full, and so is waited for.
    let ticket = queued(gate.offer(at(0), wants(None), None, always));
    assert_eq!(gate.tick(at(1), always), []);
    gate.close(0, Closure::Rest, Some(at(50)));
    let wake = Wake { ticket, waking: Waking::Granted(on_second) };
    assert_eq!(gate.tick(at(2), always), [wake]);
    gate.release(1);
    gate.release(0);
    gate.open(0, Closure::Rest);
    assert_eq!(gate.offer(at(3), wants(Some(at(9))), None, always), Offer::Granted(on_second));
}

#[test]
fn a_candidate_is_not_taken_before_its_time() {
    let mut gate = Gate::new(LIMITS, 1);
    let later = |until| vec![Candidate { not_before: Some(at(until)), ..Candidate::default() }];
    let ticket = queued(gate.offer(at(0), later(10), None, always));
    assert_eq!(gate.next_deadline(at(0)), Some(at(10)));
    assert_eq!(gate.tick(at(9), always), []);
    // Others do not wait for it.
    assert_eq!(gate.offer(at(9), all(&[0]), None, always), Offer::Granted(on(0)));
    gate.release(0);
    let wake = Wake { ticket, waking: Waking::Granted(on(0)) };
    assert_eq!(gate.tick(at(10), always), [wake]);
    let refused = Offer::Refused(Refused::ClosedPastDeadline(Some(at(90))));
    assert_eq!(gate.offer(at(11), later(90), Some(at(50)), always), refused);
}

#[test]
fn the_preferred_account_of_a_tier_goes_first() {
    let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 0 }, 2);
    let wants = || {
        let mut both = all(&[0, 1]);
        both[1].is_preferred = true;
        both
    };
    let grants: Vec<Offer> = (0..3).map(|_| gate.offer(at(0), wants(), None, always)).collect();
    assert_eq!(grants, [Offer::Granted(on(1)), Offer::Granted(on(1)), Offer::Granted(on(0))]);
}

#[test]
fn a_wait_that_cannot_fit_is_refused_at_once() {
    let mut gate = Gate::new(LIMITS, 2);
    gate.close(0, Closure::Rest, Some(at(100)));
    gate.close(0, Closure::Budget(ALL), Some(at(50)));
    gate.close(1, Closure::Budget(ALL), None);
    let refused = Offer::Refused(Refused::ClosedPastDeadline(Some(at(100))));
    assert_eq!(gate.offer(at(0), all(&[0, 1]), Some(at(100)), always), refused);
    let ticket = queued(gate.offer(at(0), all(&[0, 1]), Some(at(101)), always));
    assert_eq!(gate.next_deadline(at(0)), Some(at(100)));
    assert_eq!(gate.tick(at(99), always), []);
    assert_eq!(gate.tick(at(100), always), [Wake { ticket, waking: Waking::Granted(on(0)) }]);
    assert_eq!(gate.offer(at(100), all(&[]), None, always), Offer::Refused(Refused::NoAccount));
    assert_eq!(gate.offer(at(100), all(&[9]), None, always), Offer::Refused(Refused::NoAccount));
}

#[test]
fn a_wait_that_fits_no_more_ends_at_once() {
    let mut gate = Gate::new(LIMITS, 1);
    gate.offer(at(0), all(&[0]), None, always);
    let hurried = queued(gate.offer(at(0), all(&[0]), Some(at(100)), always));
    let patient = queued(gate.offer(at(0), all(&[0]), None, always));
    gate.close(0, Closure::Budget(ALL), None);
    assert_eq!(gate.tick(at(1), always), [Wake { ticket: hurried, waking: Waking::Closed(None) }]);
    assert_eq!(gate.queued(), 1);
    assert!(gate.cancel(patient));
}

#[test]
fn whoever_waited_too_long_is_told_on_time() {
    let mut gate = Gate::new(LIMITS, 1);
    gate.offer(at(0), all(&[0]), None, always);
    let ticket = queued(gate.offer(at(0), all(&[0]), Some(at(10)), always));
    assert_eq!(gate.next_deadline(at(0)), Some(at(10)));
    gate.release(0);
    // Even a free slot does not revive it: the client has been promised an answer by now.
    assert_eq!(gate.tick(at(10), always), [Wake { ticket, waking: Waking::Expired }]);
    assert_eq!(gate.next_deadline(at(10)), None);
}

#[test]
fn a_slot_that_others_hold_is_waited_for() {
    let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 3 }, 2);
    // The first account has one slot left, the second none.
    let mut left = [1, 0];
    let mut claim = |account: usize| {
        let has_one = left[account] > 0;
        left[account] -= i32::from(has_one);
        has_one
    };
    assert_eq!(gate.offer(at(0), all(&[1, 0]), None, &mut claim), Offer::Granted(on(0)));
    let ticket = queued(gate.offer(at(0), all(&[1, 0]), None, &mut claim));
    assert!(gate.is_wanted(1, at(0)) && gate.is_wanted(0, at(0)));
    // As long as it is short, it does not even ask.
    assert_eq!(gate.tick(at(1), |_| unreachable!()), []);
    gate.slots_may_be_free(1);
    assert_eq!(gate.tick(at(2), always), [Wake { ticket, waking: Waking::Granted(on(1)) }]);
    assert!(!gate.is_wanted(1, at(2)));
}

#[test]
fn without_a_queue_every_newcomer_asks_for_itself() {
    let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 0 }, 1);
    let full = Offer::Refused(Refused::QueueFull);
    assert_eq!(gate.offer(at(0), all(&[0]), None, |_| false), full);
    assert_eq!(gate.offer(at(1), all(&[0]), None, |_| false), full);
    assert_eq!(gate.offer(at(2), all(&[0]), None, always), Offer::Granted(on(0)));
}

#[test]
fn a_slot_that_others_held_once_does_not_send_later_calls_to_a_dearer_account() {
    let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 3 }, 2);
    let wants = || {
        vec![
            Candidate { account: 0, class: ALL, tier: 0, ..Candidate::default() },
            Candidate { account: 1, class: ALL, tier: 1, ..Candidate::default() },
        ]
    };
    assert_eq!(gate.offer(at(0), wants(), None, |account| account == 1), Offer::Granted(on(1)));
    assert!(gate.is_short(0));
    assert_eq!(gate.offer(at(1), wants(), None, always), Offer::Granted(on(0)));
    // Where somebody waits for the account already, the newcomer does not ask past it.
    let mut gate = Gate::new(GateLimits { slots_per_account: 2, queue: 3 }, 2);
    queued(gate.offer(at(0), all(&[0]), None, |_| false));
    let offer = gate.offer(at(1), wants(), None, |account| {
        assert_eq!(account, 1);
        true
    });
    assert_eq!(offer, Offer::Granted(on(1)));
}

fn one(class: Class) -> Vec<Candidate> {
    vec![Candidate { class, ..Candidate::default() }]
}

#[test]
fn an_account_may_be_closed_for_one_class_and_open_for_another() {
    let mut gate = Gate::new(LIMITS, 1);
    gate.close(0, Closure::Budget(BATCH), Some(at(100)));
    let batch = queued(gate.offer(at(0), one(BATCH), None, always));
    assert_eq!(gate.offer(at(1), one(ALL), None, always), Offer::Granted(on(0)));
    let (first, second) = (
        queued(gate.offer(at(2), one(ALL), None, always)),
        queued(gate.offer(at(3), one(ALL), None, always)),
    );
    // The batch came first, but nobody waits behind it for what it may not have.
    gate.release(0);
    assert_eq!(gate.tick(at(4), always), [Wake { ticket: first, waking: Waking::Granted(on(0)) }]);
    assert_eq!(gate.opens_at(0, BATCH, at(4)), Some(at(100)));
    assert_eq!(gate.opens_at(0, ALL, at(4)), Some(at(4)));
    // From the moment on at which it opens, it is first again, without anybody having to say so.
    assert_eq!(gate.next_deadline(at(4)), Some(at(100)));
    assert_eq!(gate.tick(at(100), always), []);
    gate.release(0);
    assert_eq!(
        gate.tick(at(100), always),
        [Wake { ticket: batch, waking: Waking::Granted(on(0)) }]
    );
    gate.release(0);
    assert_eq!(
        gate.tick(at(101), always),
        [Wake { ticket: second, waking: Waking::Granted(on(0)) }]
    );
}

#[test]
fn a_rest_closes_every_class() {
    let mut gate = Gate::new(LIMITS, 1);
    gate.close(0, Closure::Rest, Some(at(50)));
    gate.close(0, Closure::Budget(BATCH), None);
    let (now, later) = (queued(gate.offer(at(0), one(BATCH), None, always)), at(50));
    let interactive = queued(gate.offer(at(0), one(ALL), None, always));
    let granted = [Wake { ticket: interactive, waking: Waking::Granted(on(0)) }];
    assert_eq!(gate.tick(later, always), granted);
    gate.open(0, Closure::Budget(BATCH));
    gate.release(0);
    assert_eq!(gate.tick(later, always), [Wake { ticket: now, waking: Waking::Granted(on(0)) }]);
}

#[test]
fn work_that_waits_for_a_reset_does_not_shut_out_work_that_could_go() {
    let mut gate = Gate::new(GateLimits { slots_per_account: 1, queue: 10 }, 1);
    gate.close(0, Closure::Budget(BATCH), None);
    for _ in 0..9 {
        queued(gate.offer(at(0), one(BATCH), None, always));
    }
    let full = Offer::Refused(Refused::QueueFull);
    assert_eq!(gate.offer(at(0), one(BATCH), None, always), full);
    assert_eq!(gate.offer(at(0), one(ALL), None, always), Offer::Granted(on(0)));
    queued(gate.offer(at(0), one(ALL), None, always));
    assert_eq!(gate.offer(at(0), one(ALL), None, always), full);
}

#[derive(Clone, Debug)]
enum Step {
    Offer(Vec<usize>, Option<u64>),
    Release,
    Cancel,
    Close(usize, u64),
    Advance(u64),
    /// Another program takes a free slot of the account, or gives all its own back.
    Elsewhere(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    // Small limits and boundary times on purpose: that is where such machines break.
    prop_oneof![
        4 => (prop::collection::vec(0_usize..3, 1..3), prop::option::of(prop_oneof![Just(0_u64), Just(1), Just(2), Just(60)]))
            .prop_map(|(accounts, deadline)| Step::Offer(accounts, deadline)),
        3 => Just(Step::Release),
        1 => Just(Step::Cancel),
        1 => (0_usize..3, prop_oneof![Just(0_u64), Just(1), Just(59), Just(60)]).prop_map(|(account, time)| Step::Close(account, time)),
        2 => prop_oneof![Just(0_u64), Just(1), Just(59), Just(60), Just(61)].prop_map(Step::Advance),
        2 => (0_usize..3, any::<bool>()).prop_map(|(account, takes)| Step::Elsewhere(account, takes)),
    ]
}

proptest! {
    #[test]
    fn no_slot_is_lost_or_given_twice(steps in prop::collection::vec(step(), 1..120)) {
        let limits = GateLimits { slots_per_account: 2, queue: 4 };
        let mut gate = Gate::new(limits, 3);
        let mut now = 0;
        let mut held: Vec<usize> = Vec::new();
        let mut waiting: HashMap<Ticket, ()> = HashMap::new();
        let mut elsewhere = [0_usize; 3];
        for step in steps {
            let mut free: Vec<usize> = (0..3).map(|account| 2 - elsewhere[account] - gate.in_use(account) as usize).collect();
            let mut claim = |account: usize| free[account].checked_sub(1).map(|left| free[account] = left).is_some();
            match step {
                Step::Offer(accounts, deadline) => match gate.offer(at(now), all(&accounts), deadline.map(|wait| at(now + wait)), &mut claim) {
                    Offer::Granted(Grant { account, .. }) => { prop_assert!(accounts.contains(&account)); held.push(account); }
                    Offer::Queued(ticket) => { waiting.insert(ticket, ()); }
                    Offer::Refused(_) => {}
                },
                Step::Release => if let Some(account) = held.pop() { gate.release(account); },
                Step::Cancel => if let Some(ticket) = waiting.keys().next().copied() {
                    prop_assert!(gate.cancel(ticket));
                    waiting.remove(&ticket);
                },
                Step::Close(account, time) => gate.close(account, Closure::Rest, Some(at(now + time))),
                Step::Advance(time) => now += time,
                Step::Elsewhere(account, true) => elsewhere[account] += usize::from(free[account] > 0),
                Step::Elsewhere(account, false) => { elsewhere[account] = 0; gate.slots_may_be_free(account); }
            }
            let mut free: Vec<usize> = (0..3).map(|account| 2 - elsewhere[account] - gate.in_use(account) as usize).collect();
            let mut claim = |account: usize| free[account].checked_sub(1).map(|left| free[account] = left).is_some();
            for wake in gate.tick(at(now), &mut claim) {
                prop_assert!(waiting.remove(&wake.ticket).is_some(), "told once");
                if let Waking::Granted(Grant { account, .. }) = wake.waking { held.push(account); }
            }
            prop_assert_eq!(gate.queued(), waiting.len());
            for (account, elsewhere) in elsewhere.into_iter().enumerate() {
                let mine = held.iter().filter(|&&index| index == account).count();
                prop_assert_eq!(gate.in_use(account) as usize, mine);
                prop_assert!(mine + elsewhere <= 2);
            }
            if let Some(next) = gate.next_deadline(at(now)) { prop_assert!(next > at(now)); }
        }
    }
}

#[derive(Clone, Debug)]
enum ClassStep {
    Offer(Vec<usize>, usize, Option<u64>),
    Release,
    Close(usize, usize, Option<u64>),
    Open(usize, usize),
    Advance(u64),
}

const CLASSES: [Class; 3] = [ALL, BATCH, Class { bearer: 7, work: Work::Interactive }];

fn class_step() -> impl Strategy<Value = ClassStep> {
    let time = || prop_oneof![Just(1_u64), Just(2), Just(60)];
    prop_oneof![
        4 => (prop::collection::vec(0_usize..2, 1..3), 0_usize..3, prop::option::of(time()))
            .prop_map(|(accounts, class, deadline)| ClassStep::Offer(accounts, class, deadline)),
        3 => Just(ClassStep::Release),
        2 => (0_usize..2, 0_usize..3, prop::option::of(time()))
            .prop_map(|(account, class, end)| ClassStep::Close(account, class, end)),
        1 => (0_usize..2, 0_usize..3).prop_map(|(account, class)| ClassStep::Open(account, class)),
        2 => prop_oneof![Just(1_u64), Just(59), Just(60)].prop_map(ClassStep::Advance),
    ]
}

proptest! {
    /// Whoever may go goes, in the order in which they came, and nobody else does.
    #[test]
    fn a_class_is_served_in_order_as_soon_as_it_may(steps in prop::collection::vec(class_step(), 1..120)) {
        let limits = GateLimits { slots_per_account: 1, queue: 20 };
        let mut gate = Gate::new(limits, 2);
        let mut now = 0;
        let mut held: Vec<usize> = Vec::new();
        let mut closed: HashMap<(usize, usize), Option<u64>> = HashMap::new();
        let mut waiting: Vec<(Ticket, Vec<usize>, usize)> = Vec::new();
        for step in steps {
            match step {
                ClassStep::Offer(accounts, class, deadline) => {
                    let wants = accounts.iter().map(|&account| Candidate { account, class: CLASSES[class], ..Candidate::default() });
                    match gate.offer(at(now), wants.collect(), deadline.map(|wait| at(now + wait)), always) {
                        Offer::Granted(Grant { account, .. }) => {
                            prop_assert!(is_open(&closed, account, class, now), "no closed class is let in");
                            held.push(account);
                        }
                        Offer::Queued(ticket) => waiting.push((ticket, accounts, class)),
                        Offer::Refused(_) => {}
                    }
                }
                ClassStep::Release => if let Some(account) = held.pop() { gate.release(account); },
                ClassStep::Close(account, class, wait) => {
                    let until = wait.map(|wait| now + wait);
                    closed.insert((account, class), until);
                    gate.close(account, Closure::Budget(CLASSES[class]), until.map(at));
                }
                ClassStep::Open(account, class) => {
                    closed.remove(&(account, class));
                    gate.open(account, Closure::Budget(CLASSES[class]));
                }
                ClassStep::Advance(time) => now += time,
            }
            let before = waiting.clone();
            for wake in gate.tick(at(now), always) {
                let index = waiting.iter().position(|(ticket, ..)| *ticket == wake.ticket);
                let (_, accounts, class) = waiting.remove(index.unwrap());
                if let Waking::Granted(Grant { account, .. }) = wake.waking {
                    prop_assert!(is_open(&closed, account, class, now));
                    held.push(account);
                    let passed = before.iter().find(|(ticket, others, other)| {
                        *ticket < wake.ticket && *other == class && *others == accounts
                            && waiting.iter().any(|(still, ..)| still == ticket)
                    });
                    prop_assert!(passed.is_none(), "whoever came first goes first");
                }
            }
            for (_, accounts, class) in &waiting {
                for &account in accounts {
                    let could_go = is_open(&closed, account, *class, now) && gate.in_use(account) == 0;
                    prop_assert!(!could_go, "nobody waits for what is free");
                }
            }
            // What opens by itself is looked at then: nobody has to say so.
            let opens = waiting.iter().flat_map(|(_, accounts, class)| {
                accounts.iter().filter_map(|&account| closed.get(&(account, *class)).copied().flatten())
            });
            if let Some(first) = opens.filter(|&opens| opens > now).min() {
                prop_assert!(gate.next_deadline(at(now)).is_some_and(|next| next <= at(first)));
            }
        }
    }
}

fn is_open(
    closed: &HashMap<(usize, usize), Option<u64>>,
    account: usize,
    class: usize,
    now: u64,
) -> bool {
    closed.get(&(account, class)).is_none_or(|until| until.is_some_and(|until| until <= now))
}
