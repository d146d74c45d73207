//! `ripcord config client`: ready settings for a client.

use schemars::JsonSchema;
use serde::Serialize;

use crate::args::ClientArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::Page;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::recipes::{RECIPES, Recipe, Step, Values, Works};

/// What `ripcord config client NAME --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConfigClientReport {
    #[schemars(extend("const" = "ripcord/config-client/1"))]
    schema: &'static str,
    /// Every client, without a name; else empty.
    clients: Vec<ClientReport>,
    /// The client that was asked for; null without a name.
    client: Option<ClientReport>,
    /// Its settings; null without a name.
    recipe: Option<RecipeReport>,
}

/// A client.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct ClientReport {
    /// What to type for it.
    name: &'static str,
    /// What it is called.
    title: &'static str,
    /// What it is.
    what: &'static str,
    /// `yes`; `in_browser`, where the browser has its say; `with_translator`, where it speaks a protocol that the gateway
    /// does not serve yet.
    works: &'static str,
}

/// How it is set up.
#[derive(Debug, Serialize, JsonSchema)]
struct RecipeReport {
    /// Whether this is for Chutes itself, without the gateway.
    direct: bool,
    /// The base URL.
    base_url: String,
    /// What to type as API key. For Chutes itself a placeholder: no key is ever printed.
    api_key: String,
    /// The model in the settings.
    model: String,
    /// What to do, in order.
    steps: Vec<StepReport>,
    /// What goes wrong.
    troubles: Vec<TroubleReport>,
    /// Where this was tried, or where it comes from.
    tried: String,
}

/// One thing to do: in words, or text to put somewhere.
#[derive(Debug, Serialize, JsonSchema)]
struct StepReport {
    /// What to do, in words; null where there is text to put somewhere.
    say: Option<String>,
    /// Where the text goes.
    place: Option<&'static str>,
    /// The language of the text.
    language: Option<&'static str>,
    /// The text, ready to paste.
    text: Option<String>,
}

/// Something that goes wrong.
#[derive(Debug, Serialize, JsonSchema)]
struct TroubleReport {
    /// What one sees.
    seen: String,
    /// What to do about it.
    fix: String,
}

// === impl Works ===

impl Works {
    const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::InBrowser => "in_browser",
            Self::WithTranslator => "with_translator",
        }
    }

    /// What has to be known before one begins.
    pub(crate) const fn caution(self) -> Option<&'static str> {
        match self {
            Self::Yes => None,
            Self::InBrowser => Some("in a browser, which has its say"),
            Self::WithTranslator => Some("needs a translator"),
        }
    }
}

// === impl ClientReport ===

impl From<&Recipe> for ClientReport {
    fn from(recipe: &Recipe) -> Self {
        let Recipe { name, title, what, works, .. } = recipe;
        Self { name, title, what, works: works.word() }
    }
}

// === impl StepReport ===

impl StepReport {
    fn new(step: &Step, values: &Values) -> Self {
        match *step {
            Step::Say(text) => {
                Self { say: Some(values.fill(text)), place: None, language: None, text: None }
            }
            Step::Write { place, language, text } => Self {
                say: None,
                place: Some(place),
                language: Some(language),
                text: Some(values.fill(text)),
            },
        }
    }
}

/// Shows the list, or how one client is set up. Nothing is asked of Chutes.
pub(crate) fn run(arguments: &ClientArguments, context: &Context) -> Result<Exit, CommandError> {
    let blank = ConfigClientReport {
        schema: "ripcord/config-client/1",
        clients: Vec::new(),
        client: None,
        recipe: None,
    };
    let Some(name) = &arguments.name else {
        let clients = RECIPES.iter().map(|recipe| ClientReport::from(*recipe)).collect();
        let report = ConfigClientReport { clients, ..blank };
        context.printer.answer(&report, || list(&report.clients))?;
        return Ok(Exit::Done);
    };
    let recipe = Recipe::find(name).map_err(|near| {
        let error = CommandError::usage(format!("there is no recipe for `{name}`"));
        match near {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`ripcord config client` lists them; any client that speaks the OpenAI API works with the base URL of `openai-python`"),
        }
    })?;
    let (settings, model) = (&context.settings, arguments.model.as_deref());
    let values = if arguments.direct {
        Values::of_chutes(settings, model)
    } else {
        Values::of_gateway(settings, model)
    };
    let steps = recipe.steps(arguments.direct).map_err(CommandError::usage)?;
    let troubles = recipe.all_troubles(arguments.direct);
    let details = RecipeReport {
        direct: arguments.direct,
        base_url: values.base(),
        api_key: values.key.clone(),
        model: values.model.clone(),
        steps: steps.iter().map(|step| StepReport::new(step, &values)).collect(),
        troubles: troubles
            .iter()
            .map(|trouble| TroubleReport {
                seen: trouble.seen.to_owned(),
                fix: values.fill(trouble.fix),
            })
            .collect(),
        tried: recipe.tried.to_owned(),
    };
    let report = ConfigClientReport { client: Some(recipe.into()), recipe: Some(details), ..blank };
    context.printer.answer(&report, || {
        report.recipe.as_ref().map_or_else(Page::new, |details| page(recipe, details))
    })?;
    Ok(Exit::Done)
}

fn list(clients: &[ClientReport]) -> Page {
    let mut page = Page::new();
    let widest = clients.iter().map(|client| client.name.chars().count()).max().unwrap_or(0);
    for client in clients {
        let caution = match client.works {
            "in_browser" => Works::InBrowser.caution(),
            "with_translator" => Works::WithTranslator.caution(),
            _ => None,
        };
        let name = Text::toned(Tone::Strong, client.name).padded_right(widest + 2);
        let mut line = name.plain(client.what);
        if let Some(caution) = caution {
            line = line.dim(format!(" ({caution})"));
        }
        page.fitting(2, widest + 2, line);
    }
    page.gap().fitting(
        0,
        2,
        Text::new()
            .dim("Next: ")
            .then(Tone::Strong, "ripcord config client NAME")
            .dim("  its settings, ready to paste"),
    );
    page
}

fn page(recipe: &Recipe, details: &RecipeReport) -> Page {
    let mut page = Page::new();
    page.paragraph(0, Text::toned(Tone::Strong, recipe.title).dim(format!(", {}", recipe.what)));
    let mut table = Table::new(2, vec![Column::left(""), Column::left(""), Column::left("")]);
    let mut value = |name: &'static str, value: &str, note: &'static str| {
        table.row(vec![
            Text::new().dim(name),
            Text::toned(Tone::Strong, value),
            Text::new().dim(note),
        ]);
    };
    value("base URL", &details.base_url, if details.direct { "Chutes itself" } else { "" });
    let key = if details.direct { "your own key" } else { "any text will do" };
    value("API key", &details.api_key, key);
    value("model", &details.model, "");
    page.gap().table(table);
    if !details.direct {
        page.gap().paragraph(
            2,
            Text::new()
                .plain("First, and as long as it is used: ")
                .then(Tone::Strong, "ripcord serve"),
        );
    }
    for step in &details.steps {
        page.gap();
        if let Some(say) = &step.say {
            page.paragraph(2, Text::new().plain(say.as_str()));
        }
        if let (Some(place), Some(text)) = (step.place, &step.text) {
            page.paragraph(2, Text::toned(Tone::Accent, format!("{place}:")));
            page.gap();
            // As it is to be pasted: never wrapped, never cut.
            for line in text.lines() {
                page.line(Text::new().plain(format!("    {line}")));
            }
        }
    }
    page.gap().line(Text::toned(Tone::Strong, "What goes wrong"));
    for trouble in &details.troubles {
        page.paragraph_under(2, 2, Text::new().plain(trouble.seen.as_str()));
        page.paragraph_under(
            4,
            2,
            Text::new().then(Tone::Accent, "→").plain(format!(" {}", trouble.fix)),
        );
    }
    page.gap().paragraph(0, Text::new().dim(details.tried.as_str()));
    page
}
