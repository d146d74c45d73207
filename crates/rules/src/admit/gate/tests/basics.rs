use super::*;

#[test]
fn first_come_first_served() {
    let mut gate = Yard::new(1, 3, 1);
    assert_eq!(gate.offer(at(0), all(&[0]), None, always), Offer::Granted(on(0)));
    let second = queued(gate.offer(at(1), all(&[0]), None, always));
    let third = queued(gate.offer(at(2), all(&[0]), None, always));
    gate.release(0);
    // Before the tick a newcomer does not slip in.
    let fourth = queued(gate.offer(at(3), all(&[0]), None, always));
    assert_eq!(gate.tick(at(3), always), [granted(second, 0)]);
    gate.release(0);
    assert_eq!(gate.tick(at(4), always), [granted(third, 0)]);
    assert!(gate.cancel(fourth) && !gate.cancel(third));
}

#[test]
fn a_waiter_for_one_account_does_not_hold_up_another() {
    let mut gate = Yard::new(1, 3, 2);
    gate.offer(at(0), all(&[0]), None, always);
    queued(gate.offer(at(0), all(&[0]), None, always));
    assert_eq!(gate.offer(at(0), all(&[0, 1]), None, always), Offer::Granted(on(1)));
}

#[test]
fn work_spreads_over_accounts() {
    let mut gate = Yard::new(2, 0, 2);
    let grants: Vec<Offer> =
        (0..5).map(|_| gate.offer(at(0), all(&[0, 1]), None, always)).collect();
    assert_eq!(
        grants,
        [
            Offer::Granted(on(0)),
            Offer::Granted(on(1)),
            Offer::Granted(on(0)),
            Offer::Granted(on(1)),
            Offer::Refused(Refused::QueueFull(None))
        ]
    );
}

#[test]
fn a_lower_tier_goes_first_while_it_has_slots() {
    let mut gate = Yard::new(2, 0, 2);
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
    let mut gate = Yard::new(1, 3, 2);
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
    let mut gate = Yard::new(1, 3, 1);
    let later = |until| vec![Candidate { not_before: Some(at(until)), ..Candidate::default() }];
    let ticket = queued(gate.offer(at(0), later(10), None, always));
    assert_eq!(gate.next_deadline(at(0)), Some(at(10)));
    assert_eq!(gate.tick(at(9), always), []);
    // Others do not wait for it.
    assert_eq!(gate.offer(at(9), all(&[0]), None, always), Offer::Granted(on(0)));
    gate.release(0);
    let wake = granted(ticket, 0);
    assert_eq!(gate.tick(at(10), always), [wake]);
    let refused = Offer::Refused(Refused::ClosedPastDeadline(Some(at(90))));
    assert_eq!(gate.offer(at(11), later(90), Some(at(50)), always), refused);
}

#[test]
fn the_preferred_account_of_a_tier_goes_first() {
    let mut gate = Yard::new(2, 0, 2);
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
    let mut gate = Yard::new(1, 3, 2);
    gate.close(0, Closure::Rest, Some(at(100)));
    gate.close(0, Closure::Budget(ALL), Some(at(50)));
    gate.close(1, Closure::Budget(ALL), None);
    let refused = Offer::Refused(Refused::ClosedPastDeadline(Some(at(100))));
    assert_eq!(gate.offer(at(0), all(&[0, 1]), Some(at(100)), always), refused);
    let ticket = queued(gate.offer(at(0), all(&[0, 1]), Some(at(101)), always));
    assert_eq!(gate.next_deadline(at(0)), Some(at(100)));
    assert_eq!(gate.tick(at(99), always), []);
    assert_eq!(gate.tick(at(100), always), [granted(ticket, 0)]);
    assert_eq!(gate.offer(at(100), all(&[]), None, always), Offer::Refused(Refused::NoAccount));
    assert_eq!(gate.offer(at(100), all(&[9]), None, always), Offer::Refused(Refused::NoAccount));
}

#[test]
fn a_wait_that_fits_no_more_ends_at_once() {
    let mut gate = Yard::new(1, 3, 1);
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
    let mut gate = Yard::new(1, 3, 1);
    gate.offer(at(0), all(&[0]), None, always);
    let ticket = queued(gate.offer(at(0), all(&[0]), Some(at(10)), always));
    assert_eq!(gate.next_deadline(at(0)), Some(at(10)));
    gate.release(0);
    // Even a free slot does not revive it: the client has been promised an answer by now.
    assert_eq!(
        gate.tick(at(10), always),
        [Wake { ticket, waking: Waking::Expired(Some(Duration::ZERO)) }]
    );
    assert_eq!(gate.next_deadline(at(10)), None);
}

#[test]
fn a_slot_that_others_hold_is_waited_for() {
    let mut gate = Yard::new(2, 3, 2);
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
    assert_eq!(gate.tick(at(2), always), [granted(ticket, 1)]);
    assert!(!gate.is_wanted(1, at(2)));
}

#[test]
fn without_a_queue_every_newcomer_asks_for_itself() {
    let mut gate = Yard::new(2, 0, 1);
    let full = Offer::Refused(Refused::QueueFull(None));
    assert_eq!(gate.offer(at(0), all(&[0]), None, |_| false), full);
    assert_eq!(gate.offer(at(1), all(&[0]), None, |_| false), full);
    assert_eq!(gate.offer(at(2), all(&[0]), None, always), Offer::Granted(on(0)));
}

#[test]
fn a_slot_that_others_held_once_does_not_send_later_calls_to_a_dearer_account() {
    let mut gate = Yard::new(2, 3, 2);
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
    let mut gate = Yard::new(2, 3, 2);
    queued(gate.offer(at(0), all(&[0]), None, |_| false));
    let offer = gate.offer(at(1), wants(), None, |account| {
        assert_eq!(account, 1);
        true
    });
    assert_eq!(offer, Offer::Granted(on(1)));
}
