use super::*;

fn one(class: Class) -> Vec<Candidate> {
    vec![Candidate { class, ..Candidate::default() }]
}

#[test]
fn an_account_may_be_closed_for_one_class_and_open_for_another() {
    let mut gate = Yard::new(1, 3, 1);
    gate.close(0, Closure::Budget(BATCH), Some(at(100)));
    let batch = queued(gate.offer(at(0), one(BATCH), None, always));
    assert_eq!(gate.offer(at(1), one(ALL), None, always), Offer::Granted(on(0)));
    let (first, second) = (
        queued(gate.offer(at(2), one(ALL), None, always)),
        queued(gate.offer(at(3), one(ALL), None, always)),
    );
    // The batch came first, but nobody waits behind it for what it may not have.
    gate.release(0);
    assert_eq!(gate.tick(at(4), always), [granted(first, 0)]);
    assert_eq!(gate.opens_at(0, BATCH, at(4)), Some(at(100)));
    assert_eq!(gate.opens_at(0, ALL, at(4)), Some(at(4)));
    // From the moment on at which it opens, it is first again, without anybody having to say so.
    assert_eq!(gate.next_deadline(at(4)), Some(at(100)));
    assert_eq!(gate.tick(at(100), always), []);
    gate.release(0);
    assert_eq!(gate.tick(at(100), always), [granted(batch, 0)]);
    gate.release(0);
    assert_eq!(gate.tick(at(101), always), [granted(second, 0)]);
}

#[test]
fn a_rest_closes_every_class() {
    let mut gate = Yard::new(1, 3, 1);
    gate.close(0, Closure::Rest, Some(at(50)));
    gate.close(0, Closure::Budget(BATCH), None);
    let (now, later) = (queued(gate.offer(at(0), one(BATCH), None, always)), at(50));
    let interactive = queued(gate.offer(at(0), one(ALL), None, always));
    assert_eq!(gate.tick(later, always), [granted(interactive, 0)]);
    gate.open(0, Closure::Budget(BATCH));
    gate.release(0);
    assert_eq!(gate.tick(later, always), [granted(now, 0)]);
}

#[test]
fn work_that_waits_for_a_reset_does_not_shut_out_work_that_could_go() {
    let mut gate = Yard::new(1, 10, 1);
    let asker = |priority| Asker { priority, ..Asker::default() };
    let full = Offer::Refused(Refused::QueueFull(None));
    gate.close(0, Closure::Budget(BATCH), None);
    for (priority, places) in [(Priority::Batch, 8), (Priority::Agent, 1)] {
        for _ in 0..places {
            queued(gate.ask(at(0), one(BATCH), asker(priority), always));
        }
        assert_eq!(gate.ask(at(0), one(BATCH), asker(priority), always), full);
    }
    assert_eq!(gate.offer(at(0), one(ALL), None, always), Offer::Granted(on(0)));
    queued(gate.offer(at(0), one(ALL), None, always));
    assert_eq!(gate.offer(at(0), one(ALL), None, always), full);
}
