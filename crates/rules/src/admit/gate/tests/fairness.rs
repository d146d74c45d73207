use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn of(priority: Priority, client: u32) -> Asker {
    Asker { priority, client, deadline: None, ..Asker::default() }
}

use Priority::{Agent, Batch, Interactive};

/// Every slot is held for this long.
const SLOT_TIME: u64 = 1_000;

/// Clients before one account whose slots are all held for one slot time, and granted as soon as one is free.
struct Town {
    yard: Yard,
    now: u64,
    /// Of whom the requests are that hold a slot, and until when.
    held: Vec<(u64, Grant)>,
    waiting: BTreeMap<Ticket, u64>,
    /// In the order of the grants: whose, and how long it waited.
    granted: Vec<(Priority, u32, u64)>,
}

impl Town {
    fn new(slots: u32) -> Self {
        Self {
            yard: Yard::new(slots, 2_000, 1),
            now: 0,
            held: Vec::new(),
            waiting: BTreeMap::new(),
            granted: Vec::new(),
        }
    }

    fn ask(&mut self, asker: Asker) {
        match self.yard.gate.offer(at(self.now), all(&[0]), asker, always) {
            Offer::Granted(grant) => {
                self.held.push((self.now + SLOT_TIME, grant));
                self.granted.push((asker.priority, asker.client, 0));
            }
            Offer::Queued(ticket) => drop(self.waiting.insert(ticket, self.now)),
            Offer::Refused(refused) => panic!("{refused:?}"),
        }
    }

    /// Lets time pass, and gives each slot back when its time is over.
    fn pass(&mut self, micros: u64) {
        for _ in 0..micros {
            self.now += 1;
            let (over, held): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.held).into_iter().partition(|(end, _)| *end <= self.now);
            self.held = held;
            for (_, grant) in &over {
                self.yard.gate.release(at(self.now), grant);
            }
            if over.is_empty() {
                continue;
            }
            for wake in self.yard.gate.tick(at(self.now), always) {
                let Waking::Granted(grant) = wake.waking else { panic!("{wake:?}") };
                let asked = self.waiting.remove(&wake.ticket).unwrap();
                self.held.push((self.now + SLOT_TIME, grant));
                let (priority, client) = (wake.ticket.priority(), wake.ticket.client());
                self.granted.push((priority, client, self.now - asked));
            }
        }
    }

    fn longest_wait(&self, priority: Priority) -> u64 {
        let waits = self.granted.iter().filter(|one| one.0 == priority).map(|one| one.2);
        waits.max().unwrap_or(0)
    }
}

#[test]
fn with_five_hundred_batch_requests_queued_an_interactive_one_waits_two_slot_times_at_most() {
    for slots in 1..=5 {
        let mut town = Town::new(slots);
        (0..500 + slots).for_each(|_| town.ask(of(Batch, 1)));
        // One after another, as a person asks, at every moment of a slot time.
        for _ in 0..100 {
            town.pass(2 * SLOT_TIME + 37);
            town.ask(of(Interactive, 0));
            while town.waiting.len() < 500 {
                town.ask(of(Batch, 1));
            }
        }
        town.pass(2 * SLOT_TIME);
        assert_eq!(town.granted.iter().filter(|one| one.0 == Interactive).count(), 100);
        let longest = town.longest_wait(Interactive);
        assert!(longest <= 2 * SLOT_TIME, "{slots} slots: {longest}");
    }
}

#[test]
fn batch_work_is_sure_of_one_grant_in_ten() {
    let mut town = Town::new(2);
    (0..100).for_each(|_| town.ask(of(Batch, 1)));
    for _ in 0..300 {
        while town.waiting.keys().filter(|ticket| ticket.priority() == Interactive).count() < 20 {
            town.ask(of(Interactive, 2));
        }
        town.pass(SLOT_TIME);
    }
    let grants: Vec<Priority> = town.granted.iter().skip(2).map(|one| one.0).collect();
    let batches = |grants: &[Priority]| grants.iter().filter(|&&one| one == Batch).count();
    assert!(grants.len() >= 590);
    assert!(grants.windows(10).all(|ten| batches(ten) == 1), "{grants:?}");
}

#[test]
fn agents_are_no_worse_off_than_batches() {
    let mut town = Town::new(1);
    for _ in 0..200 {
        for (priority, client) in [(Interactive, 1), (Agent, 2), (Batch, 3)] {
            town.ask(of(priority, client));
        }
    }
    town.pass(120 * SLOT_TIME);
    let count = |wanted: Priority| {
        town.granted.iter().skip(20).take(100).filter(|one| one.0 == wanted).count()
    };
    assert_eq!((count(Agent), count(Batch)), (10, 10));
}

#[test]
fn whoever_has_much_to_do_waits_for_its_turn() {
    let mut town = Town::new(1);
    (0..101).for_each(|_| town.ask(of(Agent, 1)));
    for _ in 0..20 {
        town.ask(of(Agent, 2));
        town.pass(SLOT_TIME + 1);
        town.pass(SLOT_TIME - 1);
    }
    let waits: Vec<u64> = town.granted.iter().filter(|one| one.1 == 2).map(|one| one.2).collect();
    assert_eq!(waits.len(), 20);
    assert!(waits.iter().all(|&wait| wait <= 2 * SLOT_TIME), "{waits:?}");
}

#[test]
fn what_one_service_grants_is_not_taken_from_batches_at_another() {
    // Quick requests on the first account, slow ones on the second: batches wait for the second only.
    let mut yard = Yard::new(1, 100, 2);
    let ask = |yard: &mut Yard, account: usize, asker: Asker| {
        yard.ask(at(0), all(&[account]), asker, always)
    };
    for _ in 0..50 {
        assert_eq!(ask(&mut yard, 0, of(Interactive, 1)), Offer::Granted(on(0)));
        yard.release(0);
    }
    assert_eq!(ask(&mut yard, 1, of(Interactive, 2)), Offer::Granted(on(1)));
    let batch = queued(ask(&mut yard, 1, of(Batch, 3)));
    let person = queued(ask(&mut yard, 1, of(Interactive, 2)));
    yard.release(1);
    assert_eq!(yard.tick(at(1), always), [granted(person, 1)]);
    yard.release(1);
    assert_eq!(yard.tick(at(2), always), [granted(batch, 1)]);
}

#[derive(Clone, Debug)]
enum Step {
    Ask(Vec<usize>, Priority, u32),
    Release(usize),
    Cancel(usize),
    Close(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let priority = prop_oneof![Just(Interactive), Just(Agent), Just(Batch)];
    let accounts = prop_oneof![Just(vec![0]), Just(vec![1]), Just(vec![0, 1])];
    prop_oneof![
        8 => (accounts, priority, 0_u32..3).prop_map(|(accounts, priority, client)| Step::Ask(accounts, priority, client)),
        8 => (0_usize..2).prop_map(Step::Release),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => (0_usize..2, any::<bool>()).prop_map(|(account, is_closed)| Step::Close(account, is_closed)),
    ]
}

proptest! {
    /// Nobody waits for what is free; more urgent work is passed over only for work that is owed a slot of that account;
    /// within a client the first come goes first; clients of one priority take turns; and batches get what they are sure of.
    #[test]
    fn nobody_is_passed_over_without_a_reason(steps in prop::collection::vec(step(), 1..200)) {
        let mut yard = Yard::new(2, 1_000, 2);
        let mut waiting: Vec<(Ticket, Vec<usize>)> = Vec::new();
        // The grants of each account since the last one to a batch.
        let mut since_batch = [0_u32; 2];
        // For those who could have gone: the other clients of their priority that had a turn meanwhile.
        let mut turns: BTreeMap<Ticket, Vec<u32>> = BTreeMap::new();
        let mut closed = [false; 2];
        for (now, step) in (1_u64..).zip(steps) {
            match step {
                Step::Ask(accounts, priority, client) => match yard.ask(at(now), all(&accounts), of(priority, client), always) {
                    Offer::Granted(grant) => since_batch[grant.account] = if priority == Batch { 0 } else { since_batch[grant.account] + 1 },
                    Offer::Queued(ticket) => waiting.push((ticket, accounts)),
                    Offer::Refused(refused) => prop_assert!(false, "{refused:?}"),
                },
                Step::Release(account) => if yard.in_use(account) > 0 { yard.release(account); },
                Step::Cancel(index) => if !waiting.is_empty() {
                    let (ticket, _) = waiting.swap_remove(index % waiting.len());
                    prop_assert!(yard.cancel(ticket));
                },
                Step::Close(account, is_closed) => {
                    closed[account] = is_closed;
                    if is_closed { yard.close(account, Closure::Rest, None) } else { yard.open(account, Closure::Rest) }
                }
            }
            for wake in yard.tick(at(now), always) {
                let (Waking::Granted(Grant { account, .. }), mine) = (wake.waking, wake.ticket) else { panic!("{wake:?}") };
                prop_assert!(!closed[account]);
                waiting.retain(|(ticket, _)| *ticket != mine);
                let could_have = waiting.iter().filter(|(_, accounts)| accounts.contains(&account)).map(|(other, _)| *other);
                let owed_to_agents = mine.priority() == Agent;
                for other in could_have {
                    if other.priority() < mine.priority() {
                        prop_assert!(owed_to_agents || since_batch[account] >= 9, "{mine:?} before {other:?}");
                    } else if (other.priority(), other.client()) == (mine.priority(), mine.client()) {
                        prop_assert!(mine < other, "{mine:?} before {other:?}");
                    } else if other.priority() == mine.priority() {
                        let others = turns.entry(other).or_default();
                        prop_assert!(!others.contains(&mine.client()), "{mine:?} goes again before {other:?}");
                        others.push(mine.client());
                    }
                }
                turns.retain(|other, _| (other.priority(), other.client()) != (mine.priority(), mine.client()));
                since_batch[account] = if mine.priority() == Batch { 0 } else { since_batch[account] + 1 };
                let batch_waits = waiting.iter().any(|(ticket, accounts)| ticket.priority() == Batch && accounts.contains(&account));
                prop_assert!(!batch_waits || since_batch[account] <= 9, "{} since a batch", since_batch[account]);
            }
            for (ticket, accounts) in &waiting {
                let free = accounts.iter().any(|&account| !closed[account] && yard.in_use(account) < 2);
                prop_assert!(!free, "{ticket:?} waits for what is free");
            }
        }
    }
}
