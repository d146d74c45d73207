//! What changed, told to whoever listens: `/-/events`, and the hooks of the program that runs the gateway.
//!
//! What was seen goes into [`Watcher`] where it was seen: figures after a reading, a refused model or key after an
//! attempt. What it says is new is kept in a short list and sent to every listener. Nobody is waited for: a listener that
//! is too slow is told how much it missed.

mod report;
mod sight;

pub use report::{EVENT_SCHEMA, EventReport};
pub(crate) use sight::run;

use parking_lot::Mutex;
use ripcord_rules::cause::Cause;
use ripcord_rules::events::{Event, KeyStanding, Subject, WatchSettings, Watcher};
use ripcord_rules::model_state::ModelState;
use ripcord_rules::quota::{AccountSnapshot, SpendingPolicy};
use ripcord_rules::time::Wall;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, broadcast};

/// Events that are kept for those who come back.
const KEPT: usize = 256;
/// A full model is one that refused so often in a row: a single refusal is an ordinary minute.
const REFUSALS: u32 = 3;
/// Models whose refusals are counted.
const MOST_COUNTED: usize = 256;

/// The changes of one gateway.
pub(crate) struct Events {
    state: Mutex<State>,
    /// A model or key is in trouble, so that an answer may be news.
    is_troubled: AtomicBool,
    /// Something may turn sooner than it did.
    changed: Notify,
}

struct State {
    watcher: Watcher,
    /// Refusals for capacity in a row, by model.
    refusals: HashMap<String, u32>,
    kept: VecDeque<Arc<EventReport>>,
    /// `None` once the gateway stops.
    listeners: Option<broadcast::Sender<Arc<EventReport>>>,
}

/// What a listener gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A change.
    Event(Arc<EventReport>),
    /// So many changes are lost to this listener: it was too slow.
    Missed(u64),
}

/// A listener's end. It holds as many events as the gateway keeps, and no more.
#[derive(Debug)]
pub struct Subscription {
    first: VecDeque<Arc<EventReport>>,
    news: Option<broadcast::Receiver<Arc<EventReport>>>,
}

/// Where a listener begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin<'i> {
    /// With everything that is kept.
    Kept,
    /// With what is wrong now.
    Standing,
    /// After the event of this id, or with everything that is kept if it is not known any more.
    After(&'i str),
}

// === impl Events ===

impl Events {
    pub(crate) fn new(settings: WatchSettings) -> Self {
        let state = State {
            watcher: Watcher::new(settings),
            refusals: HashMap::new(),
            kept: VecDeque::new(),
            listeners: Some(broadcast::Sender::new(KEPT)),
        };
        Self {
            state: Mutex::new(state),
            is_troubled: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// An account's figures, as far as they are known.
    pub(crate) fn account(
        &self,
        account: &str,
        snapshot: &AccountSnapshot,
        policy: &SpendingPolicy,
        now: Wall,
    ) {
        self.tell(|watcher| watcher.account(account, snapshot, policy, now));
        self.changed.notify_one();
    }

    /// What the calendar says.
    fn turned(&self, now: Wall) {
        self.tell(|watcher| watcher.turned(now));
    }

    fn next_turn(&self) -> Option<Wall> {
        self.state.lock().watcher.next_turn()
    }

    /// What the lists say of a model.
    pub(crate) fn model(&self, model: &str, state: ModelState, now: Wall) {
        self.tell(|watcher| watcher.model(model, state, now));
    }

    /// An attempt that failed, if that says something of the model or the key. Only names of real models are counted:
    /// clients may write anything.
    pub(crate) fn failed(
        &self,
        cause: Cause,
        (account, key): (&str, &str),
        model: &str,
        is_model: bool,
        now: Wall,
    ) {
        let state = match cause {
            Cause::DeadKey => {
                self.tell(|watcher| watcher.key(account, key, KeyStanding::Dead, now));
                return;
            }
            Cause::Capacity => ModelState::Busy,
            Cause::Cold => ModelState::Cold,
            Cause::Disabled => ModelState::Down,
            _ => return,
        };
        if !is_model || (state == ModelState::Busy && !self.is_full(model)) {
            return;
        }
        self.tell(|watcher| watcher.model(model, state, now));
    }

    /// An attempt that was answered.
    pub(crate) fn answered(&self, (account, key): (&str, &str), model: &str, now: Wall) {
        if !self.is_troubled.load(Ordering::Relaxed) {
            return;
        }
        self.state.lock().refusals.remove(model);
        self.tell(|watcher| watcher.key(account, key, KeyStanding::Works, now));
        self.tell(|watcher| watcher.model(model, ModelState::Hot, now));
    }

    /// Another refusal for capacity; whether that makes the model a full one.
    fn is_full(&self, model: &str) -> bool {
        self.is_troubled.store(true, Ordering::Relaxed);
        let mut state = self.state.lock();
        if state.refusals.len() >= MOST_COUNTED && !state.refusals.contains_key(model) {
            state.refusals.clear();
        }
        let refusals = state.refusals.entry(model.to_owned()).or_default();
        *refusals = refusals.saturating_add(1);
        *refusals >= REFUSALS
    }

    /// A listener from here on.
    pub(crate) fn subscribe(&self, begin: Begin<'_>) -> Subscription {
        // Under the lock, so that nothing comes twice or falls between.
        let state = self.state.lock();
        let news = state.listeners.as_ref().map(broadcast::Sender::subscribe);
        let kept = || state.kept.iter().cloned();
        let first = match begin {
            Begin::Kept => kept().collect(),
            Begin::Standing => {
                let reports = state.watcher.standing().map(EventReport::of);
                reports.take(KEPT).map(Arc::new).collect()
            }
            Begin::After(id) => match state.kept.iter().rposition(|report| report.id == id) {
                Some(place) => kept().skip(place + 1).collect(),
                None => kept().collect(),
            },
        };
        Subscription { first, news }
    }

    /// Nothing more happens: every listener comes to its end.
    pub(crate) fn close(&self) {
        self.state.lock().listeners = None;
    }

    fn tell<I: IntoIterator<Item = Event>>(&self, look: impl FnOnce(&mut Watcher) -> I) {
        let mut state = self.state.lock();
        for event in look(&mut state.watcher) {
            let report = Arc::new(EventReport::of(&event));
            tracing::info!(kind = report.kind, about = report.sentence(), "event");
            if state.kept.len() >= KEPT {
                state.kept.pop_front();
            }
            state.kept.push_back(Arc::clone(&report));
            if let Some(listeners) = &state.listeners {
                // That nobody listens is no fault.
                let _ = listeners.send(report);
            }
        }
        let is_of_a_window = |event: &Event| matches!(event.subject, Subject::Window { .. });
        let in_trouble = state.watcher.standing().any(|event| !is_of_a_window(event));
        self.is_troubled.store(in_trouble || !state.refusals.is_empty(), Ordering::Relaxed);
    }
}

// === impl Subscription ===

impl Subscription {
    /// The next change; `None` when the gateway has stopped.
    pub async fn next(&mut self) -> Option<Notice> {
        if let Some(report) = self.first.pop_front() {
            return Some(Notice::Event(report));
        }
        match self.news.as_mut()?.recv().await {
            Ok(report) => Some(Notice::Event(report)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Notice::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Wall = Wall::from_unix_seconds(1_790_510_400); // 2026-09-27T12:00:00Z
    const WHO: (&str, &str) = ("work", "1");

    fn events() -> Events {
        Events::new(WatchSettings { steady: std::time::Duration::ZERO, ..WatchSettings::default() })
    }

    fn kinds(events: &Events) -> Vec<String> {
        events.subscribe(Begin::Kept).first.iter().map(|report| report.kind.clone()).collect()
    }

    #[test]
    fn a_refusal_now_and_then_is_no_news_and_many_in_a_row_are() {
        let events = events();
        for _ in 0..10 {
            events.failed(Cause::Capacity, WHO, "m", true, NOON);
            events.failed(Cause::Capacity, WHO, "m", true, NOON);
            events.answered(WHO, "m", NOON);
        }
        assert!(kinds(&events).is_empty());
        for _ in 0..5 {
            events.failed(Cause::Capacity, WHO, "m", true, NOON);
        }
        events.answered(WHO, "m", NOON);
        assert_eq!(kinds(&events), ["saturated", "recovered"]);
    }

    #[test]
    fn names_that_clients_make_up_are_no_models() {
        let events = events();
        events.failed(Cause::Cold, WHO, "made-up", false, NOON);
        assert!(kinds(&events).is_empty());
    }

    #[tokio::test]
    async fn who_comes_back_gets_what_was_missed_and_who_is_new_what_is_wrong() {
        let events = events();
        for model in ["a", "b", "c"] {
            events.model(model, ModelState::Cold, NOON);
        }
        events.model("b", ModelState::Hot, NOON);
        let first = events.subscribe(Begin::Kept).first;
        let back = events.subscribe(Begin::After(&first[1].id)).first;
        assert_eq!(
            back.iter().map(|report| &*report.kind).collect::<Vec<_>>(),
            ["saturated", "recovered"]
        );
        assert_eq!(events.subscribe(Begin::After("evt_unknown")).first.len(), 4);
        let standing = events.subscribe(Begin::Standing).first;
        let models: Vec<_> = standing.iter().filter_map(|report| report.model.as_deref()).collect();
        assert_eq!(models, ["a", "c"]);
        let mut late = events.subscribe(Begin::After(&first[3].id));
        events.close();
        assert_eq!(late.next().await, None);
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_much_was_missed() {
        let events = events();
        let mut slow = events.subscribe(Begin::Standing);
        for _ in 0..KEPT {
            events.model("a", ModelState::Cold, NOON);
            events.model("a", ModelState::Hot, NOON);
        }
        assert_eq!(slow.next().await, Some(Notice::Missed(KEPT as u64)));
        assert!(matches!(slow.next().await, Some(Notice::Event(_))));
    }
}
