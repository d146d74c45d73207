//! Figures: what a short completion costs, and how soon the upstream hears that a client has left.
//!
//! They are no tests and no part of CI.

mod cancellation;
mod completions;
mod server;

use crate::program::{cargo, run};
use crate::project::Project;
use crate::recipe::{Outcome, Recipe};

const PARTS: [&str; 2] = ["completions", "cancellation"];

/// Measures the parts with these names, or all.
pub(crate) fn recipe(project: &Project, names: &[&str]) -> Outcome {
    if let Some(unknown) = names.iter().find(|name| !PARTS.contains(name)) {
        return Err(format!("there is no part `{unknown}`; the parts are {}", PARTS.join(", ")));
    }
    let wants = |part: &str| names.is_empty() || names.contains(&part);
    let mut recipe = Recipe::default();
    let ready = recipe.step("programs", || {
        if wants("completions") {
            completions::tools()?;
        }
        run(&mut cargo(&project.root, &["build", "--release", "--workspace", "--bins"]))
    });
    if ready.is_some() && wants("completions") {
        recipe.step("short completions", || completions::measure(project));
    }
    if ready.is_some() && wants("cancellation") {
        recipe.step("cancellation", || cancellation::measure(project));
    }
    recipe.end()
}
