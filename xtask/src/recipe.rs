//! Steps with a name, a time and an outcome.

use std::time::Duration;

use crate::clock::Stopwatch;

/// What went wrong, as a sentence for whoever runs the recipe.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// A recipe under way.
#[derive(Default)]
pub(crate) struct Recipe {
    done: Vec<(&'static str, Outcome, Duration)>,
}

impl Recipe {
    /// Runs a step at once and remembers how it ended.
    pub(crate) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Outcome) -> &mut Self {
        println!("\n=== {name}");
        let stopwatch = Stopwatch::start();
        let outcome = work();
        let time = stopwatch.read();
        match &outcome {
            Ok(()) => println!("=== {name}: ok in {:.1} s", time.as_secs_f64()),
            Err(failure) => eprintln!("=== {name}: FAILED: {failure}"),
        }
        self.done.push((name, outcome, time));
        self
    }

    /// Prints the table. Fails if any step failed.
    pub(crate) fn end(&self) -> Outcome {
        println!();
        for (name, outcome, time) in &self.done {
            let word = if outcome.is_ok() { "ok" } else { "FAILED" };
            println!("{word:>8}  {:>7.1} s  {name}", time.as_secs_f64());
        }
        let failed: Vec<&str> = self
            .done
            .iter()
            .filter(|(_, outcome, _)| outcome.is_err())
            .map(|step| step.0)
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        Err(format!("{} of {} steps failed: {}", failed.len(), self.done.len(), failed.join(", ")))
    }
}
