//! What an account has used by now: the server's figures, which lag, and our own calls since, which do not.
//!
//! Chutes decides whether a call is covered when it starts, and books it when it ends (`chutes/api.md` 5.3). So a call
//! is covered for certain as long as everything that can have been booked by the time the server looks leaves room:
//! what the server shows, every own call that ended after those figures were true, every own call under way, and a
//! margin for whoever else uses the account.

mod others;
mod several;

use self::others::Others;
pub use self::several::Held;
use super::account::{AccountSnapshot, Verdict, may_spend};
use super::calendar::{four_hour_window, month_began, next_day_reset};
use super::forecast::CallCost;
use super::policy::{MARGIN_PERMILLE, Paygo, SpendingPolicy};
use super::succession::is_from_before;
use super::window::{Cap, Source, Unit, Window, WindowKind};
use crate::time::Wall;
use crate::units::{MilliUnits, NanoUsd, scaled};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A call that is counted and not booked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reservation(u64);

/// How careful a book is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookSettings {
    /// How old the dollar figures may be when they are read (`chutes/api.md` 2.4: about a minute).
    pub figures_lag: Duration,
    /// How old the request counter may be: it is live (2.3), but clocks differ.
    pub counter_lag: Duration,
    /// How old what the balance paid today may be. Nobody has measured it, so it is generous.
    pub paid_lag: Duration,
    /// Kept free in every window for calls of others that no figure shows yet, in thousandths of the cap.
    pub margin_permille: u64,
}

/// Whether room is kept for what others may use before the figures show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Margin {
    /// Yes: going over the cap would cost money.
    Kept,
    /// No: there would only be a refusal.
    None,
}

/// What others use of a window, as far as figures and own calls tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignUse {
    /// At most this much since `since`, in the window's unit.
    pub used: i64,
    /// The first figure of the window that we saw.
    pub since: Wall,
    /// The last one.
    pub until: Wall,
}

/// One account's book.
#[derive(Clone, Debug)]
pub struct Book {
    settings: BookSettings,
    snapshot: Option<AccountSnapshot>,
    open: BTreeMap<Reservation, (Chute, CallCost)>,
    /// Own calls that ended, by the second in which they did, as long as figures may lack them.
    ended: BTreeMap<(i64, Chute), CallCost>,
    /// Calls under way that the balance may pay for.
    open_paid: BTreeSet<Reservation>,
    /// What such calls of the last day did cost, by the second in which they ended.
    paid: BTreeMap<i64, NanoUsd>,
    drift: BTreeMap<(WindowKind, Chute), Drift>,
    others: Others,
    next: u64,
}

type Chute = Option<Arc<str>>;

/// How far the figures of a window run ahead of own calls.
#[derive(Clone, Copy, Debug)]
struct Drift {
    foreign: ForeignUse,
    first_used: i64,
    turns_at: Option<Wall>,
    /// Own use that the figures have certainly taken in since the first one.
    own: i64,
    own_until: Wall,
}

/// The clock of the server and ours agree to about this much.
pub const CLOCKS_DIFFER: Duration = Duration::from_secs(2);

/// A window counts as turned so much after its moment has come by the server's clock as it is known here. That clock is
/// never thought to be further than an answer said it was ([`crate::schedule::ServerClock`]), so this is for a server that
/// asks another one of its clocks.
pub const TURN_MARGIN: Duration = Duration::from_secs(1);

/// A call that runs on without us is booked later, but not by more than this.
const AHEAD_AT_MOST: Duration = Duration::from_secs(600);

/// Where readings fail for long, this many seconds of own calls are told apart.
const SECONDS_APART: usize = 512;

/// Own calls are remembered at most so long: then no window that still runs can lack them, be it a month of which nothing
/// could be read from its beginning on.
const REMEMBERED: Duration = Duration::from_secs(32 * 86_400);

/// What the balance paid counts in the day alone.
const PAID_REMEMBERED: Duration = Duration::from_secs(25 * 3_600);

// === impl BookSettings ===

impl Default for BookSettings {
    fn default() -> Self {
        Self {
            figures_lag: Duration::from_secs(65),
            // Ours may be behind when a call ends and ahead when the counter is read.
            counter_lag: CLOCKS_DIFFER * 2,
            paid_lag: Duration::from_secs(180),
            margin_permille: MARGIN_PERMILLE,
        }
    }
}

// === impl Book ===

impl Book {
    /// An empty book.
    #[must_use]
    pub const fn new(settings: BookSettings) -> Self {
        Self {
            settings,
            snapshot: None,
            open: BTreeMap::new(),
            ended: BTreeMap::new(),
            open_paid: BTreeSet::new(),
            paid: BTreeMap::new(),
            drift: BTreeMap::new(),
            others: Others::new(),
            next: 0,
        }
    }

    /// The server's figures as they were read.
    #[must_use]
    pub const fn snapshot(&self) -> Option<&AccountSnapshot> {
        self.snapshot.as_ref()
    }

    /// Takes over a reading, as far as it can be believed.
    pub fn learn(&mut self, newer: AccountSnapshot) {
        let read_at = newer.as_of;
        let known = match self.snapshot.take() {
            Some(known) => known.followed_by(newer),
            None => newer,
        };
        let windows = known.windows.iter().map(|window| (window, None));
        let own = known.chute_windows.iter().map(|(chute, window)| (window, Some(chute)));
        for (window, chute) in windows.chain(own) {
            self.compare(window, chute.map(|chute| Arc::from(chute.as_str())), &known);
        }
        self.count_others(&known);
        self.forget(&known, read_at);
        self.snapshot = Some(known);
    }

    /// Counts a call that is about to start, at what it is likely to cost.
    pub fn reserve(&mut self, chute: Option<&str>, cost: CallCost) -> Reservation {
        let reservation = Reservation(self.next);
        self.next += 1;
        let chute = self.own_row(chute);
        self.open.insert(reservation, (chute, cost));
        reservation
    }

    /// Counts a call as [`Self::reserve`] does, for which the balance is expected to pay, or might.
    pub fn reserve_paid(&mut self, chute: Option<&str>, cost: CallCost) -> Reservation {
        let reservation = self.reserve(chute, cost);
        self.open_paid.insert(reservation);
        reservation
    }

    /// What the balance may have paid, or be about to pay, for own calls since this moment.
    #[must_use]
    pub fn own_paid_since(&self, since: Wall) -> NanoUsd {
        let open = self.open_paid.iter().filter_map(|call| self.open.get(call)?.1.usd);
        let ended = self.paid.range(since.as_unix_seconds()..).map(|(_, usd)| *usd);
        open.chain(ended).fold(NanoUsd::ZERO, NanoUsd::plus)
    }

    /// The same since 00:00 UTC.
    #[must_use]
    pub fn own_paid_today(&self, now: Wall) -> NanoUsd {
        self.own_paid_since(day_began(surely(now)).before(CLOCKS_DIFFER))
    }

    /// Whether own calls are counted that what the server says of today may show already.
    #[must_use]
    pub fn has_unseen_paid(&self, now: Wall) -> bool {
        let seen = self.snapshot.as_ref().map_or(now, |known| known.paid_as_of);
        self.own_paid_since(seen.before(self.settings.paid_lag)) > NanoUsd::ZERO
    }

    /// Takes over what such a call did cost before this book began.
    pub fn remember_paid(&mut self, ended: Wall, usd: NanoUsd) {
        self.paid_until(ended, usd);
    }

    /// Whether own calls are under way that the balance may pay for.
    #[must_use]
    pub fn has_open_paid(&self) -> bool {
        !self.open_paid.is_empty()
    }

    /// Whether own calls are under way.
    #[must_use]
    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether own calls are under way, or ended so lately that the figures may lack them.
    #[must_use]
    pub fn has_unseen(&self) -> bool {
        !self.open.is_empty() || !self.ended.is_empty()
    }

    /// Counts a call that ended, at what it did cost, instead of what was reserved.
    pub fn settle(&mut self, reservation: Reservation, ended: Wall, cost: CallCost) {
        let Some((chute, _)) = self.open.remove(&reservation) else { return };
        if self.open_paid.remove(&reservation) {
            self.paid_until(ended, cost.usd.unwrap_or(NanoUsd::ZERO));
        }
        if chute.is_none() {
            self.others.own_call_ended(cost.units.0);
        }
        self.add(ended.as_unix_seconds(), chute, cost);
        if self.ended.len() > SECONDS_APART {
            self.thin_out();
        }
    }

    /// Counts a call that cost nothing no more.
    pub fn cancel(&mut self, reservation: Reservation) {
        self.open.remove(&reservation);
        self.open_paid.remove(&reservation);
    }

    /// What is reserved for calls under way.
    #[must_use]
    pub fn reserved(&self) -> CallCost {
        let nothing = CallCost { units: MilliUnits(0), usd: Some(NanoUsd::ZERO) };
        self.open.values().fold(nothing, |all, (_, cost)| sum(all, *cost))
    }

    /// The account as it may stand at `now`: in every window the most that can be used, marked as an estimate, and on the
    /// balance the least that can be left, should it pay. What is not known stays unknown. `None` before the first reading.
    #[must_use]
    pub fn predicted(&self, now: Wall, margin: Margin) -> Option<AccountSnapshot> {
        self.predicted_with(now, margin, |_| true)
    }

    /// The same with only the rows of chutes that are wanted: there may be many, and a request looks at one.
    fn predicted_with(
        &self,
        now: Wall,
        margin: Margin,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Option<AccountSnapshot> {
        let known = self.snapshot.as_ref()?;
        let windows = known.windows.iter();
        let rows = known.chute_windows.iter().filter(|(chute, _)| is_wanted(chute));
        let balance = known.balance.map(|balance| {
            let since = known.balance_as_of.before(self.settings.figures_lag).as_unix_seconds();
            let ended = self.ended.range((since, None)..).map(|(_, cost)| *cost);
            let own = ended.fold(self.reserved(), sum).usd.unwrap_or(NanoUsd::ZERO);
            NanoUsd(balance.0.saturating_sub(own.0))
        });
        let paid_today = known.paid_today_at(surely(now)).map(|paid| {
            let lagging = known.paid_as_of.before(self.settings.paid_lag);
            let own =
                self.own_paid_since(lagging.max(day_began(surely(now)).before(CLOCKS_DIFFER)));
            paid.plus(own)
        });
        Some(AccountSnapshot {
            plan: known.plan,
            windows: windows
                .map(|window| self.predict(window, &None, known, now, margin))
                .collect(),
            chute_windows: rows
                .map(|(chute, window)| {
                    let row = Some(Arc::from(chute.as_str()));
                    (chute.clone(), self.predict(window, &row, known, now, margin))
                })
                .collect(),
            balance,
            balance_as_of: known.balance_as_of,
            paid_today,
            paid_as_of: surely(now),
            rows_read: known.rows_read,
            caps_read: known.caps_read,
            readable: known.readable,
            as_of: known.as_of,
        })
    }

    /// Whether the next call may go, to `chute_id` if given; `None` before the first reading.
    #[must_use]
    pub fn verdict(
        &self,
        policy: &SpendingPolicy,
        chute_id: Option<&str>,
        now: Wall,
        margin: Margin,
    ) -> Option<Verdict> {
        let predicted = self.predicted_with(now, margin, |chute| chute_id == Some(chute))?;
        // The margin is in the figures already.
        let policy = SpendingPolicy { margin_permille: 0, ..*policy };
        Some(may_spend(&predicted, &policy, chute_id, surely(now)))
    }

    /// The same for a call at this cost: where the balance would pay, it has to fit into what it may pay today.
    #[must_use]
    pub fn verdict_of_call(
        &self,
        policy: &SpendingPolicy,
        chute_id: Option<&str>,
        cost: CallCost,
        now: Wall,
        margin: Margin,
    ) -> Option<Verdict> {
        let verdict = self.verdict(policy, chute_id, now, margin)?;
        let Paygo::Daily(bound) = policy.paygo else { return Some(verdict) };
        let predicted = self.predicted_with(now, margin, |_| false)?;
        let paid = predicted.paid_today_at(surely(now));
        // What has no price could cost all of it.
        let cost = cost.usd.unwrap_or(bound);
        Some(paid.map_or(verdict, |paid| verdict.within(bound, paid, cost, now)))
    }

    /// What others use of the window of the whole account, if its figures have been read twice.
    #[must_use]
    pub fn foreign(&self, kind: WindowKind) -> Option<ForeignUse> {
        let drift = self.drift.get(&(kind, None))?;
        (drift.foreign.until > drift.foreign.since).then_some(drift.foreign)
    }

    fn paid_until(&mut self, ended: Wall, usd: NanoUsd) {
        let second = ended.as_unix_seconds();
        let yesterday = ended.before(PAID_REMEMBERED).as_unix_seconds();
        self.paid = self.paid.split_off(&yesterday);
        let paid = self.paid.entry(second).or_default();
        *paid = paid.plus(usd);
    }

    /// Forgets the calls that no figure can lack any more.
    fn forget(&mut self, known: &AccountSnapshot, read_at: Wall) {
        let own = known.chute_windows.iter().map(|(_, window)| window);
        let lacking = known.windows.iter().chain(own).map(|window| {
            let lagging = window.as_of.before(self.settings.figures_lag);
            let missing = self.missing_since(window, surely(window.as_of)).min(lagging);
            // A zero may yet follow and be believed, and then own calls count again.
            match began_at(window, surely(window.as_of)).filter(|_| is_from_before(window)) {
                Some(began) => missing.min(began.before(CLOCKS_DIFFER)),
                None => missing,
            }
        });
        let balance = known.balance_as_of.before(self.settings.figures_lag);
        let oldest = lacking.min().map_or(known.as_of, |oldest| oldest.min(balance));
        let remembered = read_at.before(REMEMBERED);
        let are_missing =
            !known.caps_read && known.windows.iter().all(|window| window.unit != Unit::Usd);
        let oldest = if are_missing { remembered } else { oldest.max(remembered) };
        let forgotten = oldest.as_unix_seconds();
        self.ended = self.ended.split_off(&(forgotten, None));
        // Only a clock that was set since can have stamped a call later than this. When it ended nobody knows then.
        let latest = read_at.after(AHEAD_AT_MOST).as_unix_seconds();
        for ((_, chute), cost) in self.ended.split_off(&(latest, None)) {
            self.add(read_at.as_unix_seconds(), chute, cost);
        }
    }

    fn add(&mut self, second: i64, chute: Chute, cost: CallCost) {
        let nothing = CallCost { units: MilliUnits(0), usd: None };
        let booked = self.ended.entry((second, chute)).or_insert(nothing);
        *booked = sum(*booked, cost);
    }

    /// Puts the older half together, as if all of it had ended as late as its last call: it is forgotten later, not
    /// sooner.
    fn thin_out(&mut self) {
        let Some((&(middle, _), _)) = self.ended.iter().nth(self.ended.len() / 2) else { return };
        let newer = self.ended.split_off(&(middle, None));
        let older = std::mem::replace(&mut self.ended, newer);
        for ((_, chute), cost) in older {
            self.add(middle, chute, cost);
        }
    }

    /// Calls are told apart by chute only where that matters.
    fn own_row(&self, chute: Option<&str>) -> Chute {
        let rows = &self.snapshot.as_ref()?.chute_windows;
        chute.filter(|chute| rows.iter().any(|(own, _)| own == chute)).map(Arc::from)
    }

    fn predict(
        &self,
        window: &Window,
        chute: &Chute,
        known: &AccountSnapshot,
        now: Wall,
        margin: Margin,
    ) -> Window {
        // The server may not have turned the window yet where our clock has.
        let surely = surely(now);
        let mut standing = window.at(surely);
        let (Some(used), Cap::Limited(cap)) = (standing.used, standing.cap) else {
            return standing;
        };
        let relevant = |called: &Chute| counts_in(window, chute, called, known);
        let missing_since = self.missing_since(window, surely);
        let missing = self
            .ended
            .range((missing_since.as_unix_seconds(), None)..)
            .filter(|((_, called), _)| relevant(called))
            .map(|(_, cost)| share(window.unit, *cost));
        let open = self
            .open
            .values()
            .filter(|(called, _)| relevant(called))
            .map(|(_, cost)| share(window.unit, *cost));
        let own = missing.chain(open).fold(0_i64, i64::saturating_add);
        let margin = match margin {
            Margin::Kept => self.margin(window, chute, cap, now),
            Margin::None => 0,
        };
        standing.used = Some(used.saturating_add(own).saturating_add(margin));
        standing.source = Source::Estimate;
        standing.as_of = surely;
        standing
    }

    /// Own calls that ended from this moment on may be missing in the window's figure as it stands at `now`.
    fn missing_since(&self, window: &Window, now: Wall) -> Wall {
        let lagging = window.as_of.before(self.lag(window.unit));
        match began_at(window, now) {
            // Own calls are in no figure that is not known, nor in a 0.0: so the counters read while their store is down
            // (recordings, "Redis down").
            Some(began) if says_nothing(window) => began.before(CLOCKS_DIFFER),
            // The month turns when it is billed, and what the figure lacks then nobody knows.
            _ if window.kind == WindowKind::Month => lagging,
            // What ended before the window began counts in the one before.
            Some(began) => lagging.max(began.before(CLOCKS_DIFFER)),
            None => lagging,
        }
    }

    /// Room for what others may have used since the figures were true: a fixed share, and twice what they used in as
    /// much time so far, or what the live counter says if that is more.
    fn margin(&self, window: &Window, chute: &Chute, cap: i64, now: Wall) -> i64 {
        let fixed = scaled(cap, self.settings.margin_permille, 1_000);
        let Some(Drift { foreign, .. }) = self.drift.get(&(window.kind, chute.clone())) else {
            return fixed;
        };
        let seen_for = foreign.until.since(foreign.since).max(Duration::from_secs(60)).as_secs();
        let certain_until = window.as_of.before(self.lag(window.unit));
        let unseen_for = now.since(certain_until).as_secs();
        let usual = scaled(foreign.used, unseen_for.saturating_mul(2), seen_for);
        let counted = match window.unit {
            Unit::Usd => self.unseen_of_others(certain_until, now),
            Unit::Requests => 0,
        };
        fixed.saturating_add(usual.max(counted))
    }

    /// What others used since a moment, in dollars, by the counter of their requests.
    fn unseen_of_others(&self, certain_until: Wall, now: Wall) -> i64 {
        let windows = self.snapshot.iter().flat_map(|known| &known.windows);
        let cap = windows
            .filter(|window| window.kind == WindowKind::FourHour)
            .find_map(|window| if let Cap::Limited(cap) = window.cap { Some(cap) } else { None });
        let drift = self.drift.get(&(WindowKind::FourHour, None));
        let foreign = drift.map_or(0, |drift| drift.foreign.used);
        cap.map_or(0, |cap| self.others.unseen(certain_until, now, foreign, cap))
    }

    /// Takes down what the counter of requests says of others, if it was read this time.
    fn count_others(&mut self, known: &AccountSnapshot) {
        let mut windows = known.windows.iter();
        let Some(day) = windows.find(|window| window.kind == WindowKind::Day) else { return };
        // A 0 may be of a counter that is down: then own calls that it lacks would come back as those of others.
        let read_now = |used: &i64| *used > 0 && day.as_of == known.as_of;
        let Some(used) = day.used.filter(read_now) else { return };
        let later = self
            .ended
            .range((day.as_of.as_unix_seconds() + 1, None)..)
            .filter(|((_, called), _)| called.is_none())
            .fold(0_i64, |all, (_, cost)| all.saturating_add(cost.units.0));
        self.others.counted(used, later, day.as_of, day.turns_at(day.as_of));
    }

    fn lag(&self, unit: Unit) -> Duration {
        match unit {
            Unit::Requests => self.settings.counter_lag,
            Unit::Usd => self.settings.figures_lag,
        }
    }

    /// Compares a new figure with the first one of its window and with own calls since.
    fn compare(&mut self, window: &Window, chute: Chute, known: &AccountSnapshot) {
        let Some(used) = window.used else { return };
        let turns_at = window.turns_at(window.as_of);
        let certain_until = window.as_of.before(self.lag(window.unit));
        let key = (window.kind, chute.clone());
        let Some(mut drift) = self
            .drift
            .get(&key)
            .copied()
            .filter(|drift| drift.turns_at == turns_at && drift.foreign.until <= window.as_of)
        else {
            let foreign = ForeignUse { used: 0, since: window.as_of, until: window.as_of };
            let own_until = window.as_of;
            let drift = Drift { foreign, first_used: used, turns_at, own: 0, own_until };
            self.drift.insert(key, drift);
            return;
        };
        if certain_until > drift.own_until {
            let taken_in = self
                .ended
                .range(
                    (drift.own_until.as_unix_seconds() + 1, None)
                        ..(certain_until.as_unix_seconds() + 1, None),
                )
                .filter(|((_, called), _)| counts_in(window, &chute, called, known))
                .map(|(_, cost)| share(window.unit, *cost));
            drift.own = taken_in.fold(drift.own, i64::saturating_add);
            drift.own_until = certain_until;
        }
        let foreign = used.saturating_sub(drift.first_used).saturating_sub(drift.own);
        drift.foreign.used = foreign.max(0);
        drift.foreign.until = window.as_of;
        self.drift.insert(key, drift);
    }
}

/// The moment that has come for the server, too: it may not have turned a window yet where our clock has.
fn surely(now: Wall) -> Wall {
    now.before(TURN_MARGIN)
}

/// Whether a call to `called` counts in this window: dollars always, requests in the row of the chute if it has one.
fn counts_in(window: &Window, chute: &Chute, called: &Chute, known: &AccountSnapshot) -> bool {
    match (window.unit, chute) {
        (Unit::Usd, _) => true,
        (Unit::Requests, Some(_)) => called == chute,
        (Unit::Requests, None) => !called
            .as_ref()
            .is_some_and(|called| known.chute_windows.iter().any(|(own, _)| **own == **called)),
    }
}

/// Whether the figure of a window that includes something is none, or one that is read while the counters are down.
fn says_nothing(window: &Window) -> bool {
    window.cap != Cap::Limited(0) && window.used.is_none_or(|used| used == 0)
}

/// The last 00:00 UTC.
fn day_began(now: Wall) -> Wall {
    next_day_reset(now).before(Duration::from_secs(86_400))
}

/// When the window that holds `now` began, as far as the calendar tells.
fn began_at(window: &Window, now: Wall) -> Option<Wall> {
    match window.kind {
        WindowKind::Day | WindowKind::Chute => Some(day_began(now)),
        WindowKind::FourHour => Some(four_hour_window(now).0),
        WindowKind::Month => month_began(window.resets_at?),
    }
}

const fn sum(one: CallCost, other: CallCost) -> CallCost {
    CallCost {
        units: MilliUnits(one.units.0.saturating_add(other.units.0)),
        usd: match (one.usd, other.usd) {
            (Some(one), Some(other)) => Some(one.plus(other)),
            (Some(one), None) => Some(one),
            (None, other) => other,
        },
    }
}

const fn share(unit: Unit, cost: CallCost) -> i64 {
    match (unit, cost.usd) {
        (Unit::Requests, _) => cost.units.0,
        (Unit::Usd, Some(usd)) => usd.0,
        (Unit::Usd, None) => 0,
    }
}

#[cfg(test)]
mod tests;
