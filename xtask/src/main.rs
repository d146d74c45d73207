//! The project's recipes, started as `cargo xtask RECIPE`.
//!
//! | recipe | does |
//! |---|---|
//! | `test` | installs what the tests need, then runs the Rust tests and the official SDKs through the gateway |
//! | `check` | format, lints, docs, arrows, licences |
//! | `check-deps` | arrows and licences alone |
//! | `soak [PART…]` | what takes minutes: `windows` and `live` (not a cent is paid), `aborts` (clients that leave), `faults` |
//! | `bench [PART…]` | `completions`: what a short one costs, alone and through the gateway; `cancellation`: how soon the upstream hears that a client has left |
//!
//! A recipe goes on after a failed step as far as it can, and ends with a table of all steps.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a recipe talks to a terminal")]

mod arrows;
mod bench;
mod check;
mod clock;
mod licences;
mod program;
mod project;
mod recipe;
mod sdk;
mod soak;
mod test;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask RECIPE

  test         install what the tests need, run the Rust tests, run the official SDKs through the gateway
  check        format, lints, docs, arrows, licences
  check-deps   arrows and licences alone
  soak [PART…] what takes minutes (all of it 40): windows and live (not a cent is paid, simulated and live), aborts (10,000
               clients that leave), faults (ten minutes of them)
  bench [PART…] completions (what a short one costs, alone and through the gateway; needs wrk), cancellation (how soon the
               upstream hears that a client has left)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let recipe: &dyn Fn(&project::Project) -> recipe::Outcome = match words[..] {
        ["test"] => &test::recipe,
        ["check"] => &check::recipe,
        ["bench", ref parts @ ..] => &|project| bench::recipe(project, parts),
        ["soak", ref parts @ ..] => &|project| soak::recipe(project, parts),
        ["check-deps"] => &check::dependencies_recipe,
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match project::Project::read().and_then(|project| recipe(&project)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
