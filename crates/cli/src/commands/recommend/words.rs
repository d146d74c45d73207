//! The reasons of a recommendation, in words.

use ripcord_rules::recommend::{Advice, Grade, Kinship, Misfit};

use super::{Choice, Privacy, Recommendation};
use crate::args::Purpose;
use crate::catalogue::StateWord;
use crate::commands::models::price_words;
use crate::printer::number;

// === impl Recommendation ===

impl Recommendation<'_> {
    /// The choice that is recommended.
    pub(super) fn chosen(&self) -> Option<&Choice<'_>> {
        let index = match self.advice {
            Advice::Stay => self.current?,
            Advice::Switch(index) | Advice::Use(index) => index,
            Advice::Nothing | Advice::Unknown => return None,
        };
        self.choices.get(index)
    }

    pub(super) fn in_use(&self) -> Option<&Choice<'_>> {
        self.current.and_then(|index| self.choices.get(index))
    }

    /// Why, in one sentence without its head.
    pub(super) fn why(&self) -> String {
        let others = match (self.purpose, self.privacy) {
            (None, Privacy::Open) => "variant",
            (None, _) => "variant in a TEE",
            (Some(_), _) => "model that fits",
        };
        match (self.advice, self.in_use(), self.chosen()) {
            (Advice::Stay, Some(current), _) => match current.candidate.standing.grade() {
                Grade::Steady => format!("it is {}", current.now()),
                Grade::Full => format!(
                    "it is full ({}), but no {others} is better at the moment; trying again helps more",
                    current.load()
                ),
                _ if current.candidate.standing.is_refusing() => {
                    format!("it is {}, and no {others} has more room", current.now())
                }
                _ if current.candidate.standing.busy_permille.is_none() => {
                    "it is hot; how busy it is is not known, and that alone is no reason to leave it".to_owned()
                }
                _ => format!("it is {}; little room is left, but it answers", current.now()),
            },
            (Advice::Switch(_), Some(current), Some(chosen)) => {
                let kind = match chosen.candidate.kinship {
                    Some(Kinship::Itself | Kinship::SameRelease) => "",
                    Some(Kinship::OtherRelease) => ", another release of it,",
                    None => ", another model,",
                };
                let (trouble, now) = (current.trouble(), chosen.now());
                format!("{} {trouble}; {}{kind} is {now}", current.entry.name, chosen.entry.name)
            }
            (Advice::Use(_), _, Some(chosen)) => {
                let full = chosen.candidate.standing.grade() == Grade::Full;
                let fitting = number::counted(self.ranked.len() as u64, "model", "models");
                if full {
                    format!(
                        "everything that fits is full; this has the most room: {}",
                        chosen.load()
                    )
                } else if self.ranked.len() == 1 {
                    format!("it is {}, and the only model that fits", chosen.now())
                } else {
                    format!("it is {}; first of {fitting} that fit", chosen.now())
                }
            }
            (Advice::Unknown, Some(current), _) => {
                format!("the state of {} could not be read", current.entry.name)
            }
            (Advice::Nothing, Some(current), _) if self.ranked.is_empty() => {
                format!("{} {}, and the catalogue has no {others}", current.entry.name, current.trouble())
            }
            (Advice::Nothing, Some(current), _) => format!(
                "{} {}, and no {others} answers at the moment",
                current.entry.name,
                current.trouble()
            ),
            (Advice::Nothing, None, _) if self.choices.is_empty() => {
                "no model of the catalogue is of the kind that is looked for".to_owned()
            }
            (Advice::Nothing, None, _) if self.ranked.is_empty() => {
                "no model of the catalogue has all that is asked for".to_owned()
            }
            (Advice::Nothing, None, _) => format!(
                "none of the {} that fit answers at the moment",
                number::counted(self.ranked.len() as u64, "model", "models")
            ),
            _ => "what state the models are in could not be read".to_owned(),
        }
    }

    /// The privacy rule, where it holds or was lifted.
    pub(super) fn privacy_words(&self) -> Option<String> {
        let only = "Only models in a TEE";
        match self.privacy {
            Privacy::Open => None,
            Privacy::Asked => Some(format!("{only}.")),
            Privacy::LikeCurrent => {
                Some(format!("{only}, since the one you use is in one; --allow-plain lifts that."))
            }
            Privacy::LikeWatched => Some(format!(
                "{only}, since all under `models.watch` are in one; --allow-plain lifts that."
            )),
        }
    }
}

// === impl Choice ===

impl Choice<'_> {
    /// `hot, 31 % busy, 0 % refused in the last 5 min`.
    pub(super) fn now(&self) -> String {
        let standing = &self.candidate.standing;
        let word = self.entry.state_word().word();
        match standing.grade() {
            Grade::Steady | Grade::Strained | Grade::Full => format!("{word}, {}", self.load()),
            _ => format!("{word}: {}", self.entry.why()),
        }
    }

    /// `31 % busy, 0 % refused in the last 5 min`.
    fn load(&self) -> String {
        let standing = &self.candidate.standing;
        let busy = standing.busy_permille.map(|busy| format!("{} % busy", busy / 10));
        let refused = standing
            .refused_permille
            .map(|refused| format!("{} % refused in the last 5 min", refused / 10));
        match (busy, refused) {
            (Some(busy), Some(refused)) => format!("{busy}, {refused}"),
            (Some(busy), None) => format!("{busy}, no calls in the last 5 min"),
            (None, Some(refused)) => refused,
            (None, None) => "how busy it is is not known".to_owned(),
        }
    }

    /// What is wrong with it, after its name; that it does not fit before all else.
    fn trouble(&self) -> String {
        let standing = &self.candidate.standing;
        if let Some(misfit) = &self.candidate.misfit {
            return match misfit {
                Misfit::Lacks(feature) => format!("lacks {feature}"),
                Misfit::TooDear(limit) if self.entry.price_out().is_some() => {
                    format!("costs more than ${} per million tokens", price_words(*limit))
                }
                Misfit::TooDear(_) => "has no known price".to_owned(),
                Misfit::NotConfidential if self.entry.tee() == Some(false) => {
                    "is not in a TEE".to_owned()
                }
                Misfit::NotConfidential => "is not known to be in a TEE".to_owned(),
                Misfit::NotPreferred => "is none of the favourites".to_owned(),
            };
        }
        match self.entry.state_word() {
            StateWord::Cold => "has no instance running".to_owned(),
            StateWord::Down => match self.entry.why() {
                why if why.starts_with("switched") => format!("is {why}"),
                why => format!("is down: {why}"),
            },
            StateWord::Unknown => "is in a state that could not be read".to_owned(),
            StateWord::Hot | StateWord::Busy => match standing.refused_permille {
                Some(refused) if standing.is_refusing() => {
                    format!("refused {} % of calls in the last 5 min", refused / 10)
                }
                _ => format!("is full ({})", self.load()),
            },
        }
    }

    /// What speaks for and against it, each in a few words.
    pub(super) fn reasons(&self, purpose: Option<Purpose>) -> Vec<String> {
        let standing = &self.candidate.standing;
        let mut reasons = vec![match standing.grade() {
            Grade::Steady => "it has room".to_owned(),
            Grade::Strained if standing.is_refusing() => "some calls are refused".to_owned(),
            Grade::Strained if standing.busy_permille.is_none() => {
                "its load is not known".to_owned()
            }
            Grade::Strained => "little room is left".to_owned(),
            Grade::Full => "it is full".to_owned(),
            Grade::Unknown => "its state is not known".to_owned(),
            Grade::Cold => "nothing runs it".to_owned(),
            Grade::Down => "it is switched off or gone".to_owned(),
        }];
        reasons.extend(self.candidate.kinship.map(|kinship| {
            match kinship {
                Kinship::Itself => "the model in use",
                Kinship::SameRelease => "the same release, run in another way",
                Kinship::OtherRelease => "another release of the same model",
            }
            .to_owned()
        }));
        reasons.extend(match (self.place, purpose) {
            (Some(place), Some(_)) => Some(format!("number {} of the favourites", place + 1)),
            (None, Some(_)) => Some("none of the favourites".to_owned()),
            (_, None) => None,
        });
        if standing.price.is_none() {
            reasons.push("its price is not known".to_owned());
        }
        if self.measured.is_none() {
            reasons.push("its speed is not known".to_owned());
        }
        reasons
    }

    /// Why it is left out, after its name.
    pub(super) fn left_out(&self) -> Option<String> {
        Some(match self.candidate.misfit.as_ref()? {
            Misfit::NotConfidential if self.entry.tee() == Some(false) => "not in a TEE".to_owned(),
            Misfit::NotConfidential => "not known to be in a TEE".to_owned(),
            Misfit::Lacks(feature) => format!("without {feature}"),
            Misfit::TooDear(limit) => match self.entry.price_out() {
                Some(_) => format!("above ${} per million tokens", price_words(*limit)),
                None => "price not known".to_owned(),
            },
            Misfit::NotPreferred => "none of the favourites".to_owned(),
        })
    }
}
