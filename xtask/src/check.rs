//! Everything that is checked without running the program.

use crate::program::{cargo, run};
use crate::project::Project;
use crate::recipe::{Outcome, Recipe};
use crate::{arrows, licences};

pub(crate) fn recipe(project: &Project) -> Outcome {
    let cargo = |arguments: &[&str]| run(&mut cargo(&project.root, arguments));
    Recipe::default()
        .step("arrows", || arrows::check(project))
        .step("licences", || licences::check(project))
        .step("format", || cargo(&["fmt", "--all", "--check"]))
        .step("lints", || {
            cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])
        })
        .step("docs", || docs(project))
        .end()
}

pub(crate) fn dependencies_recipe(project: &Project) -> Outcome {
    Recipe::default()
        .step("arrows", || arrows::check(project))
        .step("licences", || licences::check(project))
        .end()
}

fn docs(project: &Project) -> Outcome {
    run(cargo(&project.root, &["doc", "--workspace", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "--deny warnings"))
}
