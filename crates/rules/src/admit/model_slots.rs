//! How many attempts at once a model bears, learned from its refusals.
//!
//! A full model refuses whatever account asks (`chutes/api.md` 5.2), so the number holds over all accounts. It falls by a
//! third when an attempt is refused for capacity, rises by one for each round of answers while it is what holds work up,
//! and is forgotten when the model has not refused for a while. It never falls below one: somebody has to find out.

use crate::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// A model, by a number that whoever drives the gate gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelNumber(pub u64);

#[derive(Clone, Debug, Default)]
pub(super) struct ModelSlots {
    in_use: BTreeMap<ModelNumber, u32>,
    learned: BTreeMap<ModelNumber, Learned>,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    /// Slots, in thousandths.
    slots: u64,
    /// When it last refused.
    refused: Mono,
    /// When all of them were last taken.
    full: Mono,
}

const SCALE: u64 = 1_000;
/// A model that has not refused for so long is not full any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// From this many on, the one whose refusal is the oldest is forgotten: names come from outside.
const MANY_MODELS: usize = 512;

// === impl ModelSlots ===

impl ModelSlots {
    /// Whether one more attempt may start.
    pub(super) fn has_room(&self, model: ModelNumber, now: Mono) -> bool {
        self.slots(model, now).is_none_or(|slots| self.in_use(model) < slots)
    }

    /// How many attempts it bears at once; `None` if it has not refused lately.
    pub(super) fn slots(&self, model: ModelNumber, now: Mono) -> Option<u32> {
        let learned = self.learned.get(&model)?;
        let is_known = now.since(learned.refused) < FORGOTTEN_AFTER;
        is_known.then(|| u32::try_from(learned.slots / SCALE).unwrap_or(u32::MAX).max(1))
    }

    /// When the first model has room again even if nobody gives a slot back.
    pub(super) fn next_forgotten(&self, now: Mono) -> Option<Mono> {
        let ends = self.learned.values().map(|learned| learned.refused.after(FORGOTTEN_AFTER));
        ends.filter(|&end| end > now).min()
    }

    pub(super) fn in_use(&self, model: ModelNumber) -> u32 {
        self.in_use.get(&model).copied().unwrap_or(0)
    }

    pub(super) fn take(&mut self, now: Mono, model: ModelNumber) {
        let in_use = self.in_use.entry(model).or_default();
        *in_use += 1;
        if let Some(learned) = self.learned.get_mut(&model)
            && u64::from(*in_use) >= learned.slots / SCALE
        {
            learned.full = now;
        }
    }

    pub(super) fn give_back(&mut self, model: ModelNumber) {
        if let Some(in_use) = self.in_use.get_mut(&model) {
            *in_use = in_use.saturating_sub(1);
            if *in_use == 0 {
                self.in_use.remove(&model);
            }
        }
    }

    /// An attempt that started at `started`, and is still under way, was refused for capacity.
    pub(super) fn refused(&mut self, now: Mono, model: ModelNumber, started: Mono) {
        let in_use = u64::from(self.in_use(model).max(1)) * SCALE;
        let known = self.learned.get(&model).copied();
        let known = known.filter(|known| now.since(known.refused) < FORGOTTEN_AFTER);
        let slots = match known {
            // One of the same round: what was learned from the first one had not been tried yet.
            Some(known) if started <= known.refused => known.slots,
            Some(known) => fewer(known.slots.min(in_use)),
            None => fewer(in_use),
        };
        let is_same = known.filter(|known| started <= known.refused);
        let refused = is_same.map_or(now, |known| known.refused);
        let full = known.map_or(Mono::default(), |known| known.full);
        if self.learned.len() >= MANY_MODELS && !self.learned.contains_key(&model) {
            let oldest = self.learned.iter().min_by_key(|(_, learned)| learned.refused);
            if let Some(oldest) = oldest.map(|(model, _)| *model) {
                self.learned.remove(&oldest);
            }
        }
        self.learned.insert(model, Learned { slots, refused, full });
    }

    /// An attempt that started at `started` was answered.
    pub(super) fn answered(&mut self, now: Mono, model: ModelNumber, started: Mono) {
        let Some(learned) = self.learned.get_mut(&model) else { return };
        if now.since(learned.refused) >= FORGOTTEN_AFTER {
            self.learned.remove(&model);
        } else if learned.full >= started {
            // All were taken while it was under way: one more might have been answered, too.
            learned.slots += SCALE * SCALE / learned.slots.max(SCALE);
        }
    }
}

/// A third fewer, and never less than one.
fn fewer(slots: u64) -> u64 {
    (slots - slots / 3).min(slots.saturating_sub(SCALE)).max(SCALE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MODEL: ModelNumber = ModelNumber(7);

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    fn with_in_use(count: u32) -> ModelSlots {
        let mut slots = ModelSlots::default();
        (0..count).for_each(|_| slots.take(at(0), MODEL));
        slots
    }

    #[test]
    fn a_model_that_never_refused_has_room() {
        let slots = with_in_use(1_000);
        assert!(slots.has_room(MODEL, at(0)) && slots.slots(MODEL, at(0)).is_none());
    }

    #[test]
    fn a_round_of_refusals_counts_once_and_the_next_one_again() {
        let mut slots = with_in_use(6);
        (0..5).for_each(|_| slots.refused(at(10), MODEL, at(9)));
        assert_eq!(slots.slots(MODEL, at(10)), Some(4));
        assert!(!slots.has_room(MODEL, at(10)));
        (0..3).for_each(|_| slots.give_back(MODEL));
        assert!(slots.has_room(MODEL, at(10)));
        // Three were tried, and that was one too many.
        slots.refused(at(12), MODEL, at(11));
        assert_eq!(slots.slots(MODEL, at(12)), Some(2));
        (20..40).for_each(|time| slots.refused(at(time), MODEL, at(time)));
        assert_eq!(slots.slots(MODEL, at(40)), Some(1));
    }

    #[test]
    fn a_round_of_answers_makes_room_for_one_more_if_it_is_wanted() {
        let mut slots = with_in_use(3);
        slots.refused(at(10), MODEL, at(10));
        assert_eq!(slots.slots(MODEL, at(10)), Some(2));
        (0..3).for_each(|_| slots.give_back(MODEL));
        (0..2).for_each(|_| slots.take(at(11), MODEL));
        slots.answered(at(12), MODEL, at(11));
        assert_eq!(slots.slots(MODEL, at(12)), Some(2));
        slots.give_back(MODEL);
        // That fewer are under way by now does not matter: all were taken when it began.
        slots.answered(at(12), MODEL, at(11));
        slots.answered(at(12), MODEL, at(11));
        assert_eq!(slots.slots(MODEL, at(12)), Some(3));
        // One or two under way of three: more room would be for nobody.
        slots.take(at(13), MODEL);
        (0..100).for_each(|_| slots.answered(at(14), MODEL, at(13)));
        assert_eq!(slots.slots(MODEL, at(14)), Some(3));
    }

    #[test]
    fn it_is_forgotten_ten_minutes_after_the_last_refusal() {
        let mut slots = with_in_use(1);
        slots.refused(at(10), MODEL, at(10));
        assert_eq!(slots.next_forgotten(at(10)), Some(at(610)));
        assert_eq!(slots.slots(MODEL, Mono::from_micros(609_999_999)), Some(1));
        assert!(slots.has_room(MODEL, at(610)));
        slots.answered(at(610), MODEL, at(609));
        assert!(slots.learned.is_empty());
    }

    #[test]
    fn the_table_does_not_grow_with_names_from_outside() {
        let mut slots = ModelSlots::default();
        for number in 0..5_000 {
            slots.take(at(number), ModelNumber(number));
            slots.refused(at(number), ModelNumber(number), at(number));
            slots.give_back(ModelNumber(number));
        }
        assert_eq!((slots.learned.len(), slots.in_use.len()), (MANY_MODELS, 0));
        assert!(slots.slots(ModelNumber(4_999), at(4_999)).is_some());
    }

    proptest! {
        /// Whatever happened, somebody may go when nobody is under way.
        #[test]
        fn a_model_is_never_shut_out(steps in prop::collection::vec((0_u8..5, 0_u64..700), 1..100)) {
            let mut slots = ModelSlots::default();
            let mut now = 0;
            let mut under_way: Vec<u64> = Vec::new();
            for (step, time) in steps {
                match step {
                    0 | 1 => if slots.has_room(MODEL, at(now)) { slots.take(at(now), MODEL); under_way.push(now); },
                    2 => if let Some(started) = under_way.pop() {
                        slots.refused(at(now), MODEL, at(started));
                        slots.give_back(MODEL);
                    },
                    3 => if let Some(started) = under_way.pop() {
                        slots.answered(at(now), MODEL, at(started));
                        slots.give_back(MODEL);
                    },
                    _ => now += time,
                }
                prop_assert_eq!(slots.in_use(MODEL) as usize, under_way.len());
                prop_assert!(!under_way.is_empty() || slots.has_room(MODEL, at(now)));
                prop_assert!(slots.slots(MODEL, at(now)).is_none_or(|slots| slots >= 1));
            }
        }
    }
}
