//! What takes too long for the tests: a thousand simulated windows of each kind, and whole windows ridden over live.
//!
//! Each test prints its figures; see `crates/gateway/src/simulation` and `crates/gateway/tests/it/riding.rs`. It is no
//! part of CI. Nothing here waits without end: the rides have a longest time of their own.

use crate::program::{cargo, run};
use crate::project::Project;
use crate::recipe::{Outcome, Recipe};

pub(crate) fn recipe(project: &Project) -> Outcome {
    let ignored = |target: &[&str], name: &str| {
        let package = ["test", "--release", "--package", "ripcord-gateway"];
        let words = ["--", "--ignored", "--nocapture"];
        let arguments: Vec<&str> =
            package.iter().chain(target).chain(&[name]).chain(&words).copied().collect();
        run(&mut cargo(&project.root, &arguments))
    };
    let mut recipe = Recipe::default();
    recipe.step("simulated windows, a minute", || ignored(&["--lib"], "simulation::"));
    recipe.step("live windows, a quarter of an hour", || ignored(&["--test", "it"], "zero_paid::"));
    recipe.end()
}
