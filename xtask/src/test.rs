//! The tests, and what they need.

use crate::program::{cargo, run};
use crate::project::Project;
use crate::recipe::{Outcome, Recipe};
use crate::{sdk, tools};

pub(crate) fn recipe(project: &Project) -> Outcome {
    let mut recipe = Recipe::default();
    let Some(tools) = recipe.step("tools", || tools::install(&project.root)) else {
        return recipe.end();
    };
    recipe.step("Rust tests", || {
        run(&mut cargo(&project.root, &["test", "--workspace", "--no-fail-fast"]))
    });
    // With `--tests` these are the very binaries that the tests were built with; alone they would be built anew.
    let binaries = recipe.step("binaries", || {
        run(&mut cargo(&project.root, &["build", "--workspace", "--bins", "--tests"]))
    });
    if binaries.is_some() {
        recipe.step("Python SDK", || sdk::python(project, &tools));
        recipe.step("Node SDK", || sdk::node(project, &tools));
    }
    recipe.end()
}
