//! Several ways to an answer, each closed for a reason of its own: what the client is told then.

use crate::refusal::Refusal;
use std::sync::Arc;

/// How many of the others are named beside the one that is told.
const MANY: usize = 4;

/// Why the ways to an answer are closed, as far as they were tried.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    told: Vec<Told>,
    /// Links that may not serve the request, and why.
    left_out: Vec<String>,
}

#[derive(Debug)]
struct Told {
    /// The place of the link in the itinerary.
    choice: usize,
    key: Arc<str>,
    /// In a few words, to stand beside another reason.
    because: &'static str,
    weight: Weight,
    refusal: Refusal,
}

/// What a reason is worth to the caller, the most useful first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// The model that was asked for, or one of its family, says that the request is wrong: nobody else changes that.
    Request,
    /// The link does not serve now.
    Link,
    /// A stand-in does not take what the model that was asked for might have taken.
    StandIn,
}

impl Refusals {
    /// Notes why a link does not serve. A newer reason takes the place of an older one for the same link.
    pub(crate) fn add(
        &mut self,
        choice: usize,
        key: &Arc<str>,
        because: &'static str,
        weight: Weight,
        refusal: Refusal,
    ) {
        self.told.retain(|told| told.choice != choice);
        self.told.push(Told { choice, key: Arc::clone(key), because, weight, refusal });
    }

    /// Whether no link has told anything yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Why this link does not serve, if that is known.
    pub(crate) fn because(&self, choice: usize) -> Option<&'static str> {
        self.told.iter().find(|told| told.choice == choice).map(|told| told.because)
    }

    /// Notes that a link may not serve the request, whatever becomes of the others.
    pub(crate) fn leave_out(&mut self, key: &Arc<str>, why: &str) {
        if self.left_out.len() < MANY {
            self.left_out.push(format!("`{key}`: {why}"));
        }
    }

    /// The most useful of them: what opens first, and where nothing opens by itself, why the best link does not serve.
    /// The others are named in its words.
    pub(crate) fn take(&mut self) -> Option<Refusal> {
        let Self { told, left_out } = std::mem::take(self);
        let best = told.iter().enumerate().min_by_key(|(_, told)| {
            let opens_in = told.refusal.opens_in();
            (told.weight, opens_in.is_none(), opens_in, told.choice)
        })?;
        let (best, is_final) = (best.0, best.1.weight == Weight::Request);
        let mut others: Vec<&Told> =
            told.iter().enumerate().filter(|(at, _)| *at != best).map(|(_, told)| told).collect();
        others.sort_by_key(|told| told.choice);
        let others = others.iter().map(|told| format!("`{}`: {}", told.key, told.because));
        let mut words: Vec<String> = others.chain(left_out).collect();
        let more = words.len().saturating_sub(MANY);
        words.truncate(MANY);
        if more > 0 {
            words.push(format!("and {more} more"));
        }
        let refusal = told.into_iter().nth(best)?.refusal;
        Some(if words.is_empty() || is_final { refusal } else { refusal.beside(&words.join("; ")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn refusals(of: &[(&str, &'static str, Refusal)]) -> Refusals {
        let mut refusals = Refusals::default();
        for (choice, (key, because, refusal)) in of.iter().enumerate() {
            refusals.add(choice, &Arc::from(*key), because, Weight::Link, refusal.clone());
        }
        refusals
    }

    fn full(wait: u64) -> Refusal {
        Refusal::no_capacity("Chutes", "m", Some(Duration::from_secs(wait)))
    }

    #[test]
    fn one_reason_is_told_as_it_is() {
        let told = refusals(&[("a", "full", full(40))]).take().unwrap();
        assert_eq!(told.message(), full(40).message());
        assert!(Refusals::default().take().is_none());
    }

    #[test]
    fn what_opens_first_is_told_and_the_others_are_named() {
        let told = refusals(&[
            ("a", "out of credit", Refusal::out_of_credit("p")),
            ("b", "full", full(120)),
            ("c", "full", full(40)),
        ]);
        let told = { told }.take().unwrap();
        assert_eq!(told.opens_in(), Some(Duration::from_secs(40)));
        let also = "(not by others either: `a`: out of credit; `b`: full)";
        assert!(told.message().ends_with(also), "{}", told.message());
    }

    #[test]
    fn where_nothing_opens_the_best_link_speaks() {
        let told = refusals(&[
            ("a", "no key is accepted", Refusal::upstream_auth("Chutes", "first")),
            ("b", "out of credit", Refusal::out_of_credit("p")),
        ]);
        let told = { told }.take().unwrap();
        assert_eq!(told.cause, "upstream_auth");
    }

    #[test]
    fn a_newer_reason_replaces_the_older_of_the_same_link() {
        let mut told = refusals(&[("a", "full", full(40))]);
        told.add(0, &Arc::from("a"), "out of credit", Weight::Link, Refusal::out_of_credit("p"));
        assert_eq!(told.take().unwrap().cause, "budget_exhausted");
        assert!(told.take().is_none());
    }

    #[test]
    fn a_wrong_request_is_told_at_once_unless_only_a_stand_in_says_so() {
        let wrong = || Refusal::of_request(http::StatusCode::BAD_REQUEST, "bad_request", "x");
        let mut told = refusals(&[("a", "full", full(40))]);
        told.add(1, &Arc::from("b"), "does not take it", Weight::StandIn, wrong());
        let last = told.take().unwrap();
        assert_eq!(last.cause, "no_capacity");
        assert!(last.message().ends_with("(not by others either: `b`: does not take it)"));
        let mut told = refusals(&[("sibling", "full", full(40))]);
        told.add(1, &Arc::from("a"), "does not take it", Weight::Request, wrong());
        assert_eq!(told.take().unwrap().message(), "x");
    }

    #[test]
    fn who_may_not_serve_is_named_behind_the_others() {
        let mut told = refusals(&[("a", "full", full(40)), ("b", "full", full(50))]);
        told.leave_out(&Arc::from("c"), "it takes no tools");
        assert_eq!((told.because(1), told.because(2)), (Some("full"), None));
        let message = told.take().unwrap().message().to_owned();
        assert!(message.ends_with("(not by others either: `b`: full; `c`: it takes no tools)"));
    }

    #[test]
    fn few_are_named_however_many_there_were() {
        let many: Vec<_> = (0..9).map(|_| ("a", "full", full(40))).collect();
        let message = refusals(&many).take().unwrap().message().to_owned();
        assert!(message.contains("and 4 more"), "{message}");
    }
}
