//! Conditions on windows and on the time of day: `day>20% and before=16:00`.
//!
//! ```text
//! expression = term { "or" term }
//! term       = factor { "and" factor }
//! factor     = "not" factor | "(" expression ")" | condition
//! condition  = figure comparison amount
//!            | "before" "=" HH:MM | "after" "=" HH:MM | "weekday" "=" days
//! figure     = "day" | "four_hour" | "month" | "balance"
//! comparison = ">" | ">=" | "<" | "<="
//! amount     = NUMBER "%"      of the window's cap
//!            | NUMBER          request units, of `day`
//!            | "$" NUMBER      dollars, of `four_hour`, `month` and `balance`; also NUMBER "usd"
//! days       = day [ "-" day ] { "," day [ "-" day ] }     mon, tue, wed, thu, fri, sat, sun
//! ```
//!
//! A window's figure is what remains of it. `before` and `after` are the local time of day: `before=09:00` holds from midnight to
//! 09:00, `after=22:00` from 22:00 to midnight.

use std::fmt;

use crate::quota::{AccountSnapshot, Cap, WindowKind};
use crate::time::Wall;
use crate::units::MilliUnits;

/// Nothing that is asked of the calendar repeats more rarely than every week.
const HORIZON_MINUTES: i64 = 8 * 24 * 60;
const MINUTE_SECONDS: i64 = 60;
const DAY_MINUTES: i64 = 24 * 60;

/// A condition, or several that are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// One condition.
    Is(Condition),
    /// The opposite.
    Not(Box<Self>),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// Either, or both.
    Or(Box<Self>, Box<Self>),
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// What remains, against an amount.
    Remains(Figure, Comparison, Amount),
    /// Local time is before this.
    Before(TimeOfDay),
    /// Local time is this, or later.
    After(TimeOfDay),
    /// It is one of these days, by local time.
    Weekday(Weekdays),
}

/// Something of which an amount remains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// What remains of this window: `day`, `four_hour` or `month`.
    Window(WindowKind),
    /// Pay-as-you-go money.
    Balance,
}

/// How two amounts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `<`
    Less,
    /// `<=`
    AtMost,
}

/// An amount that was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Thousandths of the window's cap.
    Permille(u32),
    /// Thousandths of a request unit.
    Units(i64),
    /// Billionths of a dollar.
    Usd(i64),
}

/// Minutes since midnight, at most 24:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(pub(super) u16);

/// A set of days of the week: a bit for each, Monday's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekdays(pub(super) u8);

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// A figure that decides is not known.
    Unknown,
}

pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

// === impl Expression ===

impl Expression {
    /// Whether it holds on this account at `now`, where local time is so many seconds ahead of UTC.
    #[must_use]
    pub fn standing(&self, account: &AccountSnapshot, now: Wall, offset_seconds: i32) -> Standing {
        let local = Local::at(now, offset_seconds);
        self.evaluate(&|condition| condition.standing(Some((account, now)), local))
    }

    /// The first moment from `now` on at which the time of day and the day of the week let it hold, whatever the figures
    /// are by then; by whole minutes. `zone` tells by how many seconds local time is ahead of UTC at a moment, so that
    /// summer time may begin meanwhile. `None` if the times in it never agree.
    #[must_use]
    pub fn next_possible(&self, now: Wall, zone: &dyn Fn(Wall) -> i32) -> Option<Wall> {
        let minute = now.as_unix_seconds().div_euclid(MINUTE_SECONDS);
        (0..=HORIZON_MINUTES).find_map(|ahead| {
            let moment = if ahead == 0 {
                now
            } else {
                Wall::from_unix_seconds((minute + ahead).saturating_mul(MINUTE_SECONDS))
            };
            let local = Local::at(moment, zone(moment));
            let standing = self.evaluate(&|condition| condition.standing(None, local));
            (standing != Standing::Fails).then_some(moment)
        })
    }

    /// The figures it asks for that are not known on this account.
    #[must_use]
    pub fn unknown_figures(&self, account: &AccountSnapshot, now: Wall) -> Vec<Figure> {
        let mut unknown = Vec::new();
        self.each(&mut |condition| {
            let Condition::Remains(figure, ..) = condition else { return };
            let local = Local { minute: 0, weekday: 0 };
            let is_unknown = condition.standing(Some((account, now)), local) == Standing::Unknown;
            if is_unknown && !unknown.contains(figure) {
                unknown.push(*figure);
            }
        });
        unknown
    }

    /// The windows that it asks for.
    #[must_use]
    pub fn windows(&self) -> Vec<WindowKind> {
        let mut windows = Vec::new();
        self.each(&mut |condition| {
            if let Condition::Remains(Figure::Window(kind), ..) = condition
                && !windows.contains(kind)
            {
                windows.push(*kind);
            }
        });
        windows
    }

    fn each(&self, visit: &mut dyn FnMut(&Condition)) {
        match self {
            Self::Is(condition) => visit(condition),
            Self::Not(inner) => inner.each(visit),
            Self::And(left, right) | Self::Or(left, right) => {
                left.each(visit);
                right.each(visit);
            }
        }
    }

    fn evaluate(&self, of: &dyn Fn(&Condition) -> Standing) -> Standing {
        match self {
            Self::Is(condition) => of(condition),
            Self::Not(inner) => inner.evaluate(of).opposite(),
            Self::And(left, right) => match (left.evaluate(of), right.evaluate(of)) {
                (Standing::Fails, _) | (_, Standing::Fails) => Standing::Fails,
                (Standing::Holds, Standing::Holds) => Standing::Holds,
                _ => Standing::Unknown,
            },
            Self::Or(left, right) => match (left.evaluate(of), right.evaluate(of)) {
                (Standing::Holds, _) | (_, Standing::Holds) => Standing::Holds,
                (Standing::Fails, Standing::Fails) => Standing::Fails,
                _ => Standing::Unknown,
            },
        }
    }

    /// How tightly its parts hold together in writing.
    const fn strength(&self) -> u8 {
        match self {
            Self::Or(..) => 0,
            Self::And(..) => 1,
            Self::Not(_) | Self::Is(_) => 2,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, least: u8) -> fmt::Result {
        if self.strength() < least {
            f.write_str("(")?;
            self.write(f, 0)?;
            return f.write_str(")");
        }
        match self {
            Self::Is(condition) => write!(f, "{condition}"),
            Self::Not(inner) => {
                f.write_str("not ")?;
                inner.write(f, 2)
            }
            Self::And(left, right) => {
                left.write(f, 1)?;
                f.write_str(" and ")?;
                right.write(f, 2)
            }
            Self::Or(left, right) => {
                left.write(f, 0)?;
                f.write_str(" or ")?;
                right.write(f, 1)
            }
        }
    }
}

impl fmt::Display for Expression {
    /// As it can be read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

// === impl Condition ===

/// A moment as a clock on the wall shows it.
#[derive(Clone, Copy)]
struct Local {
    /// Since midnight.
    minute: i64,
    /// 0 is Monday.
    weekday: i64,
}

impl Local {
    const fn at(moment: Wall, offset_seconds: i32) -> Self {
        let seconds = moment.as_unix_seconds().saturating_add(offset_seconds as i64);
        let minutes = seconds.div_euclid(MINUTE_SECONDS);
        // The first day of 1970 was a Thursday.
        let weekday = (minutes.div_euclid(DAY_MINUTES) + 3).rem_euclid(7);
        Self { minute: minutes.rem_euclid(DAY_MINUTES), weekday }
    }
}

impl Condition {
    /// Without an account every figure is unknown.
    fn standing(&self, account: Option<(&AccountSnapshot, Wall)>, local: Local) -> Standing {
        let holds = match self {
            Self::Before(time) => local.minute < i64::from(time.0),
            Self::After(time) => local.minute >= i64::from(time.0),
            Self::Weekday(days) => days.0 >> local.weekday & 1 == 1,
            Self::Remains(figure, comparison, amount) => {
                return account.map_or(Standing::Unknown, |(account, now)| {
                    remains(account, now, *figure, *comparison, *amount)
                });
            }
        };
        Standing::of(holds)
    }
}

fn remains(
    account: &AccountSnapshot,
    now: Wall,
    figure: Figure,
    comparison: Comparison,
    amount: Amount,
) -> Standing {
    let compared = |left: Option<i64>, right: i128| {
        left.map_or(Standing::Unknown, |left| {
            Standing::of(comparison.holds(i128::from(left), right))
        })
    };
    match (figure, amount) {
        (Figure::Balance, Amount::Usd(dollars)) => {
            compared(account.balance.map(|balance| balance.0), i128::from(dollars))
        }
        (Figure::Window(kind), amount) => {
            let window = account.window(kind, now);
            let Some(window) = window else {
                // What was read and is not there does not limit.
                let is_read = match kind {
                    WindowKind::Day | WindowKind::Chute => account.rows_read,
                    WindowKind::FourHour | WindowKind::Month => account.caps_read,
                };
                return if is_read { comparison.without_limit() } else { Standing::Unknown };
            };
            match (window.cap, amount) {
                (Cap::Uncapped, _) => comparison.without_limit(),
                (Cap::Unknown, _) => Standing::Unknown,
                (Cap::Limited(cap), Amount::Permille(permille)) => {
                    let Some(left) = window.remaining() else { return Standing::Unknown };
                    let share = i128::from(cap.max(0)) * i128::from(permille);
                    Standing::of(comparison.holds(i128::from(left) * 1_000, share))
                }
                (Cap::Limited(_), Amount::Units(least) | Amount::Usd(least)) => {
                    compared(window.remaining(), i128::from(least))
                }
            }
        }
        // The parser lets nobody ask this.
        (Figure::Balance, Amount::Permille(_) | Amount::Units(_)) => Standing::Unknown,
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remains(figure, comparison, amount) => {
                write!(f, "{figure}{}{amount}", comparison.sign())
            }
            Self::Before(time) => write!(f, "before={time}"),
            Self::After(time) => write!(f, "after={time}"),
            Self::Weekday(days) => write!(f, "weekday={days}"),
        }
    }
}

// === impl Standing ===

impl Standing {
    const fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    const fn opposite(self) -> Self {
        match self {
            Self::Holds => Self::Fails,
            Self::Fails => Self::Holds,
            Self::Unknown => Self::Unknown,
        }
    }
}

// === impl Comparison ===

impl Comparison {
    /// As it is written.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Less => "<",
            Self::AtMost => "<=",
        }
    }

    const fn holds(self, left: i128, right: i128) -> bool {
        match self {
            Self::More => left > right,
            Self::AtLeast => left >= right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
        }
    }

    /// What holds where nothing limits: more than any amount remains.
    const fn without_limit(self) -> Standing {
        Standing::of(matches!(self, Self::More | Self::AtLeast))
    }
}

// === impl Figure ===

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window(kind) => f.write_str(kind.name()),
            Self::Balance => f.write_str("balance"),
        }
    }
}

// === impl Amount ===

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Permille(permille) if permille % 10 == 0 => write!(f, "{}%", permille / 10),
            Self::Permille(permille) => write!(f, "{}.{}%", permille / 10, permille % 10),
            Self::Units(units) => write!(f, "{}", MilliUnits(units)),
            Self::Usd(dollars) => {
                let fraction = format!("{:09}", dollars.rem_euclid(1_000_000_000));
                let fraction = fraction.trim_end_matches('0');
                let point = if fraction.is_empty() { "" } else { "." };
                write!(f, "${}{point}{fraction}", dollars.div_euclid(1_000_000_000))
            }
        }
    }
}

// === impl TimeOfDay ===

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

// === impl Weekdays ===

impl fmt::Display for Weekdays {
    /// Days that follow one another as a range: `mon-fri,sun`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |day: usize| day < 7 && self.0 >> day & 1 == 1;
        let mut day = 0;
        let mut separator = "";
        while day < 7 {
            if !has(day) {
                day += 1;
                continue;
            }
            let first = day;
            while has(day + 1) {
                day += 1;
            }
            let name = |day: usize| DAYS.get(day).copied().unwrap_or_default();
            match day - first {
                0 => write!(f, "{separator}{}", name(first))?,
                1 => write!(f, "{separator}{},{}", name(first), name(day))?,
                _ => write!(f, "{separator}{}-{}", name(first), name(day))?,
            }
            separator = ",";
            day += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::demand::tests::{NOON, pro};
    use super::super::parse::tests::any_expression;
    use super::*;
    use crate::quota::Readable;
    use crate::units::NanoUsd;
    use proptest::prelude::*;
    use std::time::Duration;

    fn read(text: &str) -> Expression {
        text.parse().unwrap()
    }

    /// A Sunday, 12:00 UTC, 14:00 here; 20 % of the day, $0.83 of the four hours and $40 of the month remain.
    fn standing(text: &str) -> Standing {
        let mut account = pro(4_000_000, 7_500_000_000, 60_000_000_000);
        account.balance = Some(NanoUsd::from_cents(200));
        read(text).standing(&account, NOON, 7_200)
    }

    #[test]
    fn what_remains_is_compared() {
        for text in [
            "day>=20%",
            "day<=1000",
            "not day>20%",
            "day>999.9",
            "four_hour<10%",
            "four_hour>$0.8",
            "month>=40%",
            "month>=$40",
            "balance>=$2",
            "balance<$2.01",
            "day<1 or month>1%",
        ] {
            assert_eq!(standing(text), Standing::Holds, "{text}");
        }
        for text in ["day>20%", "day>1000", "balance>$2", "month>$40 and day>1"] {
            assert_eq!(standing(text), Standing::Fails, "{text}");
        }
    }

    #[test]
    fn the_clock_on_the_wall_counts() {
        for text in [
            "after=14:00",
            "before=14:01",
            "weekday=sun",
            "weekday=sat-mon",
            "before=24:00",
            "after=00:00",
            "not weekday=mon-sat",
        ] {
            assert_eq!(standing(text), Standing::Holds, "{text}");
        }
        for text in ["before=14:00", "after=14:01", "weekday=mon-fri", "after=24:00"] {
            assert_eq!(standing(text), Standing::Fails, "{text}");
        }
        // 23:00 here, and Sunday still in Greenwich.
        let account = pro(0, 0, 0);
        let late = NOON.after(Duration::from_secs(11 * 3_600));
        assert_eq!(read("weekday=mon").standing(&account, late, 7_200), Standing::Holds);
        assert_eq!(read("weekday=sun").standing(&account, late, -3_600), Standing::Holds);
    }

    #[test]
    fn unknown_decides_nothing_unless_the_rest_does() {
        let unread = AccountSnapshot::unknown(Readable::Failed, NOON);
        let of = |text: &str| read(text).standing(&unread, NOON, 0);
        assert_eq!(of("day>1"), Standing::Unknown);
        assert_eq!(of("not day>1"), Standing::Unknown);
        assert_eq!(of("day>1 or weekday=sun"), Standing::Holds);
        assert_eq!(of("day>1 and weekday=mon"), Standing::Fails);
        assert_eq!(
            read("day>1 and (balance>$1 or day<5)").unknown_figures(&unread, NOON),
            [Figure::Window(WindowKind::Day), Figure::Balance]
        );
    }

    #[test]
    fn where_nothing_limits_there_is_more_than_anything() {
        let mut account = pro(0, 0, 0);
        account.windows.truncate(1);
        account.windows[0].cap = Cap::Uncapped;
        let of = |account: &AccountSnapshot, text: &str| read(text).standing(account, NOON, 0);
        assert_eq!(of(&account, "day>99%"), Standing::Holds);
        assert_eq!(of(&account, "day<1%"), Standing::Fails);
        assert_eq!(of(&account, "four_hour>1%"), Standing::Unknown, "its caps were not read");
        account.caps_read = true;
        assert_eq!(of(&account, "four_hour>1%"), Standing::Holds);
    }

    fn possible(text: &str, zone: &dyn Fn(Wall) -> i32) -> Option<i64> {
        let next = read(text).next_possible(NOON, zone)?;
        Some((next.as_unix_seconds() - NOON.as_unix_seconds()) / 60)
    }

    #[test]
    fn the_next_possible_moment_is_that_of_the_calendar() {
        let zone = |_| 7_200;
        assert_eq!(possible("day>20%", &zone), Some(0), "whatever the figures");
        assert_eq!(possible("before=14:00", &zone), Some(10 * 60));
        assert_eq!(possible("after=16:30 and day>1", &zone), Some(150));
        assert_eq!(possible("weekday=sat and after=12:00", &zone), Some(6 * 24 * 60 - 120));
        assert_eq!(possible("before=09:00 and after=17:00", &zone), None);
        assert_eq!(possible("after=24:00", &zone), None);
    }

    #[test]
    fn summer_time_may_begin_or_end_meanwhile() {
        // At 01:00 UTC the clock goes from 03:00 back to 02:00; or from 02:00 on to 03:00.
        let turn = NOON.after(Duration::from_secs(13 * 3_600));
        let ends = |moment: Wall| if moment < turn { 7_200 } else { 3_600 };
        let begins = |moment: Wall| if moment < turn { 3_600 } else { 7_200 };
        let at = "weekday=mon and after=06:00";
        assert_eq!(possible(at, &ends), Some(17 * 60));
        assert_eq!(possible(at, &begins), Some(16 * 60));
        // A time that is left out comes when it is past.
        assert_eq!(possible("weekday=mon and after=02:30", &begins), Some(13 * 60));
        assert_eq!(possible("weekday=mon and after=02:30", &ends), Some(12 * 60 + 30));
    }

    proptest! {
        #[test]
        fn what_holds_is_possible(
            expression in any_expression(),
            day in 0_i64..5_000_000,
            hours in -40_i64..40,
            offset in -50_400_i32..50_400,
        ) {
            let now = Wall::from_unix_seconds(NOON.as_unix_seconds() + hours * 3_599);
            let account = pro(day, 1, 1);
            let possible = expression.next_possible(now, &|_| offset);
            let standing = expression.standing(&account, now, offset);
            if standing == Standing::Holds {
                prop_assert_eq!(possible, Some(now));
            }
            prop_assert_eq!(
                Expression::Not(Box::new(expression)).standing(&account, now, offset),
                standing.opposite()
            );
        }
    }
}
