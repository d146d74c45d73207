use super::*;
use proptest::prelude::*;

fn of(priority: Priority, client: u32) -> Asker {
    Asker { priority, client, ..Asker::default() }
}

fn at(micros: u64) -> Mono {
    Mono::from_micros(micros)
}

/// Serves everybody, one by one, and says who it was.
fn all_served<W>(mut queue: Queue<W>) -> Vec<W> {
    let mut served = Vec::new();
    while let Some(ticket) = queue.walk().next(&queue) {
        served.extend(queue.serve(ticket));
    }
    served
}

fn queue_of(waiters: &[(Priority, u32, &'static str)]) -> Queue<&'static str> {
    let mut queue = Queue::default();
    for &(priority, client, name) in waiters {
        queue.push(of(priority, client), Vec::new(), name);
    }
    queue
}

use Priority::{Agent, Batch, Interactive};

#[test]
fn the_more_urgent_goes_first_and_clients_take_turns() {
    let queue = queue_of(&[
        (Batch, 0, "batch"),
        (Interactive, 1, "first of one"),
        (Interactive, 1, "second of one"),
        (Interactive, 1, "third of one"),
        (Agent, 1, "agent"),
        (Interactive, 2, "first of two"),
        (Interactive, 2, "second of two"),
    ]);
    assert_eq!(
        all_served(queue),
        [
            "first of one",
            "first of two",
            "second of one",
            "second of two",
            "third of one",
            "agent",
            "batch"
        ]
    );
}

#[test]
fn a_walk_names_the_same_order_without_serving_anybody() {
    let queue = queue_of(&[
        (Interactive, 1, "a"),
        (Interactive, 1, "b"),
        (Interactive, 2, "c"),
        (Agent, 3, "d"),
        (Agent, 3, "e"),
        (Agent, 2, "f"),
    ]);
    let mut walk = queue.walk();
    let mut named = Vec::new();
    while let Some(ticket) = walk.next(&queue) {
        named.extend(queue.get(ticket).copied());
        walk.went();
    }
    assert_eq!(named, ["a", "c", "b", "d", "f", "e"]);
    assert_eq!(all_served(queue), named);
}

#[test]
fn whoever_cannot_go_does_not_lose_the_turn() {
    let mut queue = queue_of(&[(Interactive, 1, "stuck"), (Interactive, 2, "free")]);
    let mut walk = queue.walk();
    let stuck = walk.next(&queue).unwrap();
    assert_eq!(queue.get(stuck), Some(&"stuck"));
    let free = walk.next(&queue).unwrap();
    assert_eq!(queue.serve(free), Some("free"));
    queue.push(of(Interactive, 2), Vec::new(), "again");
    // The client that could not go is still first.
    assert_eq!(all_served(queue), ["stuck", "again"]);
}

#[test]
fn whoever_comes_back_stands_behind_those_who_stayed() {
    let mut queue = queue_of(&[(Interactive, 1, "a"), (Interactive, 1, "b")]);
    queue.push(of(Interactive, 2), Vec::new(), "c");
    let mut served = Vec::new();
    for _ in 0..4 {
        let ticket = queue.walk().next(&queue).unwrap();
        served.extend(queue.serve(ticket));
        // The second client asks anew as soon as it is served, the first one has all it wants in the queue.
        if served.last() == Some(&"c") {
            queue.push(of(Interactive, 2), Vec::new(), "c");
        }
    }
    assert_eq!(served, ["a", "c", "b", "c"]);
}

#[test]
fn moments_come_once_and_go_with_their_waiter() {
    let mut queue = Queue::default();
    let early = queue.push(of(Interactive, 0), vec![at(5), at(7)], "early");
    let late = queue.push(of(Batch, 0), vec![at(6)], "late");
    assert_eq!(queue.next_timer(), Some(at(5)));
    assert_eq!(queue.due(at(4)), []);
    assert_eq!(queue.due(at(5)), [early]);
    assert_eq!(queue.due(at(5)), []);
    queue.remove(early);
    assert_eq!(queue.next_timer(), Some(at(6)));
    assert_eq!(queue.due(at(100)), [late]);
    assert_eq!((queue.next_timer(), queue.len()), (None, 1));
}

#[derive(Clone, Debug)]
enum Step {
    Push(Priority, u32),
    /// Serves the first whose number is a multiple of this one.
    Serve(u64),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let priority = prop_oneof![Just(Interactive), Just(Agent), Just(Batch)];
    prop_oneof![
        4 => (priority, 0_u32..4).prop_map(|(priority, client)| Step::Push(priority, client)),
        3 => (1_u64..4).prop_map(Step::Serve),
        1 => any::<usize>().prop_map(Step::Remove),
    ]
}

/// The same queue, written down as simply as can be.
#[derive(Default)]
struct Model {
    waiting: Vec<(Priority, u32, u64)>,
    /// When each client had its last turn, or began to wait.
    turns: Vec<(Priority, u32, u64)>,
    clock: u64,
}

impl Model {
    fn began(&mut self, priority: Priority, client: u32) {
        self.clock += 1;
        let waits = self.waiting.iter().any(|one| (one.0, one.1) == (priority, client));
        if !waits {
            self.turns.retain(|one| (one.0, one.1) != (priority, client));
            self.turns.push((priority, client, self.clock));
        }
    }

    /// Everybody who may go, in the order in which they are asked.
    fn first(&self, may_go: impl Fn(u64) -> bool) -> Option<(Priority, u32, u64)> {
        let turn = |one: &(Priority, u32, u64)| {
            let turn = self.turns.iter().find(|turn| (turn.0, turn.1) == (one.0, one.1));
            (one.0, turn.unwrap().2, one.2)
        };
        self.waiting.iter().filter(|one| may_go(one.2)).min_by_key(|one| turn(one)).copied()
    }
}

proptest! {
    #[test]
    fn the_order_is_that_of_a_simple_list(steps in prop::collection::vec(step(), 1..200)) {
        let mut queue = Queue::default();
        let mut model = Model::default();
        let mut tickets = Vec::new();
        for step in steps {
            match step {
                Step::Push(priority, client) => {
                    model.began(priority, client);
                    let ticket = queue.push(of(priority, client), vec![at(1)], ());
                    model.waiting.push((priority, client, ticket.number));
                    tickets.push(ticket);
                }
                Step::Serve(divisor) => {
                    let may_go = |number: u64| number.is_multiple_of(divisor);
                    let mut walk = queue.walk();
                    let found = std::iter::from_fn(|| walk.next(&queue)).find(|one| may_go(one.number));
                    let expected = model.first(may_go);
                    prop_assert_eq!(found.map(|one| (one.priority, one.client, one.number)), expected);
                    if let Some(ticket) = found {
                        prop_assert!(queue.serve(ticket).is_some() && queue.serve(ticket).is_none());
                        model.waiting.retain(|one| one.2 != ticket.number);
                        model.clock += 1;
                        let clock = model.clock;
                        model.turns.iter_mut().filter(|one| (one.0, one.1) == (ticket.priority, ticket.client))
                            .for_each(|one| one.2 = clock);
                    }
                }
                Step::Remove(index) => if !tickets.is_empty() {
                    let ticket: Ticket = tickets.swap_remove(index % tickets.len());
                    let was_there = model.waiting.iter().any(|one| one.2 == ticket.number);
                    prop_assert_eq!(queue.remove(ticket).is_some(), was_there);
                    model.waiting.retain(|one| one.2 != ticket.number);
                },
            }
            prop_assert_eq!(queue.len(), model.waiting.len());
            prop_assert_eq!(queue.timers.len(), queue.len());
            let clients: usize = queue.turns.iter().map(VecDeque::len).sum();
            prop_assert!(clients <= queue.len(), "no client is kept that has nobody waiting");
        }
    }

    /// However much one client wants, another one that keeps asking gets every second turn of theirs.
    #[test]
    fn a_client_with_much_does_not_starve_one_with_little(clients in 2_u32..6, rounds in 1_usize..40) {
        let mut queue = Queue::default();
        for number in 0..500 {
            queue.push(of(Batch, 0), Vec::new(), number);
        }
        for client in 1..clients {
            queue.push(of(Batch, client), Vec::new(), 0);
        }
        let mut turns = vec![0_usize; clients as usize];
        for _ in 0..rounds * clients as usize {
            let ticket = queue.walk().next(&queue).unwrap();
            queue.serve(ticket);
            turns[ticket.client as usize] += 1;
            if ticket.client > 0 {
                queue.push(of(Batch, ticket.client), Vec::new(), 0);
            }
        }
        prop_assert!(turns.iter().all(|&turns| turns == rounds), "{turns:?}");
    }
}
