//! Stay or switch, and to which.

use std::cmp::Reverse;

use super::family::Kinship;
use super::fit::Misfit;
use super::score::{Grade, Score, Standing, Weigh};

/// One model to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What is known of its present.
    pub standing: Standing,
    /// How it is related to the model in use; `None` if it is another model.
    pub kinship: Option<Kinship>,
    /// Why it may not be recommended.
    pub misfit: Option<Misfit>,
}

/// What to do. Numbers are places in the list of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Stay with the model in use: it has room, or nothing is better.
    Stay,
    /// Use this one instead.
    Switch(usize),
    /// Use this one; none was in use.
    Use(usize),
    /// Nothing that may be recommended answers at the moment.
    Nothing,
    /// Nobody knows.
    Unknown,
}

/// The candidates that may be recommended, best first, each with its score: by grade, then points, then how near of kin
/// they are, then as they came.
#[must_use]
pub fn ranked(candidates: &[Candidate], weigh: Weigh) -> Vec<(usize, Score)> {
    let mut ranked: Vec<(usize, Score)> = candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.misfit.is_none())
        .map(|(index, candidate)| (index, candidate.standing.score(weigh)))
        .collect();
    ranked.sort_by_key(|(index, score)| {
        let kinship = candidates.get(*index).and_then(|candidate| candidate.kinship);
        (score.grade, Reverse(score.total), kinship.is_none(), kinship, *index)
    });
    ranked
}

/// What to do, for a user of `current`, or for one who uses none of the candidates yet.
///
/// A model that has room is not left for one that scores more: every switch costs a warm prompt cache and surprises. One
/// that does not fit is left for any that fits and answers.
#[must_use]
pub fn advise(candidates: &[Candidate], current: Option<usize>, weigh: Weigh) -> Advice {
    let ranked = ranked(candidates, weigh);
    let best = ranked.iter().find(|(index, _)| Some(*index) != current).copied();
    let in_use = current.and_then(|index| candidates.get(index));
    let Some(standing) =
        in_use.filter(|candidate| candidate.misfit.is_none()).map(|candidate| candidate.standing)
    else {
        // None is in use, or one that may not be recommended itself.
        return match best {
            Some((index, score)) if score.grade.is_usable() => {
                if in_use.is_some() {
                    Advice::Switch(index)
                } else {
                    Advice::Use(index)
                }
            }
            Some((_, score)) if score.grade == Grade::Unknown => Advice::Unknown,
            _ => Advice::Nothing,
        };
    };
    let grade = standing.grade();
    // Little room, or a load that nobody knows, is no reason to leave; refusals are.
    let has_reason = grade >= Grade::Full || standing.is_refusing();
    match best {
        Some((index, score)) if has_reason && score.grade.is_usable() && score.grade < grade => {
            Advice::Switch(index)
        }
        _ if grade.is_usable() => Advice::Stay,
        _ if grade == Grade::Unknown
            || best.is_some_and(|(_, score)| score.grade == Grade::Unknown) =>
        {
            Advice::Unknown
        }
        _ => Advice::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_state::ModelState;
    use crate::recommend::score::Speed;
    use crate::units::NanoUsd;
    use proptest::prelude::*;

    fn candidate(state: ModelState, busy: u64, refused: u64) -> Candidate {
        Candidate {
            standing: Standing {
                state,
                busy_permille: Some(busy),
                refused_permille: Some(refused),
                price: Some(NanoUsd::from_cents(100)),
                speed: Speed::default(),
                preference_permille: 0,
            },
            kinship: Some(Kinship::SameRelease),
            misfit: None,
        }
    }

    fn advice(candidates: &[Candidate]) -> Advice {
        advise(candidates, Some(0), Weigh::Preference)
    }

    #[test]
    fn a_model_with_room_is_not_left() {
        let idle = candidate(ModelState::Hot, 0, 0);
        assert_eq!(advice(&[candidate(ModelState::Hot, 310, 0), idle.clone()]), Advice::Stay);
        let tight = candidate(ModelState::Hot, 890, 0);
        assert_eq!(advice(&[tight, idle.clone()]), Advice::Stay);
        let refusing = candidate(ModelState::Hot, 500, 120);
        assert_eq!(advice(&[refusing, idle]), Advice::Switch(1));
    }

    #[test]
    fn one_that_is_full_cold_or_down_is_left_for_one_that_answers() {
        let idle = candidate(ModelState::Hot, 0, 0);
        for state in [ModelState::Busy, ModelState::Cold, ModelState::Down, ModelState::Unknown] {
            assert_eq!(advice(&[candidate(state, 990, 420), idle.clone()]), Advice::Switch(1));
        }
        let full = candidate(ModelState::Busy, 990, 420);
        assert_eq!(advice(&[full.clone(), full.clone()]), Advice::Stay, "nothing is better");
        assert_eq!(advice(&[candidate(ModelState::Cold, 0, 0), full]), Advice::Switch(1));
    }

    #[test]
    fn without_an_answer_it_is_no_or_unknown() {
        let cold = candidate(ModelState::Cold, 0, 0);
        let unknown = candidate(ModelState::Unknown, 0, 0);
        assert_eq!(advice(&[cold.clone(), cold.clone()]), Advice::Nothing);
        assert_eq!(advice(&[cold.clone(), unknown.clone()]), Advice::Unknown);
        assert_eq!(advice(&[unknown.clone(), cold.clone()]), Advice::Unknown);
        let open = |candidates: &[Candidate]| advise(candidates, None, Weigh::Preference);
        assert_eq!(open(&[]), Advice::Nothing);
        assert_eq!(open(std::slice::from_ref(&cold)), Advice::Nothing);
        assert_eq!(open(&[cold, unknown]), Advice::Unknown);
        assert_eq!(open(&[candidate(ModelState::Busy, 950, 0)]), Advice::Use(0));
    }

    #[test]
    fn what_may_not_be_recommended_never_is() {
        let forbidden =
            Candidate { misfit: Some(Misfit::NotConfidential), ..candidate(ModelState::Hot, 0, 0) };
        assert_eq!(
            advice(&[candidate(ModelState::Cold, 0, 0), forbidden.clone()]),
            Advice::Nothing
        );
        assert_eq!(advise(&[forbidden], None, Weigh::Price), Advice::Nothing);
    }

    #[test]
    fn a_model_that_does_not_fit_is_left_however_steady_it_is() {
        let misfit = Candidate {
            misfit: Some(Misfit::Lacks("tools".to_owned())),
            ..candidate(ModelState::Hot, 0, 0)
        };
        let full = candidate(ModelState::Busy, 990, 420);
        assert_eq!(advice(&[misfit.clone(), full]), Advice::Switch(1));
        assert_eq!(advice(&[misfit.clone(), candidate(ModelState::Cold, 0, 0)]), Advice::Nothing);
        assert_eq!(advice(&[misfit, candidate(ModelState::Unknown, 0, 0)]), Advice::Unknown);
    }

    #[test]
    fn ties_go_to_the_nearer_kin_and_then_to_who_came_first() {
        let other = Candidate {
            kinship: Some(Kinship::OtherRelease),
            ..candidate(ModelState::Hot, 100, 0)
        };
        let stranger = Candidate { kinship: None, ..other.clone() };
        let near = candidate(ModelState::Hot, 100, 0);
        let order = |candidates: &[Candidate]| -> Vec<usize> {
            ranked(candidates, Weigh::Preference).iter().map(|(index, _)| *index).collect()
        };
        assert_eq!(order(&[stranger, other, near.clone(), near]), [2, 3, 1, 0]);
    }

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        let state = prop::sample::select(vec![
            ModelState::Hot,
            ModelState::Busy,
            ModelState::Unknown,
            ModelState::Cold,
            ModelState::Down,
        ]);
        (state, 0_u64..=1_000, 0_u64..=1_000, any::<bool>()).prop_map(
            |(state, busy, refused, fits)| Candidate {
                misfit: (!fits).then_some(Misfit::NotConfidential),
                ..candidate(state, busy, refused)
            },
        )
    }

    proptest! {
        #[test]
        fn a_switch_is_always_allowed_usable_and_steadier(
            candidates in prop::collection::vec(any_candidate(), 1..8),
        ) {
            let grade = |index: usize| candidates[index].standing.grade();
            match advice(&candidates) {
                Advice::Switch(to) => {
                    prop_assert!(to != 0 && candidates[to].misfit.is_none());
                    prop_assert!(grade(to).is_usable());
                    prop_assert!(grade(to) < grade(0) || candidates[0].misfit.is_some());
                }
                Advice::Stay => {
                    prop_assert!(grade(0).is_usable() && candidates[0].misfit.is_none());
                }
                Advice::Use(_) => prop_assert!(false, "one was in use"),
                Advice::Nothing | Advice::Unknown => {
                    prop_assert!(!grade(0).is_usable() || candidates[0].misfit.is_some());
                    let usable = candidates.iter().skip(1).any(|other| {
                        other.misfit.is_none() && other.standing.grade().is_usable()
                    });
                    prop_assert!(!usable);
                }
            }
        }

        #[test]
        fn the_first_of_the_ranking_is_the_steadiest(
            candidates in prop::collection::vec(any_candidate(), 1..8),
        ) {
            let ranked = ranked(&candidates, Weigh::Preference);
            prop_assert!(ranked.windows(2).all(|pair| pair[0].1.grade <= pair[1].1.grade));
            prop_assert_eq!(
                ranked.len(),
                candidates.iter().filter(|candidate| candidate.misfit.is_none()).count()
            );
        }
    }
}
