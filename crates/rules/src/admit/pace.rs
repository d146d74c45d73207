//! How fast attempts may start on one account.
//!
//! Chutes prints a number of requests a minute (`X-Chutes-RL-User`, `chutes/api.md` 4.4) that its application does not
//! enforce; its load balancers do, with a limit of their own of about one to three times as much, without a header, and
//! with a ban that grows with repetition (5.4). So an adaptive pace begins at the number, rises slowly while it is what
//! holds work up, falls sharply when the edge refuses, and begins again without a burst. Services that say in headers
//! how much is left are taken at their word.

use crate::time::Mono;
use std::time::Duration;

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PaceRule {
    /// No pace is kept, and headers do not count.
    Off,
    /// Learned.
    #[default]
    Adaptive,
    /// So many attempts a minute, and less where headers or the edge say so.
    PerMinute(u32),
}

/// What a service says is left until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests; none if some other limit is spent.
    pub left: u64,
    /// When it is renewed.
    pub until: Mono,
}

/// The pace of one account.
#[derive(Clone, Debug)]
pub struct Pace {
    rule: PaceRule,
    /// Attempts in a thousand minutes. `None` as long as there is no reason for any.
    rate: Option<u64>,
    /// The number that the service prints.
    printed: Option<u64>,
    /// Not more than this for some time, since the edge refused.
    ceiling: Option<(u64, Mono)>,
    /// When the next attempt would start if there were no bursts.
    due: Mono,
    /// Whether attempts that were not made may be made up for in a burst.
    may_burst: bool,
    /// When the rate was last changed.
    changed: Mono,
    /// When the edge last refused.
    slowed: Option<Mono>,
    /// Since then somebody had to wait for it.
    held_up: bool,
    counted: Counted,
    allowances: Vec<Allowance>,
}

/// Attempts started in the last minute or two.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    minute: u64,
    this: u64,
    before: u64,
}

const MINUTE: Duration = Duration::from_secs(60);
const MINUTE_MICROS: u64 = 60_000_000;
/// The rate counts attempts in so many minutes.
const SCALE: u64 = 1_000;
/// The number that Chutes prints for nearly everybody, where none was heard of.
const USUAL: u64 = 60;
/// The slowest pace, as a part of the printed number: six a minute.
const SLOWEST_PART: u64 = 10;
/// A minute in which the pace held work up, and the edge did not mind, raises it by this part of the printed number.
const RAISE_PART: u64 = 10;
/// What has not been used for a quarter of a minute is lost: a burst and a minute's attempts stay below what the edge bears.
const BURST_PART: u64 = 4;
/// How long a rate that the edge refused is not tried again: bans grow with repetition.
const CEILING_FOR: Duration = Duration::from_secs(6 * 3_600);
/// What a service says is believed this long: then one attempt may ask again.
const LONGEST_ALLOWANCE: Duration = Duration::from_secs(3_600);
/// No service names more windows than this.
const MANY_ALLOWANCES: usize = 8;
/// More than this in a minute is no pace.
const FASTEST: u64 = 1_000_000;

// === impl Counted ===

impl Counted {
    fn add(&mut self, now: Mono) {
        self.turn(now);
        self.this += 1;
    }

    fn take_back(&mut self) {
        self.this = self.this.saturating_sub(1);
    }

    fn turn(&mut self, now: Mono) {
        let minute = now.as_micros() / MINUTE_MICROS;
        if minute > self.minute {
            self.before = if minute == self.minute + 1 { self.this } else { 0 };
            self.this = 0;
            self.minute = minute;
        }
    }

    /// About as many as in the last minute.
    fn in_a_minute(&mut self, now: Mono) -> u64 {
        self.turn(now);
        let left = MINUTE_MICROS - now.as_micros() % MINUTE_MICROS;
        self.this + (self.before.saturating_mul(left)).div_ceil(MINUTE_MICROS)
    }
}

// === impl Pace ===

impl Pace {
    /// The pace of an account of which nothing is known.
    #[must_use]
    pub fn new(rule: PaceRule) -> Self {
        let rate = match rule {
            PaceRule::Off | PaceRule::Adaptive => None,
            PaceRule::PerMinute(number) => Some(u64::from(number.max(1)) * SCALE),
        };
        Self {
            rule,
            rate,
            printed: None,
            ceiling: None,
            due: Mono::default(),
            may_burst: true,
            changed: Mono::default(),
            slowed: None,
            held_up: false,
            counted: Counted::default(),
            allowances: Vec::new(),
        }
    }

    /// Attempts that may start in a thousand minutes, if there is a bound.
    #[must_use]
    pub const fn per_thousand_minutes(&self) -> Option<u64> {
        self.rate
    }

    /// The time between two attempts in the long run, if there is a bound.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        self.rate.map(|rate| Duration::from_micros(MINUTE_MICROS * SCALE / rate.max(1)))
    }

    /// When the next attempt may start, by the rate alone; not later than `now` if it may.
    #[must_use]
    pub fn ready_at(&self, now: Mono) -> Mono {
        let Some(interval) = self.interval() else { return now };
        let burst = if self.may_burst { self.burst() } else { 1 };
        let ahead = interval.saturating_mul(u32::try_from(burst - 1).unwrap_or(u32::MAX));
        let ahead = u64::try_from(ahead.as_micros()).unwrap_or(u64::MAX);
        Mono::from_micros(self.due.as_micros().saturating_sub(ahead))
    }

    /// Until when the service allows nothing more, if it said so.
    #[must_use]
    pub fn spent_until(&self, now: Mono) -> Option<Mono> {
        let spent = self.allowances.iter().filter(|one| one.left == 0 && one.until > now);
        spent.map(|one| one.until).max()
    }

    /// Whether an attempt may start.
    #[must_use]
    pub fn is_ready(&self, now: Mono) -> bool {
        self.ready_at(now) <= now && self.spent_until(now).is_none()
    }

    /// An attempt starts.
    pub fn start(&mut self, now: Mono) {
        self.counted.add(now);
        for allowance in &mut self.allowances {
            allowance.left = allowance.left.saturating_sub(1);
        }
        if let Some(interval) = self.interval() {
            self.due = self.due.max(now).after(interval);
        }
    }

    /// An attempt that was to start was not made after all.
    pub fn take_back(&mut self) {
        self.counted.take_back();
        for allowance in &mut self.allowances {
            allowance.left = allowance.left.saturating_add(1);
        }
        if let Some(interval) = self.interval() {
            let interval = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
            self.due = Mono::from_micros(self.due.as_micros().saturating_sub(interval));
        }
    }

    /// Somebody has to wait for nothing but the pace.
    pub const fn holds_up(&mut self) {
        self.held_up = true;
    }

    /// The service prints a number of requests a minute.
    pub fn hear_printed(&mut self, now: Mono, per_minute: u64) {
        if self.rule != PaceRule::Adaptive || !(1..=FASTEST).contains(&per_minute) {
            return;
        }
        let before = self.printed.replace(per_minute);
        if before == Some(per_minute) {
            return;
        }
        self.changed = now;
        // What was learned stays learned, in proportion.
        self.rate = Some(match (self.rate, before) {
            (Some(rate), Some(before)) => (rate.saturating_mul(per_minute) / before).max(1),
            (Some(rate), None) => rate.min(per_minute * SCALE),
            (None, _) => per_minute * SCALE,
        });
    }

    /// The service says what is left, of one window or of several. `unseen`: attempts under way that it may not have
    /// counted yet.
    pub fn hear_allowances(
        &mut self,
        now: Mono,
        unseen: u64,
        told: impl IntoIterator<Item = Allowance>,
    ) {
        if self.rule == PaceRule::Off {
            return;
        }
        let told = told.into_iter().filter(|one| one.until > now).take(MANY_ALLOWANCES);
        self.allowances = told
            .map(|one| Allowance {
                left: one.left.saturating_sub(unseen),
                until: one.until.min(now.after(LONGEST_ALLOWANCE)),
            })
            .collect();
    }

    /// An attempt was answered.
    pub fn answered(&mut self, now: Mono) {
        if now.since(self.changed) < MINUTE {
            return;
        }
        self.may_burst = true;
        let Some(rate) = self.rate.filter(|_| self.held_up) else { return };
        let ceiling = self.ceiling.filter(|&(_, until)| until > now);
        let most = match self.rule {
            PaceRule::PerMinute(number) => u64::from(number.max(1)),
            PaceRule::Off | PaceRule::Adaptive => FASTEST,
        };
        let most = ceiling.map_or(most * SCALE, |(ceiling, _)| ceiling.min(most * SCALE));
        let raised = rate.saturating_add(self.usual() * SCALE / RAISE_PART);
        self.rate = Some(raised.min(most).max(rate));
        self.changed = now;
        self.held_up = false;
    }

    /// The edge refused an attempt that had started at `started`.
    pub fn edge_refused(&mut self, now: Mono, started: Mono) {
        // What was under way when it first refused is the same refusal.
        let is_known = self.slowed.is_some_and(|slowed| started <= slowed);
        if self.rule == PaceRule::Off || is_known {
            return;
        }
        let made = self.counted.in_a_minute(now).saturating_mul(SCALE);
        // Where no pace was kept, a refusal after a few attempts is about something else than their number.
        let rate = self.rate.unwrap_or(made.max(self.usual() * SCALE)).min(FASTEST * SCALE);
        let refused = made.min(rate);
        let slowest = (self.usual() * SCALE / SLOWEST_PART).max(1);
        // What was refused long before the pace was reached says little about it.
        let slower = if refused >= rate / 2 {
            self.ceiling = Some(((refused - refused / 10).max(slowest), now.after(CEILING_FOR)));
            refused / 2
        } else {
            rate / 2
        };
        self.rate = Some(slower.max(slowest.min(self.rate.unwrap_or(slowest))));
        self.slowed = Some(now);
        self.changed = now;
        self.held_up = false;
        self.may_burst = false;
        self.due = self.due.max(now);
    }

    fn usual(&self) -> u64 {
        match self.rule {
            PaceRule::PerMinute(number) => u64::from(number.max(1)),
            PaceRule::Off | PaceRule::Adaptive => self.printed.unwrap_or(USUAL),
        }
    }

    /// How many attempts may start at once after a pause.
    fn burst(&self) -> u64 {
        self.rate.map_or(u64::MAX, |rate| rate / SCALE / BURST_PART).max(1)
    }
}

#[cfg(test)]
mod tests;
