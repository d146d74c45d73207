//! How long a wait is likely to be, and what follows from it.

use super::*;

const SECOND: u64 = 1_000_000;

/// A gate whose slots were all held for `seconds`, five times.
fn seasoned(slots: u32, seconds: u64, accounts: usize) -> Yard {
    let mut yard = Yard::new(slots, 100, accounts);
    for account in 0..accounts {
        for _ in 0..5 {
            assert_eq!(
                yard.offer(at(0), all(&[account]), None, always),
                Offer::Granted(on(account))
            );
            let grant = yard.held.pop().unwrap();
            yard.gate.release(at(seconds * SECOND), &grant);
        }
    }
    yard
}

fn within(now: u64, seconds: u64) -> Option<Mono> {
    Some(at(now + seconds * SECOND))
}

#[test]
fn a_wait_that_is_hopeless_is_refused_at_once_and_says_how_long_it_would_be() {
    let now = 100 * SECOND;
    let mut yard = seasoned(1, 10, 1);
    assert_eq!(yard.offer(at(now), all(&[0]), None, always), Offer::Granted(on(0)));
    for _ in 0..4 {
        queued(yard.offer(at(now), all(&[0]), None, always));
    }
    // Four are ahead, and one is being served: about fifty seconds.
    let refused = yard.offer(at(now), all(&[0]), within(now, 20), always);
    assert_eq!(refused, Offer::Refused(Refused::TooLong(Duration::from_secs(50))));
    // What may just fit is waited for, since slots may come free sooner.
    let ticket = queued(yard.offer(at(now), all(&[0]), within(now, 26), always));
    let place = yard.place(ticket, at(now)).unwrap();
    assert_eq!((place.ahead, place.wait), (4, Some(Duration::from_secs(50))));
    let expired = yard.tick(at(now + 26 * SECOND), always);
    let [Wake { waking: Waking::Expired(Some(wait)), .. }] = expired[..] else {
        panic!("{expired:?}")
    };
    assert_eq!(wait, Duration::from_secs(40), "the one that is served should be over");
}

#[test]
fn nobody_is_refused_for_an_estimate_before_enough_was_seen() {
    let mut yard = Yard::new(1, 100, 1);
    assert_eq!(yard.offer(at(0), all(&[0]), None, always), Offer::Granted(on(0)));
    let ticket = queued(yard.offer(at(0), all(&[0]), within(0, 1), always));
    assert_eq!(yard.place(ticket, at(0)).unwrap().wait, None, "unknown is not zero");
    yard.tick(at(600 * SECOND), always);
    yard.release(0);
    // One long call is no reason to refuse others.
    assert_eq!(yard.offer(at(600 * SECOND), all(&[0]), None, always), Offer::Granted(on(0)));
    let now = 601 * SECOND;
    let ticket = queued(yard.offer(at(now), all(&[0]), within(now, 10), always));
    assert_eq!(yard.place(ticket, at(now)).unwrap().wait, Some(Duration::from_secs(599)));
}

#[test]
fn urgent_work_is_not_refused_for_the_queue_of_less_urgent_work() {
    let now = 100 * SECOND;
    let mut yard = seasoned(1, 10, 1);
    assert_eq!(yard.offer(at(now), all(&[0]), None, always), Offer::Granted(on(0)));
    let batch = Asker { priority: Priority::Batch, client: 3, deadline: None, ..Asker::default() };
    let last = (0..50).map(|_| queued(yard.ask(at(now), all(&[0]), batch, always))).last().unwrap();
    let person = queued(yard.offer(at(now), all(&[0]), within(now, 15), always));
    assert_eq!(yard.place(person, at(now)).unwrap().ahead, 0);
    assert_eq!(yard.place(last, at(now)).unwrap().ahead, 50);
    // Another client of the same priority has its turn between the others.
    let other = Asker { client: 4, ..batch };
    let other = queued(yard.ask(at(now), all(&[0]), other, always));
    assert_eq!(yard.place(other, at(now)).unwrap().ahead, 2);
}

#[test]
fn several_accounts_and_slots_make_a_wait_shorter() {
    let now = 100 * SECOND;
    let mut yard = seasoned(2, 12, 2);
    for _ in 0..4 {
        assert!(matches!(yard.offer(at(now), all(&[0, 1]), None, always), Offer::Granted(_)));
    }
    let tickets: Vec<Ticket> =
        (0..5).map(|_| queued(yard.offer(at(now), all(&[0, 1]), None, always))).collect();
    let wait = |ticket| yard.place(ticket, at(now)).unwrap().wait.unwrap().as_secs();
    assert_eq!((wait(tickets[0]), wait(tickets[4])), (12, 24));
}

#[test]
fn a_full_queue_says_how_long_the_wait_would_be() {
    let now = 100 * SECOND;
    let mut yard = Yard::new(1, 1, 1);
    for _ in 0..5 {
        yard.offer(at(0), all(&[0]), None, always);
        let grant = yard.held.pop().unwrap();
        yard.gate.release(at(10 * SECOND), &grant);
    }
    yard.offer(at(now), all(&[0]), None, always);
    queued(yard.offer(at(now), all(&[0]), None, always));
    let full = yard.offer(at(now), all(&[0]), None, always);
    assert_eq!(full, Offer::Refused(Refused::QueueFull(Some(Duration::from_secs(20)))));
}

fn dearer() -> Vec<Candidate> {
    vec![Candidate::default(), Candidate { account: 1, stage: 1, ..Candidate::default() }]
}

#[test]
fn a_wait_that_does_not_fit_lets_the_next_stage_serve() {
    let now = 100 * SECOND;
    let mut yard = seasoned(1, 10, 2);
    assert_eq!(yard.offer(at(now), dearer(), None, always), Offer::Granted(on(0)));
    // Nine seconds are too few for a slot of the first stage, eleven are enough.
    queued(yard.offer(at(now), dearer(), within(now, 11), always));
    let hurried = yard.offer(at(now), dearer(), within(now, 9), always);
    assert_eq!(hurried, Offer::Granted(on(1)));
}

#[test]
fn a_wait_that_takes_longer_than_foreseen_goes_on_to_the_next_stage() {
    // Nothing is known of the first stage: it is waited for half of the time.
    let mut yard = Yard::new(1, 100, 2);
    assert_eq!(yard.offer(at(0), dearer(), None, always), Offer::Granted(on(0)));
    let ticket = queued(yard.offer(at(0), dearer(), within(0, 20), always));
    assert_eq!(yard.next_deadline(at(0)), Some(at(10 * SECOND)));
    assert_eq!(yard.tick(at(10 * SECOND - 1), always), []);
    assert_eq!(yard.tick(at(10 * SECOND), always), [granted(ticket, 1)]);
    // Where the first stage is likely to be free in time, it is looked at again after half of the rest.
    let now = 100 * SECOND;
    let mut yard = seasoned(1, 10, 2);
    assert_eq!(yard.offer(at(now), dearer(), None, always), Offer::Granted(on(0)));
    let ticket = queued(yard.offer(at(now), dearer(), within(now, 16), always));
    assert_eq!(yard.tick(at(now + 8 * SECOND), always), []);
    assert_eq!(yard.next_deadline(at(now + 8 * SECOND)), Some(at(now + 12 * SECOND)));
    // The one that is served should be over by now, so the next moment may bring its slot.
    assert_eq!(yard.tick(at(now + 12 * SECOND), always), []);
    assert!(yard.cancel(ticket));
}
