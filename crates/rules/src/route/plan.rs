//! From the lineup to the order in which links are asked.

use super::lineup::{Kind, Where};
use super::needs::{ModelFacts, Requirements, WhyNot};
use crate::model_state::ModelState;

/// How a model or its service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What it is good for.
    pub state: ModelState,
    /// It failed so often of late that it is only tried now and then.
    pub is_shut: bool,
}

/// A link as the plan needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prospect {
    /// At which service.
    pub at: Where,
    /// How it came into the lineup.
    pub kind: Kind,
    /// What is known of the model.
    pub facts: ModelFacts,
    /// How it stands.
    pub shape: Shape,
    /// The same beginning was served by it before.
    pub is_stuck: bool,
}

/// What came of it: places in the lineup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What may serve the request, best first.
    pub order: Vec<usize>,
    /// What may not, and why.
    pub left_out: Vec<(usize, WhyNot)>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { state: ModelState::Unknown, is_shut: false }
    }
}

impl Shape {
    /// Whether it would hardly answer.
    const fn is_out(self) -> bool {
        self.is_shut || matches!(self.state, ModelState::Cold | ModelState::Down)
    }

    /// Within one service, a lower one is asked first.
    const fn rank(self) -> u8 {
        match self.state {
            _ if self.is_shut => 2,
            ModelState::Hot | ModelState::Unknown => 0,
            ModelState::Busy => 1,
            ModelState::Cold => 2,
            ModelState::Down => 3,
        }
    }
}

/// Leaves out what must not or cannot serve the request, and orders the rest.
///
/// The order of the lineup holds, but: what would hardly answer goes behind everything that may; a model that is full
/// goes behind others of its service that are not (and not to another service, which may cost more); and a variant of
/// the asked model that served the same beginning goes before the other variants.
#[must_use]
pub fn plan(lineup: &[Prospect], requirements: &Requirements) -> Plan {
    let from_tee = lineup
        .iter()
        .find(|one| one.kind == Kind::Asked)
        .or_else(|| lineup.iter().find(|one| one.kind == Kind::Chain))
        .is_some_and(|first| first.facts.may_be_tee());
    let has_asked = lineup.iter().any(|one| one.kind == Kind::Asked);
    let first_named = lineup.iter().position(|one| one.kind == Kind::Chain);
    let mut plan = Plan::default();
    for (place, one) in lineup.iter().enumerate() {
        let is_named = one.kind == Kind::Asked || !has_asked && first_named == Some(place);
        let why = requirements.forbids(&one.facts).or_else(|| {
            if is_named {
                return None;
            }
            if requirements.fallback_off {
                return Some(WhyNot::FallbackOff);
            }
            requirements.against(&one.facts, from_tee)
        });
        match why {
            Some(why) => plan.left_out.push((place, why)),
            None => plan.order.push(place),
        }
    }
    order(lineup, &mut plan.order);
    plan
}

/// Each sort keeps the order of equals.
fn order(lineup: &[Prospect], order: &mut [usize]) {
    let is_out = |place: &usize| lineup.get(*place).is_some_and(|one| one.shape.is_out());
    let rank = |place: &usize| lineup.get(*place).map(|one| one.shape.rank());
    let at = |place: &usize| lineup.get(*place).map(|one| one.at);
    order.sort_by_key(is_out);
    let able = order.partition_point(|place| !is_out(place));
    let (able, out) = order.split_at_mut(able);
    out.sort_by_key(rank);
    for run in able.chunk_by_mut(|one, next| at(one) == at(next)) {
        run.sort_by_key(rank);
        let first = run.first().and_then(rank);
        let is_variant = |place: &usize| {
            let kind = lineup.get(*place).map(|one| one.kind);
            matches!(kind, Some(Kind::Asked | Kind::Sibling)) && rank(place) == first
        };
        let is_stuck = |place: &usize| lineup.get(*place).is_some_and(|one| one.is_stuck);
        let variants = run.iter().take_while(|place| is_variant(place)).count();
        let variants = run.get_mut(..variants).unwrap_or_default();
        if let Some(stuck) = variants.iter().position(is_stuck)
            && let Some(before) = variants.get_mut(..=stuck)
        {
            before.rotate_right(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::NanoUsd;
    use proptest::prelude::*;

    const HOT: Shape = Shape { state: ModelState::Hot, is_shut: false };

    fn link(kind: Kind) -> Prospect {
        Prospect {
            at: Where::Chutes,
            kind,
            facts: ModelFacts { tee: Some(false), ..ModelFacts::default() },
            shape: HOT,
            is_stuck: false,
        }
    }

    fn tee(one: Prospect) -> Prospect {
        Prospect { facts: ModelFacts { tee: Some(true), ..one.facts }, ..one }
    }

    fn state(one: Prospect, state: ModelState) -> Prospect {
        Prospect { shape: Shape { state, is_shut: false }, ..one }
    }

    fn at_provider(kind: Kind) -> Prospect {
        Prospect { at: Where::Provider(0), ..link(kind) }
    }

    fn order_of(lineup: &[Prospect]) -> Vec<usize> {
        plan(lineup, &Requirements::default()).order
    }

    #[test]
    fn nothing_goes_from_a_confidential_model_to_a_plain_one() {
        let lineup = [
            tee(link(Kind::Asked)),
            link(Kind::Sibling),
            tee(link(Kind::Sibling)),
            at_provider(Kind::Provider),
        ];
        let found = plan(&lineup, &Requirements::default());
        assert_eq!(found.order, [0, 2]);
        assert_eq!(found.left_out, [(1, WhyNot::LessPrivate), (3, WhyNot::LessPrivate)]);
        let allowed = Requirements { allow_plain: true, ..Requirements::default() };
        assert_eq!(plan(&lineup, &allowed).order, [0, 1, 2, 3]);
        let required = Requirements { tee_required: true, ..allowed };
        assert_eq!(plan(&lineup, &required).order, [0, 2]);
        let some = Prospect {
            facts: ModelFacts { is_partly_tee: true, ..ModelFacts::default() },
            ..link(Kind::Asked)
        };
        assert_eq!(order_of(&[some, link(Kind::Chain)]), [0]);
        assert_eq!(
            order_of(&[tee(link(Kind::Asked)), Prospect { kind: Kind::Chain, ..some }]),
            [0]
        );
        // Not knowing is not enough.
        let unknown = Prospect { facts: ModelFacts::default(), ..link(Kind::Sibling) };
        assert_eq!(order_of(&[tee(link(Kind::Asked)), unknown]), [0]);
        // From plain to confidential is no loss, and whoever requires it gets it from a sibling.
        let plain = [link(Kind::Asked), tee(link(Kind::Sibling))];
        assert_eq!(order_of(&plain), [0, 1]);
        let found = plan(&plain, &required);
        assert_eq!((found.order, found.left_out), (vec![1], vec![(0, WhyNot::NotConfidential)]));
        // The first of a chain is what the others stand in for.
        let chain = [tee(link(Kind::Chain)), link(Kind::Chain)];
        assert_eq!(order_of(&chain), [0]);
    }

    #[test]
    fn what_lacks_something_does_not_stand_in() {
        let facts = |change: fn(&mut ModelFacts)| {
            let mut one = link(Kind::Chain);
            change(&mut one.facts);
            [link(Kind::Asked), one]
        };
        let needs = Requirements {
            prompt_tokens: 9_000,
            tools: true,
            vision: true,
            json_schema: true,
            max_output_price: Some(NanoUsd::from_cents(100)),
            ..Requirements::default()
        };
        type Case = (fn(&mut ModelFacts), WhyNot);
        let cases: [Case; 7] = [
            (|facts| facts.context_tokens = Some(8_192), WhyNot::ContextTooShort(8_192)),
            (|facts| facts.tools = Some(false), WhyNot::NoTools),
            (|facts| facts.vision = Some(false), WhyNot::NoVision),
            (|facts| facts.json_schema = Some(false), WhyNot::NoJsonSchema),
            (|_| {}, WhyNot::TooDear(None)),
            (
                |facts| facts.output_price = Some(NanoUsd::from_cents(101)),
                WhyNot::TooDear(Some(NanoUsd::from_cents(101))),
            ),
            (|facts| facts.is_forbidden = true, WhyNot::Forbidden),
        ];
        for (change, why) in cases {
            let found = plan(&facts(change), &needs);
            assert_eq!((found.order, found.left_out), (vec![0], vec![(1, why)]));
        }
        // What would use up nothing of a bound is not asked, whoever named it.
        let uncounted = ModelFacts { is_uncounted: true, ..ModelFacts::default() };
        let found =
            plan(&[Prospect { facts: uncounted, ..link(Kind::Asked) }], &Requirements::default());
        assert_eq!((found.order, found.left_out), (vec![], vec![(0, WhyNot::TooDear(None))]));
        let fits = plan(&facts(|facts| facts.output_price = Some(NanoUsd::ZERO)), &needs);
        assert_eq!(fits.order, [0, 1], "what is not known is tried");
        let off = Requirements { fallback_off: true, ..Requirements::default() };
        assert_eq!(plan(&facts(|_| {}), &off).left_out, [(1, WhyNot::FallbackOff)]);
    }

    #[test]
    fn a_full_or_cold_model_goes_behind_its_healthy_sibling() {
        let (asked, sibling, chain) = (link(Kind::Asked), link(Kind::Sibling), link(Kind::Chain));
        let spare = at_provider(Kind::Provider);
        assert_eq!(order_of(&[asked, sibling, chain, spare]), [0, 1, 2, 3]);
        let full = state(asked, ModelState::Busy);
        assert_eq!(order_of(&[full, sibling, chain, spare]), [1, 2, 0, 3], "no other service");
        assert_eq!(order_of(&[full, spare]), [0, 1]);
        for out in [ModelState::Cold, ModelState::Down] {
            assert_eq!(order_of(&[state(asked, out), sibling, chain, spare]), [1, 2, 3, 0]);
        }
        let shut = Prospect { shape: Shape { is_shut: true, ..HOT }, ..asked };
        assert_eq!(order_of(&[shut, spare]), [1, 0]);
        assert_eq!(order_of(&[state(asked, ModelState::Unknown), sibling]), [0, 1]);
        let all_out = [state(asked, ModelState::Down), state(sibling, ModelState::Cold)];
        assert_eq!(order_of(&all_out), [1, 0]);
    }

    #[test]
    fn a_conversation_stays_with_the_variant_that_served_it() {
        let (asked, chain) = (link(Kind::Asked), link(Kind::Chain));
        let stuck = Prospect { is_stuck: true, ..link(Kind::Sibling) };
        assert_eq!(order_of(&[asked, link(Kind::Sibling), stuck, chain]), [2, 0, 1, 3]);
        assert_eq!(order_of(&[asked, state(stuck, ModelState::Busy)]), [0, 1]);
        assert_eq!(order_of(&[asked, Prospect { is_stuck: true, ..chain }]), [0, 1]);
        assert_eq!(
            order_of(&[asked, Prospect { is_stuck: true, ..at_provider(Kind::Provider) }]),
            [0, 1]
        );
    }

    fn prospects() -> impl Strategy<Value = Prospect> {
        let kinds = prop::sample::select(vec![Kind::Sibling, Kind::Chain, Kind::Provider]);
        let states = prop::sample::select(vec![
            ModelState::Hot,
            ModelState::Busy,
            ModelState::Cold,
            ModelState::Down,
            ModelState::Unknown,
        ]);
        let facts = (any::<Option<bool>>(), any::<Option<bool>>(), any::<bool>());
        (kinds, states, facts, any::<(bool, bool, bool)>()).prop_map(
            |(kind, state, (tee, tools, is_forbidden), (is_shut, is_stuck, is_away))| Prospect {
                at: if is_away { Where::Provider(0) } else { Where::Chutes },
                kind,
                facts: ModelFacts { tee, tools, is_forbidden, ..ModelFacts::default() },
                shape: Shape { state, is_shut },
                is_stuck,
            },
        )
    }

    proptest! {
        #[test]
        fn each_is_asked_or_left_out_and_privacy_holds(
            others in prop::collection::vec(prospects(), 0..8),
            first in prospects(),
            (tee_required, allow_plain, tools, fallback_off) in any::<(bool, bool, bool, bool)>(),
        ) {
            let asked = Prospect { kind: Kind::Asked, ..first };
            let lineup: Vec<Prospect> = [asked].into_iter().chain(others).collect();
            let needs = Requirements { tee_required, allow_plain, tools, fallback_off, ..Requirements::default() };
            let found = plan(&lineup, &needs);
            let mut all: Vec<usize> =
                found.order.iter().copied().chain(found.left_out.iter().map(|(place, _)| *place)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lineup.len()).collect::<Vec<_>>());
            for &place in &found.order {
                let one = &lineup[place];
                prop_assert!(!one.facts.is_forbidden);
                prop_assert!(!tee_required || one.facts.tee == Some(true));
                let stays_private = asked.facts.tee != Some(true) || one.facts.tee == Some(true) || allow_plain;
                prop_assert!(stays_private || place == 0);
                prop_assert!(!fallback_off || place == 0);
            }
            let outs: Vec<bool> = found.order.iter().map(|place| lineup[*place].shape.is_out()).collect();
            prop_assert!(outs.is_sorted());
        }
    }
}
