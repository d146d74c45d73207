//! An event as JSON: the same on `/-/events`, in `ripcord watch` and in a hook. Never a key, never a prompt.

use ripcord_rules::events::{Event, EventKind, Subject};
use ripcord_rules::model_state::ModelState;
use ripcord_rules::quota::{Cap, Source, Unit, Window, WindowKind};
use ripcord_rules::time::Wall;
use ripcord_wire::text::clean;
use ripcord_wire::time::format_timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of the form.
pub const EVENT_SCHEMA: &str = "ripcord/event/1";

/// What one event says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventReport {
    /// The form of this object.
    #[schemars(extend("const" = "ripcord/event/1"))]
    pub schema: String,
    /// The same for the same change, also from another program and after a restart (of a model or a key: within the hour).
    /// Whoever acts on events acts on each id once.
    pub id: String,
    /// What happened: `low`, `exhausted`, `reset`, `saturated`, `recovered`, `key_dead`; `test` when a hook is tried.
    pub kind: String,
    /// When it was noticed, UTC.
    pub at: String,
    /// The account, by its label; null for a model.
    pub account: Option<String>,
    /// The window: `day`, `four_hour`, `month`, `chute`; null if it is about none.
    pub window: Option<String>,
    /// The chute whose own window it is, for `chute`.
    pub chute_id: Option<String>,
    /// The model; null if it is about none.
    pub model: Option<String>,
    /// The state of the model: `hot`, `busy`, `cold`, `down`.
    pub state: Option<String>,
    /// The key, by its number within the account, which is no part of it; null if it is about none.
    pub key: Option<String>,
    /// What the window is counted in: `requests` (request units) or `usd` (US dollars at list price).
    pub unit: Option<String>,
    /// Used so far; null if not known.
    pub used: Option<f64>,
    /// How much fits; null if not known or not limited.
    pub cap: Option<f64>,
    /// What still fits, never negative; null if not known.
    pub remaining: Option<f64>,
    /// When the window turns, UTC; may lie in the past for `month`, which turns when it is billed.
    pub resets_at: Option<String>,
    /// When the figures were true, UTC.
    pub as_of: Option<String>,
    /// Who says so: `server`, `header`, `estimate`.
    pub source: Option<String>,
    /// The event as a sentence for a person.
    pub text: String,
}

/// Longer names are cut.
const NAME_CHARS: usize = 256;

// === impl EventReport ===

impl EventReport {
    /// The report of an event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let mut report = Self::blank(&event.id.to_string(), event.kind.name(), event.at);
        match &event.subject {
            Subject::Window { account, chute_id, window } => {
                report.account = Some(clean(account, NAME_CHARS));
                report.chute_id = chute_id.as_ref().map(|chute| clean(chute, NAME_CHARS));
                report.set_window(window);
            }
            Subject::Model { model, state } => {
                report.model = Some(clean(model, NAME_CHARS));
                report.state = Some(state_word(*state).to_owned());
            }
            Subject::Key { account, key } => {
                report.account = Some(clean(account, NAME_CHARS));
                report.key = Some(clean(key, NAME_CHARS));
            }
        }
        let turns = match &event.subject {
            Subject::Window { window, .. } => turns(window, event.at),
            Subject::Model { .. } | Subject::Key { .. } => String::new(),
        };
        report.text = format!("{}{turns}", report.sentence());
        report
    }

    /// An event with which a hook is tried: nothing has happened.
    #[must_use]
    pub fn test(id: &str, at: Wall) -> Self {
        let text = "This is a test of Ripcord's hook; nothing has happened".to_owned();
        Self { text, ..Self::blank(id, "test", at) }
    }

    /// What happened; `None` of a test, or of a kind that came with a later version.
    #[must_use]
    pub fn event_kind(&self) -> Option<EventKind> {
        EventKind::from_name(&self.kind)
    }

    /// What happened as a sentence, without any moment, which people read in their own zone.
    #[must_use]
    pub fn sentence(&self) -> String {
        let name = self.account.as_deref().or(self.model.as_deref()).unwrap_or("ripcord");
        let window = || {
            let window = self.window.as_deref().and_then(WindowKind::from_name);
            window.map_or("", WindowKind::in_words)
        };
        let share = |value| self.share(value);
        let what = match (self.event_kind(), &self.key) {
            (Some(EventKind::Low), _) => {
                format!("{} left in the {} window", share(self.remaining), window())
            }
            (Some(EventKind::Exhausted), _) => {
                format!("the {} window is used up: {}", window(), share(self.used))
            }
            (Some(EventKind::Reset), _) => format!("the {} window has turned", window()),
            (Some(EventKind::Saturated), _) => {
                format!("is {}", self.state.as_deref().unwrap_or("not hot"))
            }
            (Some(EventKind::KeyDead), Some(key)) => format!("Chutes refuses key {key}"),
            (Some(EventKind::Recovered), Some(key)) => format!("Chutes takes key {key} again"),
            (Some(EventKind::Recovered), None) if self.window.is_some() => {
                format!("the {} window has room again", window())
            }
            (Some(EventKind::Recovered), None) => "is hot again".to_owned(),
            (Some(EventKind::KeyDead) | None, _) => return self.text.clone(),
        };
        if self.model.is_some() { format!("{name} {what}") } else { format!("{name}: {what}") }
    }

    fn blank(id: &str, kind: &str, at: Wall) -> Self {
        Self {
            schema: EVENT_SCHEMA.to_owned(),
            id: id.to_owned(),
            kind: kind.to_owned(),
            at: moment(at),
            account: None,
            window: None,
            chute_id: None,
            model: None,
            state: None,
            key: None,
            unit: None,
            used: None,
            cap: None,
            remaining: None,
            resets_at: None,
            as_of: None,
            source: None,
            text: String::new(),
        }
    }

    fn set_window(&mut self, window: &Window) {
        let decimal = |value: i64| crate::admin::figures::decimal(window.unit, value);
        self.window = Some(window.kind.name().to_owned());
        self.unit = Some(unit_word(window.unit).to_owned());
        self.used = window.used.map(decimal);
        self.cap = match window.cap {
            Cap::Limited(cap) => Some(decimal(cap)),
            Cap::Uncapped | Cap::Unknown => None,
        };
        self.remaining = window.remaining().map(decimal);
        self.resets_at = window.resets_at.map(moment);
        self.as_of = Some(moment(window.as_of));
        self.source = Some(source_word(window.source).to_owned());
    }

    /// So much of the cap.
    fn share(&self, part: Option<f64>) -> String {
        let is_money = self.unit.as_deref() == Some("usd");
        let amount = |value: Option<f64>| match value {
            None => "unknown".to_owned(),
            Some(value) if is_money => format!("${value:.2}"),
            Some(value) => {
                let text = format!("{value:.1}");
                text.strip_suffix(".0").unwrap_or(&text).to_owned()
            }
        };
        let unit = if is_money { "" } else { " requests" };
        format!("{} of {}{unit}", amount(part), amount(self.cap))
    }
}

/// When it goes on, in UTC, since nobody knows where this is read.
fn turns(window: &Window, now: Wall) -> String {
    match window.resets_at {
        Some(turns) if turns > now => {
            let text = moment(turns);
            let minutes = text.get(..16).unwrap_or(&text).replace('T', " ");
            format!("; it resets at {minutes} UTC")
        }
        Some(_) if window.kind == WindowKind::Month => {
            "; its reset is due and comes with the next billing".to_owned()
        }
        _ => String::new(),
    }
}

/// In whole seconds, which is as good as any of it is known.
fn moment(moment: Wall) -> String {
    format_timestamp(Wall::from_unix_seconds(moment.as_unix_seconds()).as_unix_micros())
}

const fn unit_word(unit: Unit) -> &'static str {
    match unit {
        Unit::Requests => "requests",
        Unit::Usd => "usd",
    }
}

const fn source_word(source: Source) -> &'static str {
    match source {
        Source::Server => "server",
        Source::Header => "header",
        Source::Estimate => "estimate",
    }
}

const fn state_word(state: ModelState) -> &'static str {
    match state {
        ModelState::Hot => "hot",
        ModelState::Busy => "busy",
        ModelState::Cold => "cold",
        ModelState::Down => "down",
        ModelState::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_rules::events::{KeyStanding, Watcher};

    const NOON: Wall = Wall::from_unix_seconds(1_790_510_400); // 2026-09-27T12:00:00Z

    fn of_window(kind: WindowKind, used: i64) -> EventReport {
        use ripcord_rules::quota::{AccountSnapshot, Plan, Readable, SpendingPolicy};
        let unit = if kind == WindowKind::Day { Unit::Requests } else { Unit::Usd };
        let cap = if kind == WindowKind::Day { 5_000_000 } else { 8_333_333_333 };
        let now = Wall::from_unix_seconds(NOON.as_unix_seconds() + 3_600);
        let window = Window {
            kind,
            unit,
            used: Some(used),
            cap: Cap::Limited(cap),
            resets_at: Some(NOON),
            as_of: now,
            source: Source::Server,
        };
        let snapshot = AccountSnapshot {
            plan: Some(Plan::Pro),
            windows: vec![window],
            ..AccountSnapshot::unknown(Readable::Yes, now)
        };
        let events = Watcher::default().account("work", &snapshot, &SpendingPolicy::default(), now);
        EventReport::of(&events[0])
    }

    #[test]
    fn an_event_says_what_it_is_in_a_sentence() {
        let exhausted = of_window(WindowKind::FourHour, 8_400_000_000);
        assert_eq!(
            exhausted.text,
            "work: the 4-hour window is used up: $8.40 of $8.33; it resets at 2026-09-27 16:00 UTC"
        );
        let low = of_window(WindowKind::Day, 4_900_500);
        assert_eq!(
            low.text,
            "work: 99.5 of 5000 requests left in the day window; it resets at 2026-09-28 00:00 UTC"
        );
        let month = of_window(WindowKind::Month, 8_400_000_000);
        assert!(month.text.ends_with("comes with the next billing"), "{}", month.text);
        let mut watcher = Watcher::default();
        let model = watcher.model("acme/Writer", ModelState::Cold, NOON).unwrap();
        assert_eq!(EventReport::of(&model).text, "acme/Writer is cold");
        let key = watcher.key("work", "2", KeyStanding::Dead, NOON).unwrap();
        assert_eq!(EventReport::of(&key).text, "work: Chutes refuses key 2");
        let key = watcher.key("work", "2", KeyStanding::Works, NOON).unwrap();
        assert_eq!(EventReport::of(&key).text, "work: Chutes takes key 2 again");
    }

    #[test]
    fn a_report_is_read_back_as_it_was_written() {
        let report = of_window(WindowKind::FourHour, 8_400_000_000);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<EventReport>(&text).unwrap(), report);
        assert_eq!(report.at, "2026-09-27T13:00:00Z");
    }

    #[test]
    fn names_that_would_command_a_terminal_are_cleaned() {
        let mut watcher = Watcher::default();
        let event = watcher.model("evil\u{1b}[2J\nname", ModelState::Busy, NOON).unwrap();
        let text = serde_json::to_string(&EventReport::of(&event)).unwrap();
        assert!(!text.contains("u001b") && !text.contains("\\n"), "{text}");
    }
}
