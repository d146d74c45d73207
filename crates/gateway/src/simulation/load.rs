//! What happens in a simulated day: who calls when, how large, and how it ends.

use super::random::Random;
use ripcord_rules::quota::BookSettings;
use std::time::Duration;

/// The length of a window.
pub(super) const WINDOW: Duration = Duration::from_secs(14_400);

/// When others call. They use a fifth of the cap in every window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    Nobody,
    /// At any moment, as likely as at any other.
    AtRandom,
    /// In minutes full of calls, ten of them.
    InBursts,
    /// Half at any moment, and half in the last half hour.
    AlsoNearTheEnd,
    /// In the last ten minutes of the window.
    AtTheEnd,
    /// In the first ten minutes.
    AfterTheTurn,
    /// All of it within a minute, as soon as nearly nothing is left.
    AllAtOnceWhenNearlyFull,
}

/// What is given from outside.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    /// Requests a day, which name the plan.
    pub(super) quota: u64,
    pub(super) foreign: Foreign,
    /// Half of the own calls cost less of the cap, in thousandths.
    pub(super) median_permille: f64,
    /// Clients would use up a window in about as much time.
    pub(super) fills_in: Duration,
    /// The first window of the day that is simulated, 0 to 5.
    pub(super) first: i64,
    pub(super) windows: i64,
    pub(super) ahead_micros: i64,
    pub(super) old_after_turn_seconds: i64,
    pub(super) month_used_pico: i64,
    pub(super) day_used_units: i64,
    /// Programs on one machine that use the account. They share its slots, and know nothing of each other's calls.
    pub(super) gateways: usize,
    /// How careful the gateway is.
    pub(super) book: BookSettings,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fate {
    /// With its usage.
    Whole,
    /// The stream broke after the server had booked it, and nobody heard how large it was.
    Broken,
    /// With an error, at no cost.
    Failed,
    /// The client leaves a stream after this share of it. It costs nothing.
    StreamLeft(f64),
    /// As before, but something between us and the server reads on.
    StreamLeftReadOn(f64),
    /// The client leaves a plain call, which runs on.
    PlainLeft(f64),
}

/// One call of a client of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnCall {
    pub(super) model: usize,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    pub(super) body_bytes: u64,
    /// Which bytes: equal ones are a repeat.
    pub(super) body: u64,
    pub(super) max_tokens: Option<u64>,
    pub(super) takes: Duration,
    pub(super) fate: Fate,
}

/// Names and dollars per million tokens of prompt and answer.
pub(super) const MODELS: [(&str, f64, f64); 2] =
    [("acme/Large", 1.2, 4.5), ("acme/Small", 0.1, 0.4)];

/// No own call costs more of the cap, in thousandths.
const LARGEST_PERMILLE: f64 = 5.0;
/// The average of own calls is about this much above the median.
pub(super) const MEAN_OF_MEDIAN: f64 = 1.3;
/// Half of the calls take less.
const MEDIAN_SECONDS: f64 = 12.0;

impl OwnCall {
    pub(super) fn draw(random: &mut Random, median_permille: f64, cap_pico: i64) -> Self {
        let permille = random.skewed(median_permille, 0.9).clamp(0.02, LARGEST_PERMILLE);
        // Rounding to whole tokens must not go over.
        let dollars = permille / 1_000.0 * cap_pico as f64 / 1e12 * 0.999;
        let model = random.below(MODELS.len());
        let (_, price_in, price_out) = MODELS[model];
        let of_prompt = random.between(0.2, 0.9);
        let tokens = |dollars: f64, price: f64| (dollars / price * 1e6) as u64;
        let completion_tokens = tokens(dollars * (1.0 - of_prompt), price_out).max(1);
        let prompt_tokens = tokens(dollars * of_prompt, price_in).max(1);
        let body_bytes = (prompt_tokens as f64 * random.between(3.2, 4.8)) as u64 + 200;
        let max_tokens = random
            .happens(0.5)
            .then(|| (completion_tokens as f64 * random.between(1.0, 3.0)) as u64);
        let seconds = random.skewed(MEDIAN_SECONDS, 0.8).clamp(0.5, 240.0);
        let left = random.between(0.05, 0.95);
        let fate = match random.below(100) {
            0..=86 => Fate::Whole,
            87 | 88 => Fate::Broken,
            89..=92 => Fate::Failed,
            93..=95 => Fate::StreamLeft(left),
            96 => Fate::StreamLeftReadOn(left),
            _ => Fate::PlainLeft(left),
        };
        Self {
            model,
            prompt_tokens,
            completion_tokens,
            body_bytes,
            body: random.number(),
            max_tokens,
            takes: Duration::from_secs_f64(seconds),
            fate,
        }
    }
}

impl Foreign {
    /// When others call within a window that is `WINDOW` long, and what each call costs, in thousandths of the cap.
    /// Sorted. [`Foreign::AllAtOnceWhenNearlyFull`] begins whenever it is time.
    pub(super) fn calls(self, random: &mut Random) -> Vec<(Duration, f64)> {
        let mut calls = Vec::new();
        let bursts: Vec<f64> = (0..10).map(|_| random.between(0.0, 14_340.0)).collect();
        let mut left = if self == Self::Nobody { 0.0 } else { 200.0 };
        while left > 0.0 {
            let permille = random.between(0.2, 1.0).min(left);
            left -= permille;
            let seconds = match self {
                Self::Nobody | Self::AtRandom => random.between(0.0, 14_400.0),
                Self::InBursts => bursts[random.below(bursts.len())] + random.between(0.0, 60.0),
                Self::AlsoNearTheEnd if random.happens(0.5) => random.between(12_600.0, 14_400.0),
                Self::AlsoNearTheEnd => random.between(0.0, 14_400.0),
                Self::AtTheEnd => random.between(13_800.0, 14_400.0),
                Self::AfterTheTurn => random.between(0.0, 600.0),
                Self::AllAtOnceWhenNearlyFull => random.between(0.0, 60.0),
            };
            calls.push((Duration::from_secs_f64(seconds), permille));
        }
        calls.sort_by_key(|(at, _)| *at);
        calls
    }
}
