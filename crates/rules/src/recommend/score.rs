//! How good a choice a model is at the moment: a grade for steadiness, and inside a grade points of a thousand.

use crate::model_state::{ModelEvidence, ModelState, UTILIZATION_FRESH};
use crate::units::NanoUsd;

/// More busy slots than this leave little room, in thousandths.
pub const STEADY_BUSY_PERMILLE: u64 = 800;
/// More refused calls than this are felt, in thousandths.
pub const STEADY_REFUSED_PERMILLE: u64 = 50;
/// What is not known scores this much of a thousand: a little below the middle.
pub const UNKNOWN_PERMILLE: u64 = 400;
/// A price per million tokens that scores half.
const MIDDLING_PRICE: NanoUsd = NanoUsd(1_000_000_000);
/// A wait for the first token that scores half, in milliseconds.
const MIDDLING_FIRST_TOKEN_MS: u64 = 2_000;
/// A pace that scores half, in thousandths of a token per second.
const MIDDLING_PACE_MILLI: u64 = 50_000;

/// What is known of a model's present, each `None` where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: ModelState,
    /// Share of slots busy, in thousandths; fresh figures only.
    pub busy_permille: Option<u64>,
    /// Share of calls refused for capacity over five minutes, in thousandths; fresh figures only.
    pub refused_permille: Option<u64>,
    /// What a million tokens cost, three parts prompt and one part answer.
    pub price: Option<NanoUsd>,
    /// How fast it was.
    pub speed: Speed,
    /// How much of a favourite it is, in thousandths.
    pub preference_permille: u64,
}

/// How fast a model was, as measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speed {
    /// Milliseconds to the first token.
    pub first_token_ms: Option<u64>,
    /// Thousandths of a token per second.
    pub pace_milli: Option<u64>,
}

/// How far a model can be relied on now, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// It is hot and has room.
    Steady,
    /// It is hot; little room is left, some calls are refused, or its load is not known.
    Strained,
    /// It is hot and full.
    Full,
    /// Nobody knows.
    Unknown,
    /// Nothing runs it.
    Cold,
    /// It is switched off, or gone.
    Down,
}

/// What counts most between models of one grade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weigh {
    /// The order of the favourites.
    #[default]
    Preference,
    /// The price.
    Price,
    /// The measured speed.
    Speed,
}

/// Points of a thousand, and what they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// The grade, which counts before the points.
    pub grade: Grade,
    /// All together.
    pub total: u64,
    /// Free slots, calls that were not refused.
    pub room: u64,
    /// How much of a favourite it is.
    pub preference: u64,
    /// The cheaper the more.
    pub price: u64,
    /// The faster the more.
    pub speed: u64,
}

/// Points of a thousand for room, preference, price, speed.
struct Weights(u64, u64, u64, u64);

// === impl Standing ===

impl Standing {
    /// The load of the evidence as far as it is fresh; price, speed and preference not known yet.
    #[must_use]
    pub fn of(state: ModelState, evidence: &ModelEvidence) -> Self {
        let is_fresh = evidence.utilization_age.is_some_and(|age| age <= UTILIZATION_FRESH);
        Self {
            state,
            busy_permille: evidence.utilization_permille.filter(|_| is_fresh),
            refused_permille: evidence.refused_permille.filter(|_| is_fresh),
            price: None,
            speed: Speed::default(),
            preference_permille: 0,
        }
    }

    /// How far it can be relied on now.
    #[must_use]
    pub fn grade(&self) -> Grade {
        match self.state {
            ModelState::Hot => {
                // No ratio of refused calls means that there were no calls; no busy share, that nobody looked.
                let has_room = self.busy_permille.is_some_and(|busy| busy <= STEADY_BUSY_PERMILLE);
                let refuses = self.is_refusing();
                if has_room && !refuses { Grade::Steady } else { Grade::Strained }
            }
            ModelState::Busy => Grade::Full,
            ModelState::Unknown => Grade::Unknown,
            ModelState::Cold => Grade::Cold,
            ModelState::Down => Grade::Down,
        }
    }

    /// Whether so many calls are refused that it is felt.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        self.refused_permille.is_some_and(|refused| refused > STEADY_REFUSED_PERMILLE)
    }

    /// Its grade and points.
    #[must_use]
    pub fn score(&self, weigh: Weigh) -> Score {
        let free = |share: Option<u64>| share.map(|share| 1_000_u64.saturating_sub(share));
        // A refused call costs more than a busy slot.
        let room = (known(free(self.busy_permille)) + 2 * known(free(self.refused_permille))) / 3;
        let price = known(self.price.map(cheapness));
        let speed = (known(self.speed.first_token_ms.map(promptness))
            + known(self.speed.pace_milli.map(quickness)))
            / 2;
        let preference = self.preference_permille.min(1_000);
        let Weights(of_room, of_preference, of_price, of_speed) = weigh.weights();
        let total =
            (room * of_room + preference * of_preference + price * of_price + speed * of_speed)
                / 1_000;
        Score { grade: self.grade(), total, room, preference, price, speed }
    }
}

impl Weigh {
    const fn weights(self) -> Weights {
        match self {
            Self::Preference => Weights(300, 450, 125, 125),
            Self::Price => Weights(250, 100, 550, 100),
            Self::Speed => Weights(250, 100, 100, 550),
        }
    }
}

// === impl Grade ===

impl Grade {
    /// Whether a call sent now may be answered.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Steady | Self::Strained | Self::Full)
    }
}

/// What a million tokens cost, three parts prompt and one part answer, as in chats that go on for a while.
#[must_use]
pub fn mixed_price(price_in: Option<NanoUsd>, price_out: Option<NanoUsd>) -> Option<NanoUsd> {
    let parts = i128::from(price_in?.0) * 3 + i128::from(price_out?.0);
    i64::try_from(parts / 4).ok().map(NanoUsd)
}

fn known(points: Option<u64>) -> u64 {
    points.unwrap_or(UNKNOWN_PERMILLE)
}

/// `half` of it scores 500, nothing 1000, ever more ever less.
fn falling(amount: u64, half: u64) -> u64 {
    let points = 1_000 * u128::from(half) / (u128::from(half) + u128::from(amount)).max(1);
    u64::try_from(points).unwrap_or(1_000)
}

fn cheapness(price: NanoUsd) -> u64 {
    let half = MIDDLING_PRICE.0.unsigned_abs();
    falling(u64::try_from(price.0).unwrap_or(0), half)
}

fn promptness(first_token_ms: u64) -> u64 {
    falling(first_token_ms, MIDDLING_FIRST_TOKEN_MS)
}

fn quickness(pace_milli: u64) -> u64 {
    1_000 - falling(pace_milli, MIDDLING_PACE_MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    pub(crate) fn hot() -> Standing {
        Standing {
            state: ModelState::Hot,
            busy_permille: Some(310),
            refused_permille: Some(0),
            price: Some(NanoUsd::from_cents(100)),
            speed: Speed { first_token_ms: Some(2_000), pace_milli: Some(50_000) },
            preference_permille: 500,
        }
    }

    #[test]
    fn grades_follow_state_and_load() {
        assert_eq!(hot().grade(), Grade::Steady);
        let grade = |standing: Standing| standing.grade();
        assert_eq!(grade(Standing { refused_permille: None, ..hot() }), Grade::Steady);
        assert_eq!(grade(Standing { busy_permille: None, ..hot() }), Grade::Strained);
        assert_eq!(grade(Standing { busy_permille: Some(801), ..hot() }), Grade::Strained);
        assert_eq!(grade(Standing { refused_permille: Some(51), ..hot() }), Grade::Strained);
        assert_eq!(grade(Standing { state: ModelState::Busy, ..hot() }), Grade::Full);
        assert!(Grade::Full.is_usable() && !Grade::Unknown.is_usable());
    }

    #[test]
    fn middling_figures_score_half() {
        let score = hot().score(Weigh::Preference);
        assert_eq!((score.price, score.speed, score.preference), (500, 500, 500));
        assert_eq!(score.room, (690 + 2 * 1_000) / 3);
    }

    #[test]
    fn figures_that_are_old_are_not_known() {
        let evidence = ModelEvidence {
            utilization_permille: Some(10),
            refused_permille: Some(0),
            utilization_age: Some(Duration::from_secs(3_600)),
            ..ModelEvidence::default()
        };
        assert_eq!(Standing::of(ModelState::Hot, &evidence).busy_permille, None);
        let fresh = ModelEvidence { utilization_age: Some(Duration::from_secs(60)), ..evidence };
        assert_eq!(Standing::of(ModelState::Hot, &fresh).busy_permille, Some(10));
    }

    #[test]
    fn the_mixed_price_needs_both() {
        let usd = |cents| Some(NanoUsd::from_cents(cents));
        assert_eq!(mixed_price(usd(100), usd(300)), usd(150));
        assert_eq!(mixed_price(usd(100), None), None);
    }

    fn standing() -> impl Strategy<Value = Standing> {
        let share = || prop::option::of(0_u64..=1_000);
        let state = prop::sample::select(vec![
            ModelState::Hot,
            ModelState::Busy,
            ModelState::Unknown,
            ModelState::Cold,
            ModelState::Down,
        ]);
        let speed = (prop::option::of(any::<u64>()), prop::option::of(any::<u64>()));
        (state, share(), share(), prop::option::of(any::<i64>()), speed, 0_u64..=1_000).prop_map(
            |(state, busy_permille, refused_permille, price, speed, preference_permille)| {
                Standing {
                    state,
                    busy_permille,
                    refused_permille,
                    price: price.map(NanoUsd),
                    speed: Speed { first_token_ms: speed.0, pace_milli: speed.1 },
                    preference_permille,
                }
            },
        )
    }

    fn weigh() -> impl Strategy<Value = Weigh> {
        prop::sample::select(vec![Weigh::Preference, Weigh::Price, Weigh::Speed])
    }

    /// Better or equal: grade first, then points.
    fn at_least(left: Score, right: Score) -> bool {
        (left.grade, std::cmp::Reverse(left.total)) <= (right.grade, std::cmp::Reverse(right.total))
    }

    proptest! {
        #[test]
        fn points_are_of_a_thousand(standing in standing(), weigh in weigh()) {
            let score = standing.score(weigh);
            for points in [score.total, score.room, score.preference, score.price, score.speed] {
                prop_assert!(points <= 1_000, "{score:?}");
            }
        }

        #[test]
        fn what_is_dead_never_beats_what_is_hot(
            left in standing(),
            right in standing(),
            weigh in weigh(),
        ) {
            let alive = Standing { state: ModelState::Hot, ..left }.score(weigh);
            for state in [ModelState::Busy, ModelState::Unknown, ModelState::Cold, ModelState::Down] {
                let other = Standing { state, ..right }.score(weigh);
                prop_assert!(alive.grade < other.grade);
            }
        }

        #[test]
        fn more_load_never_helps(
            standing in standing(),
            busy in (0_u64..=1_000, 0_u64..=1_000),
            refused in (0_u64..=1_000, 0_u64..=1_000),
            weigh in weigh(),
        ) {
            let with = |busy, refused| {
                Standing { busy_permille: Some(busy), refused_permille: Some(refused), ..standing }
                    .score(weigh)
            };
            let light = with(busy.0.min(busy.1), refused.0.min(refused.1));
            let heavy = with(busy.0.max(busy.1), refused.0.max(refused.1));
            prop_assert!(at_least(light, heavy), "{light:?} {heavy:?}");
        }

        #[test]
        fn what_is_not_known_is_neither_best_nor_worst(standing in standing(), weigh in weigh()) {
            let best = Standing { busy_permille: Some(0), refused_permille: Some(0), ..standing };
            let worst =
                Standing { busy_permille: Some(1_000), refused_permille: Some(1_000), ..standing };
            let unknown = Standing { busy_permille: None, refused_permille: None, ..standing };
            let (best, unknown, worst) =
                (best.score(weigh), unknown.score(weigh), worst.score(weigh));
            prop_assert!(at_least(best, unknown) && at_least(unknown, worst));
            prop_assert!(best.room > unknown.room && unknown.room > worst.room);
            let free = Standing { price: Some(NanoUsd::ZERO), ..standing }.score(weigh);
            let unpriced = Standing { price: None, ..standing }.score(weigh);
            prop_assert!(free.price > unpriced.price && unpriced.price > 0);
        }
    }
}
