//! What `ripcord models` was asked for, in the words of the catalogue. People say `json`, `vision` or `thinking`; what
//! nobody knows is an error that lists the known words, since an empty table would look like an answer.

use ripcord_rules::units::NanoUsd;

use crate::args::ModelsArguments;
use crate::catalogue::Entry;
use crate::error::CommandError;
use crate::settings::document::{nearest, read};

/// What people say, and the word of the catalogue.
const FEATURES: &[(&str, &str)] = &[
    ("tools", "tools"),
    ("tool", "tools"),
    ("tool_calls", "tools"),
    ("tool_calling", "tools"),
    ("tool_use", "tools"),
    ("functions", "tools"),
    ("function_calling", "tools"),
    ("reasoning", "reasoning"),
    ("reason", "reasoning"),
    ("thinking", "reasoning"),
    ("think", "reasoning"),
    ("json_mode", "json_mode"),
    ("json", "json_mode"),
    ("json_object", "json_mode"),
    ("structured_outputs", "structured_outputs"),
    ("structured_output", "structured_outputs"),
    ("structured", "structured_outputs"),
    ("schema", "structured_outputs"),
    ("json_schema", "structured_outputs"),
];
const MODALITIES: &[(&str, &str)] = &[
    ("text", "text"),
    ("image", "image"),
    ("images", "image"),
    ("vision", "image"),
    ("picture", "image"),
    ("pictures", "image"),
    ("video", "video"),
    ("videos", "video"),
];
const OWNERS: &[(&str, &str)] =
    &[("sglang", "sglang"), ("vllm", "vllm"), ("chutes", "chutes"), ("external", "chutes")];

/// What a model must be to be shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    query: Option<String>,
    owner: Option<String>,
    modalities: Vec<String>,
    features: Vec<String>,
    tee: bool,
    max_price: Option<NanoUsd>,
}

/// The catalogue's word for a feature.
pub(crate) fn feature_word(said: &str) -> String {
    canonical(said, FEATURES)
}

fn canonical(said: &str, words: &[(&str, &str)]) -> String {
    let said = said.trim().to_lowercase().replace(['-', ' '], "_");
    let known = words.iter().find(|(word, _)| *word == said);
    known.map_or(said, |(_, word)| (*word).to_owned())
}

// === impl Filter ===

impl Filter {
    /// Reads the arguments. Words that the catalogue itself uses are known, too.
    pub(super) fn read(
        arguments: &ModelsArguments,
        entries: &[&Entry],
    ) -> Result<Self, CommandError> {
        let models = || entries.iter().filter_map(|entry| entry.model.as_ref());
        let owners: Vec<&str> = models().filter_map(|model| model.owned_by.as_deref()).collect();
        let lists = |list: fn(&ripcord_wire::models::Model) -> Option<&Vec<String>>| -> Vec<&str> {
            models().filter_map(list).flatten().map(String::as_str).collect()
        };
        let modalities = lists(|model| model.input_modalities.as_ref());
        let features = lists(|model| model.supported_features.as_ref());
        let mut filter = Self {
            query: arguments.query.as_ref().map(|query| query.trim().to_lowercase()),
            tee: arguments.tee,
            max_price: arguments.max_price.as_deref().map(price).transpose()?,
            ..Self::default()
        };
        if let Some(said) = &arguments.owner {
            filter.owner = Some(known("--owner", said, OWNERS, &owners)?);
        }
        for said in split(arguments.modality.iter()) {
            filter.modalities.push(known("--modality", said, MODALITIES, &modalities)?);
        }
        for said in split(arguments.feature.iter()) {
            // Seeing is a kind of input to the catalogue, and a feature to people.
            let as_modality = canonical(said, MODALITIES);
            if MODALITIES.iter().any(|(_, word)| *word == as_modality) {
                filter.modalities.push(as_modality);
            } else {
                filter.features.push(known("--feature", said, FEATURES, &features)?);
            }
        }
        Ok(filter)
    }

    /// Whether the model is shown.
    pub(super) fn passes(&self, entry: &Entry) -> bool {
        let model = entry.model.as_ref();
        let query =
            self.query.as_ref().is_none_or(|query| entry.name.to_lowercase().contains(query));
        let owner = self.owner.as_ref().is_none_or(|wanted| {
            model
                .and_then(|model| model.owned_by.as_deref())
                .is_some_and(|owner| owner.eq_ignore_ascii_case(wanted))
        });
        let modalities = self.modalities.iter().all(|wanted| {
            match model.and_then(|model| model.input_modalities.as_ref()) {
                Some(kinds) => kinds.iter().any(|kind| kind.eq_ignore_ascii_case(wanted)),
                // Most models that say nothing take text.
                None => wanted == "text",
            }
        });
        let features =
            self.features.iter().all(|wanted| model.is_some_and(|model| model.has_feature(wanted)));
        let tee = !self.tee || entry.tee() == Some(true);
        // An unknown price may be any price, so it does not pass a limit.
        let price = self
            .max_price
            .is_none_or(|limit| entry.price_out().is_some_and(|price| price <= limit));
        query && owner && modalities && features && tee && price
    }
}

fn price(text: &str) -> Result<NanoUsd, CommandError> {
    read::usd_text(text).map_err(|_| {
        CommandError::usage(format!("`{text}` is not an amount of US dollars"))
            .hint("write --max-price 0.50: dollars per million output tokens")
    })
}

fn split<'a>(lists: impl Iterator<Item = &'a String>) -> impl Iterator<Item = &'a str> {
    // A comma too many does no harm; nothing at all is no word.
    lists.flat_map(|list| list.trim().trim_end_matches(',').split(',')).map(str::trim)
}

/// The catalogue's word for what was said.
fn known(
    flag: &str,
    said: &str,
    words: &[(&str, &str)],
    of_catalogue: &[&str],
) -> Result<String, CommandError> {
    let word = canonical(said, words);
    let mut every: Vec<&str> = words.iter().map(|(_, word)| *word).collect();
    every.extend(of_catalogue);
    every.sort_unstable();
    every.dedup();
    if every.iter().any(|known| known.eq_ignore_ascii_case(&word)) {
        return Ok(word);
    }
    let error = CommandError::usage(format!("{flag} `{said}` is not known"));
    let meant = words.iter().map(|(said, _)| *said).chain(of_catalogue.iter().copied());
    let error = match nearest(&word, meant) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    };
    Err(error.hint(format!("known are: {}", every.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(feature: &[&str], modality: Option<&str>) -> Result<Filter, CommandError> {
        let arguments = ModelsArguments {
            feature: feature.iter().map(|word| (*word).to_owned()).collect(),
            modality: modality.map(str::to_owned),
            ..ModelsArguments::default()
        };
        Filter::read(&arguments, &[])
    }

    #[test]
    fn people_say_it_their_way() {
        let filter = read(&["JSON, tool-calls", "schema,thinking"], Some("Vision")).unwrap();
        assert_eq!(filter.features, ["json_mode", "tools", "structured_outputs", "reasoning"]);
        assert_eq!(filter.modalities, ["image"]);
        assert_eq!(read(&["vision"], None).unwrap().modalities, ["image"]);
    }

    #[test]
    fn what_nobody_knows_is_told_with_what_is_known() {
        let error = read(&["tols"], None).unwrap_err();
        assert_eq!(error.message, "--feature `tols` is not known");
        assert_eq!(
            error.hints,
            ["did you mean `tools`?", "known are: json_mode, reasoning, structured_outputs, tools"]
        );
        assert_eq!(read(&[], Some("smell")).unwrap_err().hints.len(), 1);
    }

    #[test]
    fn prices_are_amounts_of_money() {
        assert_eq!(price("$0.50").unwrap(), NanoUsd::from_cents(50));
        assert!(price("-1").is_err() && price("cheap").is_err());
    }
}
