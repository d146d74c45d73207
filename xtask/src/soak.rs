//! What takes too long for the tests. Each part is a test that is ignored otherwise, prints its figures, and fails where
//! anything is not as it has to be.
//!
//! | part | what | where |
//! |---|---|---|
//! | `windows` | not a cent is paid in a thousand simulated windows of each kind | `crates/gateway/src/simulation` |
//! | `live` | the same in whole windows, over sockets | `crates/gateway/tests/it/zero_paid.rs` |
//! | `aborts` | 10,000 clients that leave at any moment leave nothing behind | `crates/gateway/tests/it/soak/aborts.rs` |
//! | `faults` | ten minutes of random faults: nobody is lied to, nobody waits past its deadline | `crates/gateway/tests/it/soak/storm.rs` |
//!
//! It is no part of CI. Nothing here waits without end: every part has a longest time of its own.

use crate::program::{cargo, run};
use crate::project::Project;
use crate::recipe::{Outcome, Recipe};

/// A part: its name, what it is called while it runs, the target of its test, and the test.
struct Part {
    name: &'static str,
    title: &'static str,
    target: &'static [&'static str],
    test: &'static str,
}

const PARTS: [Part; 4] = [
    Part {
        name: "windows",
        title: "simulated windows, a minute",
        target: &["--lib"],
        test: "simulation::",
    },
    Part {
        name: "live",
        title: "live windows, a quarter of an hour",
        target: &["--test", "it"],
        test: "zero_paid::",
    },
    Part {
        name: "aborts",
        title: "10,000 clients that leave, a few minutes",
        target: &["--test", "it"],
        test: "soak::aborts::",
    },
    Part {
        name: "faults",
        title: "random faults, ten minutes",
        target: &["--test", "it"],
        test: "soak::storm::",
    },
];

/// Runs the parts with these names, or all.
pub(crate) fn recipe(project: &Project, names: &[&str]) -> Outcome {
    if let Some(unknown) = names.iter().find(|name| PARTS.iter().all(|part| part.name != **name)) {
        let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
        return Err(format!("there is no part `{unknown}`; the parts are {}", known.join(", ")));
    }
    let mut recipe = Recipe::default();
    for part in PARTS.iter().filter(|part| names.is_empty() || names.contains(&part.name)) {
        recipe.step(part.title, || {
            let package = ["test", "--release", "--package", "ripcord-gateway"];
            let words = ["--", "--ignored", "--nocapture"];
            let arguments: Vec<&str> = package
                .iter()
                .chain(part.target)
                .chain(&[part.test])
                .chain(&words)
                .copied()
                .collect();
            run(&mut cargo(&project.root, &arguments))
        });
    }
    recipe.end()
}
