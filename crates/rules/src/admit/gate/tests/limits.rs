//! The pace of an account, and the slots of a model.

use super::*;
use crate::admit::model_slots::ModelNumber;
use crate::admit::pace::Allowance;

const SECOND: u64 = 1_000_000;

fn for_model(account: usize, model: u64, stage: u8) -> Candidate {
    Candidate { account, stage, model: Some(ModelNumber(model)), ..Candidate::default() }
}

#[test]
fn attempts_start_at_the_pace_of_the_account_and_nobody_goes_elsewhere_for_it() {
    let mut yard = Yard::new(100, 100, 2);
    yard.hear_printed_pace(at(0), 0, 4);
    let wants =
        || vec![Candidate::default(), Candidate { account: 1, stage: 1, ..Candidate::default() }];
    assert_eq!(yard.offer(at(0), wants(), None, always), Offer::Granted(on(0)));
    let second = queued(yard.offer(at(0), wants(), None, always));
    let third = queued(yard.offer(at(0), wants(), None, always));
    assert_eq!(yard.tick(at(0), always), []);
    assert_eq!(yard.next_deadline(at(0)), Some(at(15 * SECOND)));
    assert_eq!(yard.tick(at(15 * SECOND), always), [granted(second, 0)]);
    assert_eq!(yard.next_deadline(at(15 * SECOND)), Some(at(30 * SECOND)));
    assert_eq!(yard.tick(at(30 * SECOND), always), [granted(third, 0)]);
    // What was held up for nothing else makes it rise, after a minute.
    let grant = yard.last(0);
    yard.answered(at(30 * SECOND), &grant);
    assert_eq!(yard.pace_per_thousand_minutes(0), Some(4_000));
    yard.answered(at(60 * SECOND), &grant);
    assert_eq!(yard.pace_per_thousand_minutes(0), Some(4_400));
}

#[test]
fn a_wait_for_the_pace_is_known_without_any_history() {
    let mut yard = Yard::new(5, 100, 1);
    yard.hear_printed_pace(at(0), 0, 4);
    assert_eq!(yard.offer(at(0), all(&[0]), None, always), Offer::Granted(on(0)));
    queued(yard.offer(at(0), all(&[0]), None, always));
    let refused = yard.offer(at(0), all(&[0]), Some(at(14 * SECOND)), always);
    assert_eq!(refused, Offer::Refused(Refused::TooLong(Duration::from_secs(30))));
    queued(yard.offer(at(0), all(&[0]), Some(at(16 * SECOND)), always));
}

#[test]
fn a_slot_on_which_nothing_was_sent_does_not_count() {
    let mut yard = Yard::new(1, 100, 1);
    yard.hear_printed_pace(at(0), 0, 4);
    for _ in 0..9 {
        assert_eq!(yard.offer(at(0), all(&[0]), None, always), Offer::Granted(on(0)));
        let grant = yard.held.pop().unwrap();
        yard.release_unused(&grant);
    }
    assert_eq!(yard.offer(at(0), all(&[0]), None, always), Offer::Granted(on(0)));
    yard.release(0);
    queued(yard.offer(at(0), all(&[0]), None, always));
}

#[test]
fn what_a_service_says_is_spent_closes_it_until_then() {
    let mut yard = Yard::new(5, 100, 2);
    let wants =
        || vec![Candidate::default(), Candidate { account: 1, stage: 1, ..Candidate::default() }];
    assert_eq!(yard.offer(at(0), wants(), None, always), Offer::Granted(on(0)));
    let first = yard.last(0);
    assert_eq!(yard.offer(at(1), all(&[0]), None, always), Offer::Granted(on(0)));
    // It said two are left, and may not have seen the one that came after.
    yard.hear_allowances(at(2), &first, [Allowance { left: 2, until: at(SECOND) }]);
    assert_eq!(yard.offer(at(2), wants(), None, always), Offer::Granted(on(0)));
    assert_eq!(yard.opens_at(0, ALL, at(2)), Some(at(SECOND)));
    // Others may serve meanwhile; whoever has no other waits, or is refused at once.
    assert_eq!(yard.offer(at(3), wants(), None, always), Offer::Granted(on(1)));
    let refused = Offer::Refused(Refused::ClosedPastDeadline(Some(at(SECOND))));
    assert_eq!(yard.offer(at(3), all(&[0]), Some(at(SECOND)), always), refused);
    let ticket = queued(yard.offer(at(3), all(&[0]), None, always));
    assert_eq!(yard.next_deadline(at(3)), Some(at(SECOND)));
    assert_eq!(yard.tick(at(SECOND), always), [granted(ticket, 0)]);
}

#[test]
fn a_wait_that_an_allowance_makes_too_long_ends_at_once() {
    let mut yard = Yard::new(1, 100, 1);
    assert_eq!(yard.offer(at(0), all(&[0]), None, always), Offer::Granted(on(0)));
    let ticket = queued(yard.offer(at(0), all(&[0]), Some(at(SECOND)), always));
    let grant = yard.last(0);
    yard.hear_allowances(at(1), &grant, [Allowance { left: 0, until: at(9 * SECOND) }]);
    let closed = Wake { ticket, waking: Waking::Closed(Some(at(9 * SECOND))) };
    assert_eq!(yard.tick(at(1), always), [closed]);
}

#[test]
fn a_model_that_is_full_gets_fewer_attempts_over_all_accounts() {
    let mut yard = Yard::new(5, 100, 2);
    let wants = || vec![for_model(0, 7, 0), for_model(1, 7, 0)];
    let grants: Vec<Offer> = (0..4).map(|_| yard.offer(at(0), wants(), None, always)).collect();
    assert!(grants.iter().all(|offer| matches!(offer, Offer::Granted(_))));
    let refused = yard.last(1);
    yard.model_refused(at(1), &refused);
    yard.release(1);
    // Three are under way, and two are what it bears.
    let ticket = queued(yard.offer(at(2), wants(), None, always));
    // Another model does not wait for it.
    let other = yard.offer(at(2), vec![for_model(0, 8, 0)], None, always);
    assert!(matches!(other, Offer::Granted(_)));
    yard.release(0);
    assert_eq!(yard.tick(at(3), always), []);
    yard.release(1);
    let wakes = yard.tick(at(4), always);
    assert!(wakes.len() == 1 && wakes[0].ticket == ticket, "{wakes:?}");
}

#[test]
fn where_a_model_is_full_the_next_one_serves_at_once() {
    let mut yard = Yard::new(5, 100, 1);
    let wants = || {
        let sibling = Candidate { choice: 1, ..for_model(0, 8, 1) };
        vec![for_model(0, 7, 0), sibling]
    };
    let choice = |offer: Offer| match offer {
        Offer::Granted(grant) => grant.choice,
        other => panic!("{other:?}"),
    };
    assert_eq!(choice(yard.offer(at(0), wants(), None, always)), 0);
    let refused = yard.last(0);
    yard.model_refused(at(1), &refused);
    assert_eq!(choice(yard.offer(at(1), wants(), None, always)), 1);
    // As soon as it has room, it is first again.
    yard.release(0);
    assert_eq!(choice(yard.offer(at(2), wants(), None, always)), 0);
}

#[test]
fn a_grant_that_fills_a_model_lets_others_go_on_in_the_same_tick() {
    let mut yard = Yard::new(1, 100, 3);
    // The model was found to bear one attempt, which is under way; the second account is busy, and the third closed.
    let on_first = Grant { model: Some(ModelNumber(7)), ..on(0) };
    let offer = yard.offer(at(0), vec![for_model(0, 7, 0)], None, always);
    assert_eq!(offer, Offer::Granted(on_first));
    let refused = yard.last(0);
    yard.model_refused(at(1), &refused);
    assert_eq!(yard.offer(at(1), all(&[1]), None, always), Offer::Granted(on(1)));
    yard.close(2, Closure::Rest, None);
    let wants = vec![for_model(1, 7, 0), for_model(2, 8, 1)];
    let person = queued(yard.offer(at(2), wants, None, always));
    let batch = Asker { priority: Priority::Batch, ..Asker::default() };
    let batch = queued(yard.ask(at(2), vec![for_model(0, 7, 0)], batch, always));
    yard.open(2, Closure::Rest);
    yard.release(0);
    // The person is asked first and waits for the busy account, until the model's only slot goes to the batch.
    let on_third = Grant { model: Some(ModelNumber(8)), ..on(2) };
    assert_eq!(
        yard.tick(at(3), always),
        [
            Wake { ticket: batch, waking: Waking::Granted(on_first) },
            Wake { ticket: person, waking: Waking::Granted(on_third) },
        ]
    );
}
