//! Steps with a name, a time and an outcome.

use std::time::Duration;

use crate::clock::Stopwatch;

/// What went wrong, as a sentence for whoever runs the recipe.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// A recipe under way.
#[derive(Default)]
pub(crate) struct Recipe {
    done: Vec<(&'static str, bool, Duration)>,
}

impl Recipe {
    /// Runs a step at once and remembers how it ended. Returns what other steps need from it, unless it failed.
    pub(crate) fn step<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Outcome<T>,
    ) -> Option<T> {
        println!("\n=== {name}");
        let stopwatch = Stopwatch::start();
        let outcome = work();
        let time = stopwatch.read();
        match &outcome {
            Ok(_) => println!("=== {name}: ok in {:.1} s", time.as_secs_f64()),
            Err(failure) => eprintln!("=== {name}: FAILED: {failure}"),
        }
        self.done.push((name, outcome.is_ok(), time));
        outcome.ok()
    }

    /// Prints the table. Fails if any step failed.
    pub(crate) fn end(&self) -> Outcome {
        println!();
        let mut failed = Vec::new();
        for (name, is_ok, time) in &self.done {
            let word = if *is_ok { "ok" } else { "FAILED" };
            println!("{word:>8}  {:>7.1} s  {name}", time.as_secs_f64());
            if !is_ok {
                failed.push(*name);
            }
        }
        if failed.is_empty() {
            let total: Duration = self.done.iter().map(|(_, _, time)| *time).sum();
            println!(
                "everything passed in {} min {} s",
                total.as_secs() / 60,
                total.as_secs() % 60
            );
            return Ok(());
        }
        Err(format!("{} of {} steps failed: {}", failed.len(), self.done.len(), failed.join(", ")))
    }
}
