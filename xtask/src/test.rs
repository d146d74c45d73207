//! The tests, and what they need.

use crate::program::{cargo, run};
use crate::project::Project;
use crate::recipe::{Outcome, Recipe};
use crate::{sdk, tools};

pub(crate) fn recipe(project: &Project) -> Outcome {
    let mut recipe = Recipe::default();
    let mut installed = None;
    recipe.step("tools", || {
        installed = Some(tools::install(&project.root)?);
        Ok(())
    });
    recipe.step("Rust tests", || run(&mut cargo(&project.root, &["test", "--workspace"])));
    if let Some(tools) = installed {
        // With `--tests` these are the very binaries that the tests were built with; alone they would be built anew.
        recipe
            .step("binaries", || {
                run(&mut cargo(&project.root, &["build", "--workspace", "--bins", "--tests"]))
            })
            .step("Python SDK", || sdk::python(project, &tools))
            .step("Node SDK", || sdk::node(project, &tools));
    }
    recipe.end()
}
