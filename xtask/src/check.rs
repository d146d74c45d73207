//! Everything that is checked without running the program.

use crate::program::{cargo, run};
use crate::project::Project;
use crate::recipe::{Outcome, Recipe};
use crate::{arrows, licences};

pub(crate) fn recipe(project: &Project) -> Outcome {
    let cargo = |arguments: &[&str]| run(&mut cargo(&project.root, arguments));
    let mut recipe = Recipe::default();
    dependencies(&mut recipe, project);
    recipe.step("format", || cargo(&["fmt", "--all", "--check"]));
    recipe.step("lints", || {
        cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])
    });
    recipe.step("docs", || docs(project));
    recipe.end()
}

pub(crate) fn dependencies_recipe(project: &Project) -> Outcome {
    let mut recipe = Recipe::default();
    dependencies(&mut recipe, project);
    recipe.end()
}

fn dependencies(recipe: &mut Recipe, project: &Project) {
    recipe.step("arrows", || arrows::check(project));
    recipe.step("licences", || licences::check(project));
}

fn docs(project: &Project) -> Outcome {
    run(cargo(&project.root, &["doc", "--workspace", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "--deny warnings"))
}
