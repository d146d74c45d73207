use super::*;
use crate::admit::model_slots::ModelNumber;
use crate::admit::pace::Allowance;
use proptest::prelude::*;
use std::collections::HashMap;

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
        let mut gate = Yard::new(2, 4, 3);
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
        let mut gate = Yard::new(1, 20, 2);
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

#[derive(Clone, Debug)]
enum AnyStep {
    Ask {
        wants: Vec<(usize, u8, u64, u64)>,
        priority: Priority,
        client: u32,
        patience: Option<u64>,
    },
    Release {
        index: usize,
        is_used: bool,
    },
    Cancel(usize),
    Close(usize, Option<u64>),
    Open(usize),
    Answered(usize),
    ModelRefused(usize),
    EdgeRefused(usize),
    Printed(usize, u64),
    Allowance {
        index: usize,
        left: u64,
        wait: u64,
    },
    Advance(u64),
}

fn any_step() -> impl Strategy<Value = AnyStep> {
    const SECOND: u64 = 1_000_000;
    let time = || {
        prop_oneof![
            Just(0_u64),
            Just(1),
            Just(SECOND - 1),
            Just(SECOND),
            Just(59 * SECOND),
            Just(60 * SECOND),
            Just(600 * SECOND)
        ]
    };
    let priority =
        prop_oneof![Just(Priority::Interactive), Just(Priority::Agent), Just(Priority::Batch)];
    let want = (0_usize..3, 0_u8..3, 0_u64..2, prop_oneof![3 => Just(0_u64), 1 => time()]);
    prop_oneof![
        8 => (prop::collection::vec(want, 1..4), priority, 0_u32..3, prop::option::of(time()))
            .prop_map(|(wants, priority, client, patience)| AnyStep::Ask { wants, priority, client, patience }),
        6 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(index, is_used)| AnyStep::Release { index, is_used }),
        1 => any::<usize>().prop_map(AnyStep::Cancel),
        1 => (0_usize..3, prop::option::of(time())).prop_map(|(account, until)| AnyStep::Close(account, until)),
        1 => (0_usize..3).prop_map(AnyStep::Open),
        2 => any::<usize>().prop_map(AnyStep::Answered),
        1 => any::<usize>().prop_map(AnyStep::ModelRefused),
        1 => any::<usize>().prop_map(AnyStep::EdgeRefused),
        1 => (0_usize..3, prop_oneof![Just(0_u64), Just(1), Just(60)]).prop_map(|(account, number)| AnyStep::Printed(account, number)),
        1 => (any::<usize>(), 0_u64..3, time()).prop_map(|(index, left, wait)| AnyStep::Allowance { index, left, wait }),
        4 => time().prop_map(AnyStep::Advance),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// With everything at once: nobody is forgotten, told twice or told too late; slots add up; whoever waits has a moment at
    /// which it is looked at, or waits for something that somebody has to say.
    #[test]
    fn whatever_happens_nobody_is_forgotten(steps in prop::collection::vec(any_step(), 1..150)) {
        let mut gate = Gate::new(12, std::iter::repeat_n(AccountLimits { slots: 2, pace: PaceRule::Adaptive }, 3));
        let mut now = 0_u64;
        let mut held: Vec<Grant> = Vec::new();
        let mut waiting: HashMap<Ticket, (Vec<Candidate>, Option<u64>)> = HashMap::new();
        for step in steps {
            let moment = at(now);
            match step {
                AnyStep::Ask { wants, priority, client, patience } => {
                    let candidates: Vec<Candidate> = wants.into_iter().zip(0..).map(|((account, stage, model, wait), choice)| Candidate {
                        account, stage, choice,
                        not_before: (wait > 0).then(|| at(now + wait)),
                        model: Some(ModelNumber(model)),
                        ..Candidate::default()
                    }).collect();
                    let deadline = patience.map(|patience| now + patience);
                    let asker = Asker { priority, client, deadline: deadline.map(at), came: at(0) };
                    match gate.offer(moment, candidates.clone(), asker, always) {
                        Offer::Granted(grant) => {
                            let chosen = candidates[usize::from(grant.choice)];
                            prop_assert!(chosen.not_before.is_none_or(|earliest| earliest <= moment));
                            prop_assert_eq!((chosen.account, chosen.model, moment), (grant.account, grant.model, grant.at));
                            held.push(grant);
                        }
                        Offer::Queued(ticket) => drop(waiting.insert(ticket, (candidates, deadline))),
                        Offer::Refused(_) => {}
                    }
                }
                AnyStep::Release { index, is_used } => if !held.is_empty() {
                    let grant = held.swap_remove(index % held.len());
                    if is_used { gate.release(moment, &grant) } else { gate.release_unused(&grant) }
                },
                AnyStep::Cancel(index) => if let Some(ticket) = waiting.keys().nth(index % waiting.len().max(1)).copied() {
                    prop_assert!(gate.cancel(ticket) && !gate.cancel(ticket));
                    waiting.remove(&ticket);
                },
                AnyStep::Close(account, wait) => gate.close(account, Closure::Rest, wait.map(|wait| at(now + wait))),
                AnyStep::Open(account) => gate.open(account, Closure::Rest),
                AnyStep::Answered(index) => if let Some(grant) = held.get(index % held.len().max(1)) { gate.answered(moment, grant) },
                AnyStep::ModelRefused(index) => if let Some(grant) = held.get(index % held.len().max(1)) { gate.model_refused(moment, grant) },
                AnyStep::EdgeRefused(index) => if let Some(grant) = held.get(index % held.len().max(1)) { gate.edge_refused(moment, grant) },
                AnyStep::Printed(account, number) => gate.hear_printed_pace(moment, account, number),
                AnyStep::Allowance { index, left, wait } => if let Some(grant) = held.get(index % held.len().max(1)) {
                    gate.hear_allowances(moment, grant, [Allowance { left, until: at(now + wait) }]);
                },
                AnyStep::Advance(time) => now += time,
            }
            let moment = at(now);
            for Wake { ticket, waking } in gate.tick(moment, always) {
                let told = waiting.remove(&ticket);
                prop_assert!(told.is_some(), "told once");
                let (candidates, deadline) = told.unwrap();
                match waking {
                    Waking::Granted(grant) => {
                        let chosen = candidates[usize::from(grant.choice)];
                        prop_assert!(chosen.not_before.is_none_or(|earliest| earliest <= moment));
                        prop_assert!(deadline.is_none_or(|deadline| now < deadline), "too late");
                        held.push(grant);
                    }
                    Waking::Expired(_) => prop_assert!(deadline.is_some_and(|deadline| deadline <= now)),
                    Waking::Closed(_) => prop_assert!(deadline.is_some()),
                }
            }
            prop_assert_eq!(gate.tick(moment, always), [], "a second tick finds nothing to do");
            prop_assert_eq!(gate.queued(), waiting.len());
            for account in 0..3 {
                let mine = held.iter().filter(|grant| grant.account == account).count();
                prop_assert!(gate.in_use(account) as usize == mine && mine <= 2);
            }
            let next = gate.next_deadline(moment);
            prop_assert!(next.is_none_or(|next| next > moment));
            for (ticket, (candidates, deadline)) in &waiting {
                prop_assert!(deadline.is_none_or(|deadline| deadline > now && next.is_some_and(|next| next <= at(deadline))));
                prop_assert!(gate.place(*ticket, moment).is_some());
                // Whoever waits for no slot and for no closure that somebody has to end waits for a moment.
                let waits_for_a_moment = candidates.iter().all(|one| {
                    gate.in_use(one.account) == 0 && gate.opens_at(one.account, one.class, moment).is_some()
                });
                prop_assert!(!(waits_for_a_moment && held.is_empty() && next.is_none()), "{candidates:?} is forgotten");
            }
        }
        // When everything is given back and open, all come on in the end.
        (0..3).for_each(|account| gate.open(account, Closure::Rest));
        for _ in 0..10_000 {
            for grant in std::mem::take(&mut held) { gate.release(at(now), &grant); }
            for wake in gate.tick(at(now), always) {
                waiting.remove(&wake.ticket);
                if let Waking::Granted(grant) = wake.waking { held.push(grant); }
            }
            if waiting.is_empty() { break; }
            if held.is_empty() {
                let next = gate.next_deadline(at(now));
                prop_assert!(next.is_some(), "{waiting:?}");
                now = next.unwrap().as_micros();
            }
        }
        prop_assert!(waiting.is_empty(), "{waiting:?}");
    }
}
