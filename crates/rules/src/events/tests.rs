use super::*;
use crate::quota::{
    AccountSnapshot, Cap, Plan, Readable, Source, SpendingPolicy, Unit, four_hour_window,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const NOON: Wall = Wall::from_unix_seconds(1_790_510_400); // 2026-09-27T12:00:00Z
const CAP: i64 = 8_000_000_000;

fn at(seconds: u64) -> Wall {
    NOON.after(Duration::from_secs(seconds))
}

fn window(kind: WindowKind, used_permille: i64, as_of: Wall) -> Window {
    Window {
        kind,
        unit: if kind == WindowKind::Day { Unit::Requests } else { Unit::Usd },
        used: Some(CAP / 1_000 * used_permille),
        cap: Cap::Limited(CAP),
        resets_at: Some(at(10 * 86_400)),
        as_of,
        source: Source::Server,
    }
}

/// An account of which the shares used are these, read at `as_of`.
fn account(day: i64, four_hour: i64, month: i64, as_of: Wall) -> AccountSnapshot {
    AccountSnapshot {
        plan: Some(Plan::Pro),
        windows: vec![
            window(WindowKind::Day, day, as_of),
            window(WindowKind::FourHour, four_hour, as_of),
            window(WindowKind::Month, month, as_of),
        ],
        rows_read: true,
        caps_read: true,
        readable: Readable::Yes,
        ..AccountSnapshot::unknown(Readable::Yes, as_of)
    }
}

fn see(
    watcher: &mut Watcher,
    snapshot: &AccountSnapshot,
    now: Wall,
) -> Vec<(EventKind, &'static str)> {
    told(&watcher.account("work", snapshot, &SpendingPolicy::default(), now))
}

fn told(events: &[Event]) -> Vec<(EventKind, &'static str)> {
    let about = |event: &Event| match &event.subject {
        Subject::Window { window, .. } => window.kind.name(),
        Subject::Model { .. } => "model",
        Subject::Key { .. } => "key",
    };
    events.iter().map(|event| (event.kind, about(event))).collect()
}

#[test]
fn what_is_well_at_first_sight_is_no_news_and_what_is_not_is() {
    let now = at(1_000);
    assert!(see(&mut Watcher::default(), &account(10, 500, 790, now), now).is_empty());
    let seen = see(&mut Watcher::default(), &account(850, 1_000, 400, now), now);
    assert_eq!(seen, [(EventKind::Low, "day"), (EventKind::Exhausted, "four_hour")]);
}

#[test]
fn what_is_not_known_is_no_news() {
    let now = at(1_000);
    let mut watcher = Watcher::default();
    for readable in [Readable::Failed, Readable::Forbidden] {
        assert!(see(&mut watcher, &AccountSnapshot::unknown(readable, now), now).is_empty());
    }
    let mut unknown = account(0, 0, 0, now);
    unknown.windows[0].used = None;
    unknown.windows[1].cap = Cap::Unknown;
    unknown.windows[2].cap = Cap::Uncapped;
    assert!(see(&mut watcher, &unknown, now).is_empty());
    // Pay-as-you-go includes nothing, which is no shortage.
    let mut nothing = account(0, 0, 0, now);
    nothing.windows.truncate(1);
    nothing.windows[0].cap = Cap::Limited(0);
    assert!(see(&mut watcher, &nothing, now).is_empty());
}

#[test]
fn a_window_runs_low_and_out_and_turns() {
    let mut watcher = Watcher::default();
    let mut look =
        |four_hour, seconds| see(&mut watcher, &account(0, four_hour, 0, at(seconds)), at(seconds));
    assert_eq!(look(790, 1_000), []);
    assert_eq!(look(810, 1_100), [(EventKind::Low, "four_hour")]);
    assert_eq!(look(800, 1_200), [], "wavering is no news");
    assert_eq!(look(830, 1_300), []);
    // The policy keeps the last 12 thousandths of a subscription free.
    assert_eq!(look(990, 1_400), [(EventKind::Exhausted, "four_hour")]);
    assert_eq!(look(1_010, 1_500), []);
    assert_eq!(look(1_010, 14_399), []);
    // The old figure, shown for a moment in the new window, is not of it.
    assert_eq!(look(1_010, 14_403), [(EventKind::Reset, "four_hour")]);
    assert_eq!(look(0, 14_460), []);
    assert_eq!(look(1_000, 15_000), [(EventKind::Exhausted, "four_hour")]);
}

#[test]
fn the_calendar_turns_a_window_that_nobody_reads() {
    let mut watcher = Watcher::default();
    see(&mut watcher, &account(0, 1_000, 1_000, at(1_000)), at(1_000));
    assert_eq!(watcher.next_turn(), Some(at(14_402)));
    assert!(watcher.turned(at(14_401)).is_empty(), "the clocks agree to two seconds");
    let failed = AccountSnapshot::unknown(Readable::Failed, at(14_402));
    assert_eq!(see(&mut watcher, &failed, at(14_402)), [(EventKind::Reset, "four_hour")]);
    assert!(watcher.turned(at(30_000)).is_empty(), "once for a turn");
    assert_eq!(watcher.next_turn(), None);
}

#[test]
fn the_month_turns_when_it_was_billed() {
    let mut watcher = Watcher::default();
    let overdue = at(10 * 86_400 + 5_000);
    see(&mut watcher, &account(0, 0, 1_000, at(1_000)), at(1_000));
    assert_eq!(see(&mut watcher, &account(0, 0, 1_000, overdue), overdue), []);
    let mut billed = account(0, 0, 0, overdue);
    billed.windows[2].resets_at = Some(at(40 * 86_400));
    assert_eq!(see(&mut watcher, &billed, overdue), [(EventKind::Reset, "month")]);
    assert_eq!(see(&mut watcher, &billed, overdue), []);
}

#[test]
fn room_before_the_turn_is_recovery_and_wavering_is_not() {
    let mut watcher = Watcher::default();
    let mut look =
        |four_hour, seconds| see(&mut watcher, &account(0, four_hour, 0, at(seconds)), at(seconds));
    assert_eq!(look(1_000, 1_000), [(EventKind::Exhausted, "four_hour")]);
    assert_eq!(look(980, 1_100), []);
    assert_eq!(look(1_000, 1_200), []);
    assert_eq!(look(900, 1_300), [(EventKind::Recovered, "four_hour")]);
    assert_eq!(look(910, 1_400), [], "it is better than it was");
    assert_eq!(look(1_000, 1_500), [(EventKind::Exhausted, "four_hour")]);
    // A plan without caps.
    let mut ended = account(0, 0, 0, at(1_600));
    ended.windows.truncate(1);
    assert_eq!(see(&mut watcher, &ended, at(1_600)), [(EventKind::Recovered, "four_hour")]);
}

#[test]
fn windows_may_be_low_at_different_marks() {
    let low = LowMarks { day: 0, month: 500, ..LowMarks::all(200) };
    let mut watcher = Watcher::new(WatchSettings { low, ..WatchSettings::default() });
    let seen = see(&mut watcher, &account(980, 700, 600, at(1_000)), at(1_000));
    assert_eq!(seen, [(EventKind::Low, "month")]);
}

#[test]
fn a_clock_that_steps_back_tells_nothing_twice() {
    let mut watcher = Watcher::default();
    see(&mut watcher, &account(0, 1_000, 0, at(14_000)), at(14_000));
    assert_eq!(watcher.turned(at(14_500)).len(), 1);
    let back = account(0, 1_000, 0, at(14_000));
    assert!(see(&mut watcher, &back, at(14_000)).is_empty());
    assert!(watcher.turned(at(14_500)).is_empty());
}

#[test]
fn one_that_was_years_ahead_does_not_silence_a_window() {
    let mut watcher = Watcher::default();
    let ahead = at(5 * 365 * 86_400 + 1_000);
    see(&mut watcher, &account(0, 1_000, 0, ahead), ahead);
    let seen = see(&mut watcher, &account(0, 1_000, 0, at(1_000)), at(1_000));
    assert_eq!(seen, [(EventKind::Exhausted, "four_hour")]);
}

#[test]
fn a_model_fills_up_once_and_recovers_when_it_is_steady() {
    let mut watcher = Watcher::default();
    let mut look =
        |state, seconds| watcher.model("acme/Writer", state, at(seconds)).map(|event| event.kind);
    assert_eq!(look(ModelState::Hot, 0), None);
    assert_eq!(look(ModelState::Unknown, 10), None);
    assert_eq!(look(ModelState::Busy, 20), Some(EventKind::Saturated));
    assert_eq!(look(ModelState::Cold, 30), None);
    assert_eq!(look(ModelState::Unknown, 1_000), None, "not knowing is not recovering");
    assert_eq!(look(ModelState::Busy, 1_010), None);
    assert_eq!(look(ModelState::Hot, 1_020), None, "too soon");
    assert_eq!(look(ModelState::Hot, 1_070), Some(EventKind::Recovered));
    assert_eq!(look(ModelState::Hot, 1_080), None);
    assert_eq!(look(ModelState::Down, 1_090), Some(EventKind::Saturated));
}

#[test]
fn a_key_dies_and_comes_back() {
    let mut watcher = Watcher::default();
    let mut look =
        |standing, seconds| watcher.key("work", "1", standing, at(seconds)).map(|event| event.kind);
    assert_eq!(look(KeyStanding::Works, 0), None);
    assert_eq!(look(KeyStanding::Dead, 10), Some(EventKind::KeyDead));
    assert_eq!(look(KeyStanding::Dead, 20), None);
    assert_eq!(look(KeyStanding::Unknown, 30), None);
    assert_eq!(look(KeyStanding::Works, 40), Some(EventKind::Recovered));
    assert_eq!(watcher.standing().count(), 0);
}

#[test]
fn names_from_outside_do_not_fill_the_memory() {
    let mut watcher = Watcher::default();
    for number in 0..10_000 {
        watcher.model(&format!("m{number}"), ModelState::Busy, NOON);
    }
    assert!(watcher.standing().count() <= 512);
}

#[test]
fn an_id_is_of_the_change_and_not_of_who_saw_it() {
    let first = |seconds| {
        let now = at(seconds);
        let policy = SpendingPolicy::default();
        Watcher::default().account("work", &account(0, 1_000, 0, now), &policy, now).remove(0).id
    };
    assert_eq!(first(1_000), first(9_000), "after a restart it is the same window");
    assert_ne!(first(1_000), first(15_000), "another window");
    let text = first(1_000).to_string();
    assert!(text.len() == 36 && text.starts_with("evt_") && !text.contains('.'), "{text}");
    let key = |seconds, account: &str, key: &str| {
        let event = Watcher::default().key(account, key, KeyStanding::Dead, at(seconds));
        event.unwrap().id
    };
    assert_eq!(key(0, "a", "1"), key(3_000, "a", "1"));
    assert_ne!(key(0, "a", "1"), key(3_600, "a", "1"));
    assert_ne!(key(0, "a", "bc"), key(0, "ab", "c"));
}

/// What may be seen, as it may come.
#[derive(Clone, Debug)]
enum Seen {
    /// Some seconds later, with so much more used of the three windows.
    Figures(u64, i64, i64, i64),
    /// A reading that failed.
    Failed(u64),
    /// The calendar alone.
    Turned(u64),
    /// The month is billed.
    Billed(u64),
    /// A larger plan: everything used is a tenth of what it was.
    Larger(u64),
    Model(u64, ModelState),
    Key(u64, KeyStanding),
}

fn histories() -> impl Strategy<Value = Vec<Seen>> {
    let pause = prop_oneof![1_u64..120, 600_u64..20_000];
    let state = prop_oneof![
        Just(ModelState::Hot),
        Just(ModelState::Busy),
        Just(ModelState::Cold),
        Just(ModelState::Down),
        Just(ModelState::Unknown)
    ];
    let standing =
        prop_oneof![Just(KeyStanding::Works), Just(KeyStanding::Dead), Just(KeyStanding::Unknown)];
    let more = 0_i64..600;
    let seen = prop_oneof![
        8 => (pause.clone(), more.clone(), more.clone(), more).prop_map(|(pause, day, four, month)| Seen::Figures(pause, day, four, month)),
        1 => pause.clone().prop_map(Seen::Failed),
        2 => pause.clone().prop_map(Seen::Turned),
        1 => pause.clone().prop_map(Seen::Billed),
        1 => pause.clone().prop_map(Seen::Larger),
        3 => (pause.clone(), state).prop_map(|(pause, state)| Seen::Model(pause, state)),
        2 => (pause, standing).prop_map(|(pause, standing)| Seen::Key(pause, standing)),
    ];
    proptest::collection::vec(seen, 0..60)
}

/// A server that counts as Chutes does, a minute late after a turn.
struct Server {
    now: Wall,
    used: [i64; 3],
    four_hour: (Wall, Wall),
    day: Wall,
    billed: Wall,
}

impl Server {
    fn new() -> Self {
        let day = crate::quota::next_day_reset(NOON);
        let four_hour = four_hour_window(NOON);
        Self { now: NOON, used: [0; 3], four_hour, day, billed: at(3 * 86_400) }
    }

    fn passes(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        // The figures of the old window are shown a minute longer.
        let shown = self.now.before(Duration::from_secs(60));
        if four_hour_window(shown) != self.four_hour {
            (self.four_hour, self.used[1]) = (four_hour_window(shown), 0);
        }
        if crate::quota::next_day_reset(shown) != self.day {
            (self.day, self.used[0]) = (crate::quota::next_day_reset(shown), 0);
        }
    }

    fn snapshot(&self) -> AccountSnapshot {
        let mut snapshot = account(self.used[0], self.used[1], self.used[2], self.now);
        snapshot.windows[2].resets_at = Some(self.billed);
        snapshot
    }
}

/// Plays a history, with a new watcher from `restart` on; all events with the moment at which each was told.
fn play(history: &[Seen], restart: Option<usize>) -> Vec<Event> {
    let mut server = Server::new();
    let mut watcher = Watcher::default();
    let policy = SpendingPolicy::default();
    let mut events = Vec::new();
    for (step, seen) in history.iter().enumerate() {
        if restart == Some(step) {
            watcher = Watcher::default();
        }
        let (Seen::Figures(pause, ..)
        | Seen::Failed(pause)
        | Seen::Turned(pause)
        | Seen::Billed(pause)
        | Seen::Larger(pause)
        | Seen::Model(pause, _)
        | Seen::Key(pause, _)) = seen;
        server.passes(*pause);
        let now = server.now;
        match seen {
            Seen::Figures(_, day, four_hour, month) => {
                for (used, more) in server.used.iter_mut().zip([day, four_hour, month]) {
                    *used = (*used + more).min(1_100);
                }
            }
            Seen::Billed(_) => {
                server.used[2] = 0;
                server.billed = server.billed.after(Duration::from_secs(30 * 86_400));
            }
            Seen::Larger(_) => server.used.iter_mut().for_each(|used| *used /= 10),
            Seen::Failed(_) | Seen::Turned(_) | Seen::Model(..) | Seen::Key(..) => {}
        }
        match seen {
            Seen::Figures(..) | Seen::Billed(_) | Seen::Larger(_) => {
                events.extend(watcher.account("work", &server.snapshot(), &policy, now));
            }
            Seen::Failed(_) => {
                let failed = AccountSnapshot::unknown(Readable::Failed, now);
                events.extend(watcher.account("work", &failed, &policy, now));
            }
            Seen::Turned(_) => events.extend(watcher.turned(now)),
            Seen::Model(_, state) => events.extend(watcher.model("acme/Writer", *state, now)),
            Seen::Key(_, standing) => events.extend(watcher.key("work", "1", *standing, now)),
        }
    }
    events
}

fn by_topic(events: &[Event]) -> BTreeMap<Topic, Vec<&Event>> {
    let mut topics: BTreeMap<Topic, Vec<&Event>> = BTreeMap::new();
    for event in events {
        topics.entry(event.subject.topic()).or_default().push(event);
    }
    topics
}

proptest! {
    #[test]
    fn trouble_and_its_end_alternate(history in histories()) {
        for (topic, events) in by_topic(&play(&history, None)) {
            let mut is_told = false;
            for event in events.iter().filter(|event| event.kind != EventKind::Low) {
                prop_assert_eq!(event.kind.is_trouble(), !is_told, "{:?}: {:?}", topic, events);
                is_told = event.kind.is_trouble();
            }
        }
    }

    #[test]
    fn no_change_is_told_twice(history in histories()) {
        let events = play(&history, None);
        let ids: BTreeSet<EventId> = events.iter().map(|event| event.id).collect();
        prop_assert_eq!(ids.len(), events.len());
    }

    #[test]
    fn a_reset_is_never_early_and_never_twice_for_one_turn(history in histories()) {
        let mut turns = BTreeSet::new();
        for event in play(&history, None) {
            let Subject::Window { window, .. } = &event.subject else { continue };
            if event.kind != EventKind::Reset {
                continue;
            }
            // Of the window that is open now: the one before may have been missed altogether.
            let length = match window.kind {
                WindowKind::FourHour => crate::quota::FOUR_HOURS,
                WindowKind::Day | WindowKind::Chute => Duration::from_secs(86_400),
                WindowKind::Month => Duration::ZERO,
            };
            let began = window.resets_at.unwrap().before(length);
            if window.kind != WindowKind::Month {
                prop_assert!(event.at.since(began) >= Duration::from_secs(2));
            }
            prop_assert!(turns.insert((window.kind, began)), "{:?}", event);
        }
    }

    #[test]
    fn a_replay_tells_the_same(history in histories()) {
        prop_assert_eq!(play(&history, None), play(&history, None));
    }

    #[test]
    fn after_a_restart_a_window_has_the_same_ids(history in histories(), step in 0_usize..60) {
        // Where figures fall before a turn, nobody can know how often it was told before.
        let rising: Vec<Seen> =
            history.into_iter().filter(|seen| !matches!(seen, Seen::Larger(_))).collect();
        let once: BTreeSet<EventId> = play(&rising, None).iter().map(|event| event.id).collect();
        for event in play(&rising, Some(step)) {
            if matches!(event.subject, Subject::Window { .. }) {
                prop_assert!(once.contains(&event.id), "{:?}", event);
            }
        }
    }
}
