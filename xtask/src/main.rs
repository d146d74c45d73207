//! The project's recipes, started as `cargo xtask RECIPE`.
//!
//! | recipe | does |
//! |---|---|
//! | `test` | installs what the tests need, then runs the Rust tests and the official SDKs through the gateway |
//! | `check` | format, lints, docs, arrows, licences |
//! | `check-deps` | arrows and licences alone |
//! | `soak` | not a cent is paid: a thousand simulated windows of each kind, and whole windows live |
//! | `bench` | what a short completion costs, alone and through the gateway |
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
  soak         not a cent is paid: a thousand simulated windows of each kind, and whole windows live (20 minutes)
  bench        what a short completion costs, alone and through the gateway (needs wrk)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let recipe = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => test::recipe,
        ["check"] => check::recipe,
        ["bench"] => bench::recipe,
        ["soak"] => soak::recipe,
        ["check-deps"] => check::dependencies_recipe,
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
