//! Which models may be recommended at all.

use crate::units::NanoUsd;

/// A part of a model's name that people look for: any case, anywhere in the name; `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// What a recommended model has to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// It runs in a trusted execution environment, and a list says so.
    pub tee: bool,
    /// Words of its feature list.
    pub features: Vec<String>,
    /// The most its output may cost per million tokens.
    pub max_price_out: Option<NanoUsd>,
    /// Favourites, best first.
    pub prefer: Vec<Pattern>,
    /// Whether models that are nobody's favourite may be recommended, too.
    pub others: bool,
}

/// What a model offers; `None` where no list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it runs in a trusted execution environment.
    pub tee: Option<bool>,
    /// Its features.
    pub features: Option<&'a [String]>,
    /// What its output costs per million tokens.
    pub price_out: Option<NanoUsd>,
}

/// Why a model is not recommended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It does not run in a trusted execution environment, or nobody says that it does.
    NotConfidential,
    /// It lacks this feature, or its features are not known.
    Lacks(String),
    /// Its output costs more than this, or its price is not known.
    TooDear(NanoUsd),
    /// It is nobody's favourite for the purpose.
    NotPreferred,
}

// === impl Pattern ===

impl Pattern {
    /// A pattern as it was written.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_lowercase())
    }

    /// Whether the name has it.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let mut rest = name.as_str();
        // The pattern may begin and end anywhere, so taking each piece at its first place is enough.
        for piece in self.0.split('*') {
            let Some(at) = rest.find(piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        true
    }
}

// === impl Needs ===

impl Needs {
    /// Whether a model may be recommended.
    ///
    /// # Errors
    /// The first need that it does not meet. What is not known does not meet a need. A model that nobody looks for is
    /// told so before anything else, so that every other misfit concerns a model that was looked for.
    pub fn admit(&self, offer: &Offer<'_>) -> Result<(), Misfit> {
        if !self.others && self.place(offer.name).is_none() {
            return Err(Misfit::NotPreferred);
        }
        if self.tee && offer.tee != Some(true) {
            return Err(Misfit::NotConfidential);
        }
        for feature in &self.features {
            let has = offer.features.is_some_and(|features| {
                features.iter().any(|known| known.eq_ignore_ascii_case(feature))
            });
            if !has {
                return Err(Misfit::Lacks(feature.clone()));
            }
        }
        if let Some(limit) = self.max_price_out
            && offer.price_out.is_none_or(|price| price > limit)
        {
            return Err(Misfit::TooDear(limit));
        }
        Ok(())
    }

    /// The place of the first favourite that the name matches, from 0.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.prefer.iter().position(|pattern| pattern.matches(name))
    }

    /// How much of a favourite it is: 1000 for the first of the list, less for each after it, 0 for none.
    #[must_use]
    pub fn preference_permille(&self, name: &str) -> u64 {
        let length = u64::try_from(self.prefer.len()).unwrap_or(u64::MAX);
        let place = self.place(name).and_then(|place| u64::try_from(place).ok());
        place.map_or(0, |place| 1_000 * length.saturating_sub(place) / length.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_anywhere_in_any_case() {
        let matches = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        assert!(matches("glm-5", "zai-org/GLM-5.2-TEE"));
        assert!(matches("Qwen3-Coder*480B", "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8-TEE"));
        assert!(matches("moonshotai/*TEE", "moonshotai/Kimi-K2.5-TEE"));
        assert!(!matches("480B*Coder", "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8-TEE"));
        assert!(!matches("glm-6", "zai-org/GLM-5.2-TEE"));
        assert!(!matches("aa*aa", "aaa"), "no character counts twice");
        assert!(matches("*", "anything"));
    }

    #[test]
    fn needs_are_met_only_by_what_is_known() {
        let offer = Offer {
            name: "a/model",
            tee: Some(true),
            features: Some(&[]),
            price_out: Some(NanoUsd::from_cents(50)),
        };
        let open = Needs { others: true, ..Needs::default() };
        assert_eq!(open.admit(&offer), Ok(()));
        let private = Needs { tee: true, ..open.clone() };
        assert_eq!(private.admit(&offer), Ok(()));
        for tee in [Some(false), None] {
            assert_eq!(
                private.admit(&Offer { tee, ..offer.clone() }),
                Err(Misfit::NotConfidential)
            );
        }
        let tools = Needs { features: vec!["tools".to_owned()], ..open.clone() };
        for features in [Some(&[][..]), None] {
            assert_eq!(
                tools.admit(&Offer { features, ..offer.clone() }),
                Err(Misfit::Lacks("tools".to_owned()))
            );
        }
        let cheap = NanoUsd::from_cents(49);
        let budget = Needs { max_price_out: Some(cheap), ..open.clone() };
        for price_out in [Some(NanoUsd::from_cents(50)), None] {
            assert_eq!(
                budget.admit(&Offer { price_out, ..offer.clone() }),
                Err(Misfit::TooDear(cheap))
            );
        }
        let listed = Needs { others: false, ..open };
        assert_eq!(listed.admit(&offer), Err(Misfit::NotPreferred));
    }

    #[test]
    fn favourites_count_by_their_place() {
        let needs = Needs {
            prefer: ["GLM-5", "DeepSeek", "Kimi"].map(Pattern::new).to_vec(),
            ..Needs::default()
        };
        let permille = |name| needs.preference_permille(name);
        assert_eq!(permille("zai-org/GLM-5-TEE"), 1_000);
        assert_eq!(permille("deepseek-ai/DeepSeek-R1"), 666);
        assert_eq!(permille("moonshotai/Kimi-K2.5"), 333);
        assert_eq!(permille("a/b"), 0);
        assert_eq!(Needs::default().preference_permille("a/b"), 0);
    }
}
