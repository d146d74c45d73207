//! How clients are set up: the one source of `ripcord config client` and of the pages in `docs/guide/`.
//!
//! In every text `{{base}}` stands for the base URL, `{{root}}` for the same without `/v1`, `{{key}}` for what to type as
//! API key, and `{{model}}` for a model.

mod agents;
mod chats;
mod libraries;
mod troubles;

use crate::settings::Settings;
use crate::settings::document::nearest;

/// The model in the recipes of a user who named none.
const MODEL: &str = "Qwen/Qwen3-32B-TEE";
/// Where Chutes serves models itself.
const CHUTES_ROOT: &str = "https://llm.chutes.ai";

/// One client.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// What one types, and the name of its page.
    pub(crate) name: &'static str,
    /// Other spellings.
    pub(crate) aliases: &'static [&'static str],
    /// What the client is called.
    pub(crate) title: &'static str,
    /// What it is, in half a sentence.
    pub(crate) what: &'static str,
    /// Whether it works with the gateway as it is.
    pub(crate) works: Works,
    /// What to do.
    pub(crate) steps: &'static [Step],
    /// What to do without the gateway.
    pub(crate) direct: Direct,
    /// What goes wrong with this client.
    pub(crate) troubles: &'static [Trouble],
    /// What goes wrong with clients of its kind.
    pub(crate) shared_troubles: &'static [&'static [Trouble]],
    /// Where this was tried, or where it comes from.
    pub(crate) tried: &'static str,
}

/// Whether a client works with the gateway as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Works {
    Yes,
    /// It runs as a web page, and a browser has its say.
    InBrowser,
    /// It speaks a protocol that the gateway does not serve yet.
    WithTranslator,
}

/// One thing to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// In words.
    Say(&'static str),
    /// Text to put somewhere.
    Write {
        /// Where it goes: a file, or what to do with it.
        place: &'static str,
        /// The language of the text, for Markdown.
        language: &'static str,
        text: &'static str,
    },
}

/// How the client is set up for Chutes itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direct {
    /// In the same way with the other values.
    Same,
    /// In a way of its own.
    Steps(&'static [Step]),
    /// Not at all, because of this.
    No(&'static str),
}

/// Something that goes wrong, and what to do about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trouble {
    pub(crate) seen: &'static str,
    pub(crate) fix: &'static str,
}

/// What the placeholders stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) root: String,
    pub(crate) key: String,
    pub(crate) model: String,
}

/// Every client, in the order of the list.
pub(crate) const RECIPES: [&Recipe; 12] = [
    &libraries::CURL,
    &libraries::OPENAI_PYTHON,
    &libraries::OPENAI_NODE,
    &libraries::LITELLM,
    &agents::OPENCODE,
    &agents::AIDER,
    &agents::CLAUDE_CODE,
    &agents::CODEX,
    &agents::KODUS,
    &chats::SILLYTAVERN,
    &chats::JANITOR_AI,
    &chats::TYPINGMIND,
];

// === impl Recipe ===

impl Recipe {
    /// The client of this name, or the name that was probably meant.
    pub(crate) fn find(name: &str) -> Result<&'static Self, Option<&'static str>> {
        let plain = |text: &str| text.to_lowercase().replace([' ', '-', '_', '.'], "");
        let wanted = plain(name);
        let is_called = |recipe: &&&'static Self| {
            plain(recipe.name) == wanted
                || recipe.aliases.iter().any(|alias| plain(alias) == wanted)
        };
        if let Some(recipe) = RECIPES.iter().find(is_called) {
            return Ok(recipe);
        }
        let known = RECIPES.iter().flat_map(|recipe| {
            std::iter::once((recipe.name, recipe.name))
                .chain(recipe.aliases.iter().map(|alias| (*alias, recipe.name)))
        });
        let known: Vec<(&str, &'static str)> = known.collect();
        let meant = nearest(name, known.iter().map(|(word, _)| *word));
        Err(meant
            .and_then(|word| known.iter().find(|(known, _)| *known == word).map(|(_, name)| *name)))
    }

    /// What to do, with or without the gateway.
    pub(crate) fn steps(&self, direct: bool) -> Result<&'static [Step], &'static str> {
        match self.direct {
            Direct::Steps(steps) if direct => Ok(steps),
            Direct::No(reason) if direct => Err(reason),
            _ => Ok(self.steps),
        }
    }

    /// What goes wrong, with or without the gateway.
    pub(crate) fn all_troubles(&self, direct: bool) -> Vec<Trouble> {
        if direct {
            return troubles::DIRECT.to_vec();
        }
        let shared = self.shared_troubles.iter().copied().flatten();
        self.troubles.iter().chain(shared).copied().collect()
    }
}

// === impl Values ===

impl Values {
    /// For the gateway as it is configured.
    pub(crate) fn of_gateway(settings: &Settings, model: Option<&str>) -> Self {
        let root = format!("http://{}", settings.gateway.listen.value);
        Self { root, key: "ripcord".to_owned(), model: chosen_model(settings, model) }
    }

    /// For Chutes itself. The key is for the user to fill in: none is ever printed.
    pub(crate) fn of_chutes(settings: &Settings, model: Option<&str>) -> Self {
        let model = chosen_model(settings, model);
        Self { root: CHUTES_ROOT.to_owned(), key: "cpk_…".to_owned(), model }
    }

    /// The gateway's address as a client wants it.
    pub(crate) fn base(&self) -> String {
        format!("{}/v1", self.root)
    }

    /// The text with the values in it.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("{{base}}", &self.base())
            .replace("{{root}}", &self.root)
            .replace("{{key}}", &self.key)
            .replace("{{model}}", &self.model)
    }
}

/// Quotes and the like would end the text in which a model's name stands.
fn chosen_model(settings: &Settings, asked: Option<&str>) -> String {
    let watched = settings.models.watch.value.first().map(String::as_str);
    let name = asked.or(watched).unwrap_or(MODEL);
    let name = name.strip_prefix("chutes/").unwrap_or(name);
    let fits =
        |character: &char| character.is_ascii_alphanumeric() || "-_./:,".contains(*character);
    name.chars().filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_found_by_every_spelling() {
        let name = |text: &str| Recipe::find(text).map(|recipe| recipe.name);
        assert_eq!(name("Claude Code"), Ok("claude-code"));
        assert_eq!(name("JanitorAI"), Ok("janitor-ai"));
        assert_eq!(name("python"), Ok("openai-python"));
        assert_eq!(name("opencod"), Err(Some("opencode")));
        assert_eq!(name("zzz"), Err(None));
        let mut names: Vec<&str> = RECIPES
            .iter()
            .flat_map(|recipe| std::iter::once(&recipe.name).chain(recipe.aliases))
            .copied()
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "two clients share a name");
    }

    #[test]
    fn every_placeholder_is_filled_and_no_address_is_written_out() {
        let values = Values { root: "http://r".into(), key: "k".into(), model: "m".into() };
        for recipe in RECIPES {
            for direct in [false, true] {
                for step in recipe.steps(direct).unwrap_or_default() {
                    let (Step::Say(text) | Step::Write { text, .. }) = step;
                    assert!(!values.fill(text).contains("{{"), "{}: {text}", recipe.name);
                    assert!(!text.contains("8790"), "{}: use {{{{base}}}}", recipe.name);
                }
            }
            for trouble in recipe.all_troubles(false) {
                assert!(!values.fill(trouble.fix).contains("{{"), "{}", recipe.name);
            }
            assert!(!recipe.tried.is_empty(), "{}", recipe.name);
        }
    }

    #[test]
    fn a_model_name_cannot_break_out_of_its_quotes() {
        let settings = Settings::load(
            &crate::args::GlobalArguments::default(),
            &std::collections::HashMap::new(),
        )
        .unwrap();
        let values = Values::of_gateway(&settings, Some("chutes/a/b\"; rm -rf ~ '\n"));
        assert_eq!(values.model, "a/brm-rf");
    }
}
