//! Many simulations, and what came of all of them.

use super::load::Scenario;
use super::{Simulated, simulate};
use parking_lot::Mutex;
use std::fmt;

/// What came of some windows.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) windows: usize,
    /// Windows in which our calls paid something, with the seed and how much of the cap, in millionths.
    pub(super) paid: Vec<(u64, i64)>,
    /// Of each whole window, how much of the cap less the foreign use was used by us, in ten-thousandths. Sorted.
    pub(super) shares: Vec<i64>,
    /// Of each whole window, how much of the cap all together had used when we stopped, in ten-thousandths. Sorted.
    pub(super) filled: Vec<i64>,
    /// Readings of the account in a window at the most.
    pub(super) most_readings: u64,
    /// The shortest time between two readings, in microseconds.
    pub(super) least_between_readings: i64,
    /// Windows in which none of our calls came at all.
    pub(super) stood_still: usize,
    /// From the server's turn of a window that was used up to our first call behind it, in milliseconds, with the seed.
    /// Sorted.
    pub(super) went_on_after: Vec<(i64, u64)>,
}

/// Simulates all of them, two at a time.
pub(super) fn survey(scenarios: &[Scenario]) -> Survey {
    let left = Mutex::new(scenarios.iter());
    let empty = Survey { least_between_readings: i64::MAX, ..Survey::default() };
    let survey = Mutex::new(empty);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Not in the loop's head: the lock would be held while it runs.
                let next = || left.lock().next();
                while let Some(scenario) = next() {
                    let simulated = simulate(scenario);
                    survey.lock().add(scenario, &simulated);
                }
            });
        }
    });
    let mut survey = survey.into_inner();
    survey.shares.sort_unstable();
    survey.filled.sort_unstable();
    survey.went_on_after.sort_unstable();
    survey.paid.sort_unstable();
    survey
}

impl Survey {
    fn add(&mut self, scenario: &Scenario, simulated: &Simulated) {
        for used in simulated.windows.values().filter(|used| used.own_paid > 0) {
            self.paid.push((scenario.seed, used.own_paid * 1_000_000 / simulated.cap_pico));
        }
        self.least_between_readings =
            self.least_between_readings.min(simulated.least_between_readings);
        for window in simulated.whole.clone().skip(1) {
            let first = simulated.windows.get(&window).and_then(|used| used.first_own);
            match first {
                Some(micros) => self.went_on_after.push((micros / 1_000, scenario.seed)),
                None => self.stood_still += 1,
            }
        }
        for window in simulated.whole.clone() {
            let used = simulated.windows.get(&window).copied().unwrap_or_default();
            let rest = (simulated.cap_pico - used.foreign).max(1);
            self.shares.push(used.own * 10_000 / rest);
            self.filled.push(used.filled * 10_000 / simulated.cap_pico);
            self.most_readings = self.most_readings.max(used.readings);
            self.windows += 1;
        }
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spread = |sorted: &[i64]| {
            let at = |hundredths| {
                let place = sorted.len().saturating_sub(1) * hundredths / 100;
                sorted.get(place).map_or(0.0, |share| *share as f64 / 100.0)
            };
            format!("{:.2} / {:.2} / {:.2} %", at(0), at(5), at(50))
        };
        write!(
            f,
            "{} windows; least / p5 / median used of the cap less others {}, filled when we stopped {}; went on {} to \
             {} ms after a turn; at most {} readings a window, {:.1} s apart at least; paid in {} windows",
            self.windows,
            spread(&self.shares),
            spread(&self.filled),
            self.went_on_after.first().map_or(0, |(after, _)| *after),
            self.went_on_after.last().map_or(0, |(after, _)| *after),
            self.most_readings,
            self.least_between_readings as f64 / 1e6,
            self.paid.len(),
        )?;
        let most = self.paid.iter().map(|(_, millionths)| *millionths).max();
        if let Some(most) = most {
            let all: i64 = self.paid.iter().map(|(_, millionths)| millionths).sum();
            let percent = |millionths: i64| millionths as f64 / 10_000.0;
            write!(f, ", {:.3} % of a cap in all, {:.3} % at most", percent(all), percent(most))?;
        }
        Ok(())
    }
}
