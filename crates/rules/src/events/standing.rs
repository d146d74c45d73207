//! What was told of one window, model or key, and what is still wrong with it.

use super::{Event, EventKind, Subject};
use crate::quota::{Cap, Window};
use crate::time::Wall;
use std::sync::Arc;

/// One window.
#[derive(Clone, Debug)]
pub(super) struct WindowWatch {
    account: Arc<str>,
    chute_id: Option<Arc<str>>,
    /// As it was read last.
    pub(super) read: Window,
    /// When the window that is watched turns.
    pub(super) turn: Option<Wall>,
    /// What is wrong with it.
    pub(super) standing: Option<Event>,
    /// How often each kind was told since it began.
    told: Counts,
}

/// One model or key.
#[derive(Clone, Debug, Default)]
pub(super) struct OtherWatch {
    pub(super) standing: Option<Event>,
    pub(super) last_trouble: Wall,
    /// The hour whose events are counted.
    hour: i64,
    told: Counts,
}

/// How often each kind of event was told.
#[derive(Clone, Copy, Debug, Default)]
struct Counts([u32; EventKind::ALL.len()]);

/// A trouble is over only when this much more is left than where it began, in thousandths of the cap.
const CLEARLY_MORE_PERMILLE: u64 = 50;
const HOUR_SECONDS: i64 = 3_600;

// === impl WindowWatch ===

impl WindowWatch {
    pub(super) fn new(
        account: Arc<str>,
        chute_id: Option<Arc<str>>,
        read: Window,
        turn: Option<Wall>,
    ) -> Self {
        Self { account, chute_id, read, turn, standing: None, told: Counts::default() }
    }

    /// What was told does not count.
    pub(super) fn forget(&mut self) {
        (self.standing, self.told) = (None, Counts::default());
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.standing.as_ref().is_some_and(|event| event.kind == EventKind::Exhausted)
    }

    /// The window that was watched turned at `turned`.
    pub(super) fn turns(&mut self, window: &Window, turned: Wall, now: Wall) -> Option<Event> {
        let was_exhausted = self.is_exhausted();
        self.forget();
        was_exhausted.then(|| {
            let subject = self.subject(window);
            Event::new(EventKind::Reset, now, subject, turned.as_unix_seconds(), 0)
        })
    }

    /// What is new about a window that has not turned.
    pub(super) fn judge(
        &mut self,
        window: &Window,
        used_up: Option<bool>,
        low: u64,
        now: Wall,
    ) -> Option<Event> {
        match (used_up?, self.is_exhausted()) {
            (true, true) => None,
            (true, false) => Some(self.trouble(EventKind::Exhausted, window, now)),
            (false, true) => {
                // With less the figures may only have wavered.
                let left = left_permille(window);
                if left.is_some_and(|left| left < CLEARLY_MORE_PERMILLE) {
                    return None;
                }
                let event = self.tell(EventKind::Recovered, window, now);
                self.standing = None;
                if left.is_some_and(|left| left < low) {
                    // It is better than it was: that little is left is no news.
                    self.trouble(EventKind::Low, window, now);
                }
                Some(event)
            }
            (false, false) => {
                let left = left_permille(window)?;
                if self.standing.is_none() {
                    return (left < low).then(|| self.trouble(EventKind::Low, window, now));
                }
                if left >= low.saturating_add(CLEARLY_MORE_PERMILLE) {
                    self.standing = None;
                }
                None
            }
        }
    }

    fn trouble(&mut self, kind: EventKind, window: &Window, now: Wall) -> Event {
        let event = self.tell(kind, window, now);
        self.standing = Some(event.clone());
        event
    }

    pub(super) fn tell(&mut self, kind: EventKind, window: &Window, now: Wall) -> Event {
        let anchor = self.turn.map_or(0, Wall::as_unix_seconds);
        Event::new(kind, now, self.subject(window), anchor, self.told.next(kind))
    }

    fn subject(&self, window: &Window) -> Subject {
        let (account, chute_id) = (Arc::clone(&self.account), self.chute_id.clone());
        Subject::Window { account, chute_id, window: window.clone() }
    }
}

// === impl OtherWatch ===

impl OtherWatch {
    pub(super) fn begins(&mut self, kind: EventKind, subject: Subject, now: Wall) -> Option<Event> {
        if self.standing.is_some() {
            return None;
        }
        let event = self.tell(kind, subject, now);
        self.standing = Some(event.clone());
        Some(event)
    }

    pub(super) fn ends(&mut self, subject: Subject, now: Wall) -> Option<Event> {
        self.standing.take()?;
        Some(self.tell(EventKind::Recovered, subject, now))
    }

    fn tell(&mut self, kind: EventKind, subject: Subject, now: Wall) -> Event {
        let hour = now.as_unix_seconds().div_euclid(HOUR_SECONDS);
        if hour > self.hour {
            (self.hour, self.told) = (hour, Counts::default());
        }
        let repeated = self.told.next(kind);
        Event::new(kind, now, subject, self.hour, repeated)
    }
}

// === impl Counts ===

impl Counts {
    /// How often this kind was counted before.
    fn next(&mut self, kind: EventKind) -> u32 {
        let place = EventKind::ALL.iter().position(|known| *known == kind).unwrap_or(0);
        let before = self.0[place];
        self.0[place] = before.saturating_add(1);
        before
    }
}

/// What is left of a window, in thousandths of its cap; `None` if nothing limits it or it is not known.
fn left_permille(window: &Window) -> Option<u64> {
    let (Cap::Limited(cap), Some(left)) = (window.cap, window.remaining()) else { return None };
    u64::try_from(i128::from(left) * 1_000 / i128::from(cap.max(1))).ok()
}
