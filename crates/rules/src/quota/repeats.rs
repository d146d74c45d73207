//! Which calls are repeats that Chutes counts a tenth.
//!
//! The same bytes again, by the same account to the same chute, count a tenth from the second to the fifteenth time, as
//! long as no more than 15 minutes lie between two of them (`chutes/api.md` 5.5; recordings, "20 identical requests").
//! Only calls that succeeded count; the charge of the balance stays whole. Calls of other programs cannot be known. So a
//! call is taken for a repeat only where it certainly is one, and counts in full everywhere else.

use crate::time::Mono;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The fingerprint of a body, by a hash that nobody outside can foresee. Never its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BodyDigest(pub u64);

/// The bodies that one account has sent lately.
#[derive(Clone, Debug, Default)]
pub struct Repeats {
    bodies: HashMap<BodyDigest, Body>,
    /// When the old ones were last swept out.
    swept: Mono,
}

#[derive(Clone, Debug)]
struct Body {
    /// Calls under way.
    open: u32,
    /// Calls that Chutes may have counted, those under way included.
    counted: u32,
    /// When one of them last began or ended.
    touched: Mono,
    /// The newest one that Chutes certainly counted.
    sure: Option<Sure>,
}

#[derive(Clone, Debug)]
struct Sure {
    chute: Arc<str>,
    began: Mono,
    ended: Mono,
}

/// What became of a call, as far as repeats go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// It succeeded, on this chute if the answer told.
    Counted(Option<&'a str>),
    /// It may have been counted.
    Unsure,
    /// It certainly was not.
    Nothing,
}

/// Between two calls of one body may lie so much.
const SLIDES: Duration = Duration::from_secs(900);
/// The server's clock and ours may count 15 minutes differently by so much.
const SLACK: Duration = Duration::from_secs(10);
/// The last one of a row that counts a tenth.
const LAST_REPEAT: u32 = 15;
/// Bodies that are remembered. What does not fit counts in full.
const BODIES: usize = 8_192;
const SWEPT_EVERY: Duration = Duration::from_secs(60);

// === impl Repeats ===

impl Repeats {
    /// A call with this body begins.
    pub fn begin(&mut self, body: BodyDigest, now: Mono) {
        if now.since(self.swept) >= SWEPT_EVERY {
            self.bodies.retain(|_, body| body.open > 0 || !is_surely_over(body, now));
            self.swept = now;
        }
        if self.bodies.len() >= BODIES && !self.bodies.contains_key(&body) {
            return;
        }
        let fresh = Body { open: 0, counted: 0, touched: now, sure: None };
        let body = self.bodies.entry(body).or_insert(fresh);
        if is_surely_over(body, now) {
            body.counted = body.open;
        }
        body.open = body.open.saturating_add(1);
        body.counted = body.counted.saturating_add(1);
        body.touched = now;
    }

    /// A call that began at `began` ends. Whether it certainly counts a tenth.
    pub fn end(&mut self, body: BodyDigest, ending: Ending<'_>, began: Mono, now: Mono) -> bool {
        // One that did not fit in when it began.
        let Some(body) = self.bodies.get_mut(&body).filter(|body| body.open > 0) else {
            return false;
        };
        body.open -= 1;
        let chute = match ending {
            Ending::Nothing => {
                body.counted = body.counted.saturating_sub(1);
                return false;
            }
            Ending::Unsure | Ending::Counted(None) => {
                body.touched = now;
                return false;
            }
            Ending::Counted(Some(chute)) => chute,
        };
        body.touched = now;
        // The one before had ended when this one began, and even from its beginning to now it is less than the 15 minutes:
        // nobody knows from when to when the server counts them.
        let is_repeat = body.counted <= LAST_REPEAT
            && body.sure.as_ref().is_some_and(|sure| {
                *sure.chute == *chute
                    && sure.ended <= began
                    && now.since(sure.began) < SLIDES.saturating_sub(SLACK)
            });
        if body.sure.as_ref().is_none_or(|sure| *sure.chute != *chute || sure.began <= began) {
            body.sure = Some(Sure { chute: chute.into(), began, ended: now });
        }
        is_repeat
    }
}

fn is_surely_over(body: &Body, now: Mono) -> bool {
    now.since(body.touched) > SLIDES.saturating_add(SLACK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: BodyDigest = BodyDigest(1);

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    /// One after the other, a second apart: which of them count a tenth.
    fn row(repeats: &mut Repeats, from: u64, calls: u64) -> Vec<bool> {
        (from..from + calls)
            .map(|second| {
                repeats.begin(BODY, at(second));
                repeats.end(BODY, Ending::Counted(Some("a")), at(second), at(second))
            })
            .collect()
    }

    #[test]
    fn the_second_to_the_fifteenth_count_a_tenth() {
        let mut expected = vec![true; 20];
        expected[0] = false;
        expected[15..].fill(false);
        assert_eq!(row(&mut Repeats::default(), 0, 20), expected);
    }

    #[test]
    fn fifteen_minutes_slide() {
        let mut repeats = Repeats::default();
        for call in 0..10 {
            assert_eq!(row(&mut repeats, call * 800, 1), [call > 0], "{call}");
        }
        // So close to the end of them that nobody can be sure.
        assert_eq!(row(&mut repeats, 7_200 + 895, 1), [false]);
        // And after a pause all begins anew.
        assert_eq!(row(&mut repeats, 20_000, 3), [false, true, true]);
    }

    #[test]
    fn calls_at_once_are_no_repeats_of_each_other() {
        let mut repeats = Repeats::default();
        (0..3).for_each(|_| repeats.begin(BODY, at(0)));
        let end = |repeats: &mut Repeats, began, now| {
            repeats.end(BODY, Ending::Counted(Some("a")), at(began), at(now))
        };
        assert!((1..4).all(|second| !end(&mut repeats, 0, second)));
        repeats.begin(BODY, at(4));
        assert!(end(&mut repeats, 4, 5));
    }

    #[test]
    fn what_failed_or_is_not_sure_makes_no_repeat() {
        let mut repeats = Repeats::default();
        for ending in [Ending::Nothing, Ending::Unsure, Ending::Counted(None)] {
            repeats.begin(BODY, at(0));
            assert!(!repeats.end(BODY, ending, at(0), at(1)));
        }
        assert_eq!(row(&mut repeats, 2, 2), [false, true]);
        // The same bytes for another chute: a list may go elsewhere.
        repeats.begin(BODY, at(5));
        assert!(!repeats.end(BODY, Ending::Counted(Some("b")), at(5), at(6)));
        // Two of the first three may have counted: the fifteenth comes sooner.
        let rest = row(&mut repeats, 10, 14);
        assert_eq!(rest.iter().filter(|is_repeat| **is_repeat).count(), 9, "{rest:?}");
    }

    #[test]
    fn many_bodies_do_not_fill_the_memory() {
        let mut repeats = Repeats::default();
        for number in 0..100_000 {
            repeats.begin(BodyDigest(number), at(0));
            repeats.end(BodyDigest(number), Ending::Counted(Some("a")), at(0), at(0));
        }
        assert!(repeats.bodies.len() <= BODIES);
        // Later there is room again.
        assert_eq!(row(&mut repeats, 2_000, 2), [false, true]);
        assert!(repeats.bodies.len() < 10);
    }

    proptest! {
        /// Beside a server that counts as it is described, by its own clock and from whichever end of a call: what is
        /// taken for a repeat here is one there.
        #[test]
        fn what_is_taken_for_a_repeat_is_one(
            calls in prop::collection::vec((0_u64..1_000, 0_u64..20, 0_u8..4), 1..80),
            by_beginning in any::<bool>(),
        ) {
            let mut repeats = Repeats::default();
            let (mut now, mut count, mut last) = (0, 0_u32, 0);
            for (pause, takes, what) in calls {
                now += pause / if what == 0 { 1 } else { 50 };
                let began = now;
                repeats.begin(BODY, at(began));
                now += takes;
                if what == 3 {
                    let nothing = repeats.end(BODY, Ending::Nothing, at(began), at(now));
                    prop_assert!(!nothing);
                    continue;
                }
                let counts_at = if by_beginning { began } else { now };
                count = if count > 0 && counts_at - last < 900 { count + 1 } else { 1 };
                last = counts_at;
                let is_repeat = (2..=15).contains(&count);
                let taken = repeats.end(BODY, Ending::Counted(Some("a")), at(began), at(now));
                prop_assert!(is_repeat || !taken, "the {count}th is none");
            }
        }
    }
}
