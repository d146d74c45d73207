//! The pages of clients in `docs/guide/`, from the same recipes as `ripcord config client`.

use std::fmt::Write as _;

use crate::args::GlobalArguments;
use crate::recipes::{RECIPES, Recipe, Step, Values};
use crate::settings::{MissingFile, Settings};

const GENERATED: &str = "<!-- Written by `ripcord reference guide docs/guide`; edit crates/cli/src/recipes instead. -->\n";

/// Every page with its file name, for a user who has changed nothing.
pub(super) fn pages() -> Vec<(String, String)> {
    let (settings, _) = Settings::read(
        &GlobalArguments::default(),
        &std::collections::HashMap::<String, String>::new(),
        MissingFile::IsFine,
    );
    RECIPES.iter().map(|recipe| (format!("{}.md", recipe.name), page(recipe, &settings))).collect()
}

fn page(recipe: &Recipe, settings: &Settings) -> String {
    let values = Values::of_gateway(settings, None);
    let Recipe { name, title, what, works, tried, .. } = recipe;
    let mut page = format!("# {title}\n\n{GENERATED}\n{}", capital(what));
    if let Some(caution) = works.caution() {
        let _ = write!(page, " ({caution})");
    }
    let _ = write!(
        page,
        ".\n\n| | |\n|---|---|\n| base URL | `{}` |\n| API key | `{}`, or any other text |\n| model | `{}`, or what `ripcord models` lists |\n\n\
         First, and as long as it is used: `ripcord serve`. `ripcord config client {name}` prints this page with the address and the \
         models of your own configuration.\n\n## What to do\n",
        values.base(),
        values.key,
        values.model
    );
    steps(&mut page, recipe.steps, &values);
    page.push_str("\n## What goes wrong\n\n| you see | what to do |\n|---|---|\n");
    for trouble in recipe.all_troubles(false) {
        let _ = writeln!(page, "| {} | {} |", cell(trouble.seen), cell(&values.fill(trouble.fix)));
    }
    page.push_str("\n## Without the gateway\n");
    match recipe.steps(true) {
        Err(reason) => {
            let _ = write!(page, "\n{}.\n", capital(reason));
        }
        Ok(direct) => {
            let values = Values::of_chutes(settings, None);
            let _ = write!(
                page,
                "\nChutes itself: base URL `{}`, and your own key. Nothing waits, tries again or guards the balance then.\n",
                values.base()
            );
            if std::ptr::eq(direct, recipe.steps) {
                let _ = writeln!(
                    page,
                    "The settings are the same with these values: `ripcord config client {name} --direct`."
                );
            } else {
                steps(&mut page, direct, &values);
            }
            page.push_str("\n| you see | what to do |\n|---|---|\n");
            for trouble in recipe.all_troubles(true) {
                let _ = writeln!(
                    page,
                    "| {} | {} |",
                    cell(trouble.seen),
                    cell(&values.fill(trouble.fix))
                );
            }
        }
    }
    let _ = write!(page, "\n{tried}\n");
    page
}

fn steps(page: &mut String, steps: &[Step], values: &Values) {
    for step in steps {
        let _ = match step {
            Step::Say(text) => write!(page, "\n{}\n", values.fill(text)),
            Step::Write { place, language, text } => {
                write!(page, "\n{}:\n\n```{language}\n{}\n```\n", capital(place), values.fill(text))
            }
        };
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    // A file's name keeps its letters.
    let keeps = text.split(' ').next().is_some_and(|word| word.contains(['.', '_', '~', '/']));
    match first {
        Some(first) if !keeps => first + characters.as_str(),
        _ => text.to_owned(),
    }
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
