//! The state machine.

use super::standing::{OtherWatch, WindowWatch};
use super::{Event, EventKind, Subject, Topic};
use crate::model_state::ModelState;
use crate::quota::{
    AccountSnapshot, CLOCKS_DIFFER, Cap, OLD_FIGURES_AFTER_TURN, Readable, Source, SpendingPolicy,
    Window, WindowKind, four_hour_window, next_day_reset,
};
use crate::time::Wall;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// When to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// From where on a window is low.
    pub low: LowMarks,
    /// How long a model has to be without trouble before it counts as recovered.
    pub steady: Duration,
}

/// The share of each window below which it is low, in thousandths of its cap; 0 for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowMarks {
    /// Of `day`.
    pub day: u64,
    /// Of `four_hour`.
    pub four_hour: u64,
    /// Of `month`.
    pub month: u64,
    /// Of a chute's own window.
    pub chute: u64,
}

/// What Chutes thinks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStanding {
    /// It was taken.
    Works,
    /// It was refused as unknown.
    Dead,
    /// Nobody could say.
    Unknown,
}

/// Turns what is seen into what is new.
#[derive(Clone, Debug)]
pub struct Watcher {
    settings: WatchSettings,
    windows: BTreeMap<Topic, WindowWatch>,
    models: BTreeMap<Topic, OtherWatch>,
    keys: BTreeMap<Topic, OtherWatch>,
}

/// Names of models come from outside, so the book must not grow with them.
const MOST_MODELS: usize = 512;
/// No clock is set back by more: whoever was so far ahead was wrong, and what he saw does not count.
const NO_STEP_OF_A_CLOCK: Duration = Duration::from_secs(2 * 86_400);

// === impl WatchSettings ===

impl Default for WatchSettings {
    fn default() -> Self {
        Self { low: LowMarks::all(200), steady: Duration::from_secs(60) }
    }
}

impl LowMarks {
    /// The same for every window.
    #[must_use]
    pub const fn all(permille: u64) -> Self {
        Self { day: permille, four_hour: permille, month: permille, chute: permille }
    }

    const fn of(self, kind: WindowKind) -> u64 {
        match kind {
            WindowKind::Day => self.day,
            WindowKind::FourHour => self.four_hour,
            WindowKind::Month => self.month,
            WindowKind::Chute => self.chute,
        }
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new(WatchSettings::default())
    }
}

// === impl Watcher ===

impl Watcher {
    /// A watcher that has seen nothing.
    #[must_use]
    pub const fn new(settings: WatchSettings) -> Self {
        Self { settings, windows: BTreeMap::new(), models: BTreeMap::new(), keys: BTreeMap::new() }
    }

    /// The account's figures as they are known at `now`; older ones where the newer reading failed.
    pub fn account(
        &mut self,
        account: &str,
        snapshot: &AccountSnapshot,
        policy: &SpendingPolicy,
        now: Wall,
    ) -> Vec<Event> {
        let account: Arc<str> = account.into();
        let mut events = Vec::new();
        // What is kept for interactive work is not used up.
        let policy = SpendingPolicy { reserve_permille: 0, ..*policy };
        if snapshot.readable == Readable::Yes {
            let own = snapshot.chute_windows.iter().map(|(chute, window)| (Some(chute), window));
            let all = snapshot.windows.iter().map(|window| (None, window)).chain(own);
            for (chute, window) in all {
                let chute_id = chute.map(|chute| Arc::from(chute.as_str()));
                let topic = Topic::Window(Arc::clone(&account), window.kind, chute_id);
                let used_up = |window: &Window| policy.is_used_up(window, snapshot.plan);
                self.window(&topic, window, used_up, now, &mut events);
            }
            self.forget_windows(&account, snapshot, now, &mut events);
        }
        events.extend(self.turned(now));
        events
    }

    /// What the calendar alone says at `now`.
    pub fn turned(&mut self, now: Wall) -> Vec<Event> {
        let mut events = Vec::new();
        let known: Vec<(Topic, Window)> = self
            .windows
            .iter()
            .filter(|(_, watch)| watch.standing.is_some())
            .map(|(topic, watch)| (topic.clone(), watch.read.clone()))
            .collect();
        for (topic, window) in known {
            self.window(&topic, &window, |_| None, now, &mut events);
        }
        events
    }

    /// When [`Self::turned`] has something to say at the soonest.
    #[must_use]
    pub fn next_turn(&self) -> Option<Wall> {
        let waiting = self.windows.values().filter(|watch| watch.standing.is_some());
        let turns = waiting.filter(|watch| turns_by_itself(watch.read.kind));
        turns.filter_map(|watch| watch.turn).min().map(|turn| turn.after(CLOCKS_DIFFER))
    }

    /// What is known of a model at `now`.
    pub fn model(&mut self, model: &str, state: ModelState, now: Wall) -> Option<Event> {
        let topic = Topic::Model(model.into());
        let is_trouble = match state {
            ModelState::Unknown => return None,
            ModelState::Hot => false,
            ModelState::Busy | ModelState::Cold | ModelState::Down => true,
        };
        if !is_trouble && !self.models.contains_key(&topic) {
            return None;
        }
        if self.models.len() >= MOST_MODELS && !self.models.contains_key(&topic) {
            self.models.retain(|_, watch| watch.standing.is_some());
            if self.models.len() >= MOST_MODELS {
                return None;
            }
        }
        let steady = self.settings.steady;
        let watch = self.models.entry(topic).or_default();
        let subject = Subject::Model { model: model.into(), state };
        if is_trouble {
            watch.last_trouble = now;
            return watch.begins(EventKind::Saturated, subject, now);
        }
        (now.since(watch.last_trouble) >= steady).then(|| watch.ends(subject, now)).flatten()
    }

    /// What Chutes thinks of a key at `now`.
    pub fn key(
        &mut self,
        account: &str,
        key: &str,
        standing: KeyStanding,
        now: Wall,
    ) -> Option<Event> {
        let topic = Topic::Key(account.into(), key.into());
        let subject = Subject::Key { account: account.into(), key: key.into() };
        match standing {
            KeyStanding::Unknown => None,
            KeyStanding::Dead => {
                self.keys.entry(topic).or_default().begins(EventKind::KeyDead, subject, now)
            }
            KeyStanding::Works => self.keys.get_mut(&topic)?.ends(subject, now),
        }
    }

    /// The troubles that were told and are not over.
    pub fn standing(&self) -> impl Iterator<Item = &Event> {
        let windows = self.windows.values().filter_map(|watch| watch.standing.as_ref());
        let others = self.models.values().chain(self.keys.values());
        windows.chain(others.filter_map(|watch| watch.standing.as_ref()))
    }

    fn window(
        &mut self,
        topic: &Topic,
        read: &Window,
        used_up: impl FnOnce(&Window) -> Option<bool>,
        now: Wall,
        events: &mut Vec<Event>,
    ) {
        let Topic::Window(account, _, chute_id) = topic else { return };
        // Nothing is included, so there is nothing to use up.
        if matches!(read.cap, Cap::Limited(..=0)) {
            return;
        }
        // The server may not have turned the window yet where our clock has.
        let surely = now.before(CLOCKS_DIFFER);
        let window = read.at(surely);
        let turn = window.turns_at(surely);
        if turns_by_itself(window.kind) && turn.is_some_and(|turn| read.as_of >= turn) {
            // Read between the two clocks: soon it is certain of which window.
            return;
        }
        let watch = self.windows.entry(topic.clone()).or_insert_with(|| {
            WindowWatch::new(Arc::clone(account), chute_id.clone(), read.clone(), turn)
        });
        if let (Some(known), Some(turn)) = (watch.turn, turn) {
            if known.since(turn) > NO_STEP_OF_A_CLOCK {
                watch.forget();
            } else if turn < known {
                return;
            } else if turn > known {
                events.extend(watch.turns(&window, known, now));
            }
        }
        watch.turn = turn.or(watch.turn);
        watch.read = read.clone();
        if !is_of_the_window_before(&window) {
            let low = self.settings.low.of(window.kind);
            let used_up = used_up(&window);
            events.extend(watch.judge(&window, used_up, low, now));
        }
    }

    /// A window that is not there any more limits nothing.
    fn forget_windows(
        &mut self,
        account: &Arc<str>,
        snapshot: &AccountSnapshot,
        now: Wall,
        events: &mut Vec<Event>,
    ) {
        let is_gone = |topic: &Topic| match topic {
            Topic::Window(owner, kind, chute) if owner == account => match (kind, chute) {
                (WindowKind::FourHour | WindowKind::Month, _) => {
                    snapshot.caps_read
                        && !snapshot.windows.iter().any(|window| window.kind == *kind)
                }
                (WindowKind::Day | WindowKind::Chute, None) => {
                    snapshot.rows_read
                        && !snapshot.windows.iter().any(|window| window.kind == *kind)
                }
                (WindowKind::Day | WindowKind::Chute, Some(chute)) => {
                    snapshot.rows_read
                        && !snapshot.chute_windows.iter().any(|(known, _)| **known == **chute)
                }
            },
            Topic::Window(..) | Topic::Model(_) | Topic::Key(..) => false,
        };
        let gone: Vec<Topic> =
            self.windows.keys().filter(|topic| is_gone(topic)).cloned().collect();
        for topic in gone {
            let Some(mut watch) = self.windows.remove(&topic) else { continue };
            if watch.is_exhausted() {
                let last = watch.read.clone();
                events.push(watch.tell(EventKind::Recovered, &last, now));
            }
        }
    }
}

const fn turns_by_itself(kind: WindowKind) -> bool {
    !matches!(kind, WindowKind::Month)
}

/// Whether a figure was read so soon after its window began that it may be of the window before.
fn is_of_the_window_before(window: &Window) -> bool {
    let began = match window.kind {
        WindowKind::Day | WindowKind::Chute => {
            next_day_reset(window.as_of).before(Duration::from_secs(86_400))
        }
        WindowKind::FourHour => four_hour_window(window.as_of).0,
        WindowKind::Month => return false,
    };
    window.source != Source::Estimate && window.as_of.since(began) <= OLD_FIGURES_AFTER_TURN
}
