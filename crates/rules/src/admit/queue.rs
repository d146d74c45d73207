//! Who is next: the highest priority first, clients in turn within one priority, first come first served within a client.
//!
//! The order knows nothing about accounts. [`Walk`] names the waiters one by one, and whoever walks says which of them
//! could go: those that could not keep their turn.

use crate::quota::Work;
use crate::time::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How urgent a request is. The more urgent is the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Somebody looks at the screen.
    #[default]
    Interactive,
    /// A program that works for somebody.
    Agent,
    /// Work that has time.
    Batch,
}

/// Who asks for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Asker {
    /// How urgently.
    pub priority: Priority,
    /// The number of the client key; 0 where none is asked for.
    pub client: u32,
    /// When there is no point in it any more.
    pub deadline: Option<Mono>,
    /// When its request came: whoever asks again has its place among those of its client.
    pub came: Mono,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    // In this order the tickets of one client stand together, the first come first.
    priority: Priority,
    client: u32,
    came: Mono,
    number: u64,
}

/// The end of time.
const LAST: Mono = Mono::from_micros(u64::MAX);

/// Everybody who waits.
#[derive(Clone, Debug)]
pub(super) struct Queue<W> {
    waiters: BTreeMap<Ticket, Waiting<W>>,
    /// For each priority, the clients that have somebody waiting; whose turn it is stands first.
    turns: [VecDeque<u32>; Priority::ALL.len()],
    /// When somebody has to be looked at, whatever else happens.
    timers: BTreeSet<(Mono, Ticket)>,
    next_number: u64,
}

#[derive(Clone, Debug)]
struct Waiting<W> {
    what: W,
    timers: Vec<Mono>,
}

/// A walk along the queue, each waiter at most once.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    priorities: std::slice::Iter<'static, Priority>,
    priority: Priority,
    /// The clients of this priority that may have more, each with the place from which on to look.
    clients: VecDeque<(u32, (Mono, u64))>,
}

// === impl Priority ===

impl Priority {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Agent, Self::Batch];

    /// The one that is written so.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == text)
    }

    /// For whom such work is: whether somebody waits for it.
    #[must_use]
    pub const fn work(self) -> Work {
        match self {
            Self::Interactive => Work::Interactive,
            Self::Agent | Self::Batch => Work::Background,
        }
    }

    /// As it is written in headers and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Agent => "agent",
            Self::Batch => "batch",
        }
    }
}

// === impl Ticket ===

impl Ticket {
    /// How urgent its request is.
    #[must_use]
    pub const fn priority(self) -> Priority {
        self.priority
    }

    /// Whose it is.
    #[must_use]
    pub const fn client(self) -> u32 {
        self.client
    }

    /// When its request came.
    pub(super) const fn came(self) -> Mono {
        self.came
    }
}

// === impl Queue ===

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self {
            waiters: BTreeMap::new(),
            turns: Default::default(),
            timers: BTreeSet::new(),
            next_number: 0,
        }
    }
}

impl<W> Queue<W> {
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&W> {
        self.waiters.get(&ticket).map(|waiting| &waiting.what)
    }

    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut W> {
        self.waiters.get_mut(&ticket).map(|waiting| &mut waiting.what)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut W> {
        self.waiters.values_mut().map(|waiting| &mut waiting.what)
    }

    /// Everybody, in no order that matters.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ticket, &W)> {
        self.waiters.iter().map(|(ticket, waiting)| (*ticket, &waiting.what))
    }

    /// Everybody of one priority, the clients one after another.
    pub(super) fn of_priority(&self, priority: Priority) -> impl Iterator<Item = (Ticket, &W)> {
        let first = Ticket { priority, client: 0, came: Mono::default(), number: 0 };
        let last = Ticket { priority, client: u32::MAX, came: LAST, number: u64::MAX };
        self.waiters.range(first..=last).map(|(ticket, waiting)| (*ticket, &waiting.what))
    }

    /// Somebody comes, to be looked at again at each of these moments.
    pub(super) fn push(&mut self, asker: Asker, timers: Vec<Mono>, what: W) -> Ticket {
        let Asker { priority, client, came, .. } = asker;
        let ticket = Ticket { priority, client, came, number: self.next_number };
        self.next_number += 1;
        let clients = &mut self.turns[priority as usize];
        // At most as long as there are clients with somebody waiting.
        if !clients.contains(&client) {
            clients.push_back(client);
        }
        self.timers.extend(timers.iter().map(|&moment| (moment, ticket)));
        self.waiters.insert(ticket, Waiting { what, timers });
        ticket
    }

    /// Somebody goes without having had a turn.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<W> {
        let Waiting { what, timers } = self.waiters.remove(&ticket)?;
        for moment in timers {
            self.timers.remove(&(moment, ticket));
        }
        if self.next_of(ticket.priority, ticket.client, (Mono::default(), 0)).is_none() {
            self.turns[ticket.priority as usize].retain(|&client| client != ticket.client);
        }
        Some(what)
    }

    /// Somebody goes, and has used the client's turn.
    pub(super) fn serve(&mut self, ticket: Ticket) -> Option<W> {
        let what = self.remove(ticket)?;
        let clients = &mut self.turns[ticket.priority as usize];
        if let Some(place) = clients.iter().position(|&client| client == ticket.client) {
            clients.remove(place);
            clients.push_back(ticket.client);
        }
        Some(what)
    }

    /// Those whose moment has come, each as often as it has one.
    pub(super) fn due(&mut self, now: Mono) -> Vec<Ticket> {
        let mut due = Vec::new();
        while let Some(&(moment, ticket)) = self.timers.first()
            && moment <= now
        {
            self.timers.pop_first();
            if let Some(waiting) = self.waiters.get_mut(&ticket) {
                waiting.timers.retain(|&other| other != moment);
            }
            due.push(ticket);
        }
        due
    }

    /// Somebody is looked at again then, too.
    pub(super) fn look_again(&mut self, ticket: Ticket, moment: Option<Mono>) {
        if let (Some(waiting), Some(moment)) = (self.waiters.get_mut(&ticket), moment) {
            waiting.timers.push(moment);
            self.timers.insert((moment, ticket));
        }
    }

    /// The first moment at which somebody has to be looked at.
    pub(super) fn next_timer(&self) -> Option<Mono> {
        self.timers.first().map(|&(moment, _)| moment)
    }

    /// From the one who is next to the one who is last. What is granted on the way is [`Self::serve`]d and told to the
    /// walk with [`Walk::went`].
    pub(super) fn walk(&self) -> Walk {
        self.walk_of(&Priority::ALL)
    }

    /// The same, for some of the priorities.
    pub(super) fn walk_of(&self, priorities: &'static [Priority]) -> Walk {
        Walk {
            priorities: priorities.iter(),
            priority: Priority::default(),
            clients: VecDeque::new(),
        }
    }

    /// The first of a client that stands at this place or behind it.
    fn next_of(
        &self,
        priority: Priority,
        client: u32,
        (came, number): (Mono, u64),
    ) -> Option<Ticket> {
        let last = Ticket { priority, client, came: LAST, number: u64::MAX };
        let mut lane = self.waiters.range(Ticket { priority, client, came, number }..=last);
        lane.next().map(|(ticket, _)| *ticket)
    }
}

// === impl Walk ===

impl Walk {
    /// The next one who has not been named.
    pub(super) fn next<W>(&mut self, queue: &Queue<W>) -> Option<Ticket> {
        loop {
            let Some((client, from)) = self.clients.front_mut() else {
                self.priority = *self.priorities.next()?;
                let clients = queue.turns[self.priority as usize].iter();
                self.clients = clients.map(|&client| (client, (Mono::default(), 0))).collect();
                continue;
            };
            if let Some(ticket) = queue.next_of(self.priority, *client, *from) {
                *from = (ticket.came, ticket.number + 1);
                return Some(ticket);
            }
            self.clients.pop_front();
        }
    }

    /// The one who was named last goes: it is another client's turn.
    pub(super) fn went(&mut self) {
        if let Some(client) = self.clients.pop_front() {
            self.clients.push_back(client);
        }
    }
}

#[cfg(test)]
mod tests;
