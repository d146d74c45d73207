//! The stage: three accounts, eight models, and when what is to happen. What does happen is told by the story, which
//! does not read this file.

use std::time::Duration;

use chutes_emulator::{
    AccountSpec, KeyKind, Lag, ModelSpec, PlanSpec, Scenario, StateSpec, Template,
};
use ripcord_client::key::Key;
use ripcord_gateway::AccountConfig;
use ripcord_rules::quota::{Paygo, SpendingPolicy, WhenUnknown};

use crate::error::CommandError;

/// Long prompts at a high price: what fills a dollar window.
pub(crate) const CODING_MODEL: &str = "zai-org/GLM-5.2-TEE";
/// What somebody types instead of [`CODING_MODEL`].
pub(crate) const MISSPELT_MODEL: &str = "zai-org/glm-5.2-tee";
/// Everybody wants it; for some seconds too many.
pub(crate) const POPULAR_MODEL: &str = "deepseek-ai/DeepSeek-V3.2-TEE";
/// Its connection is cut once.
pub(crate) const FRAGILE_MODEL: &str = "Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8-TEE";
/// Long answers, so that there is time to hang up.
pub(crate) const TALKATIVE_MODEL: &str = "moonshotai/Kimi-K2.5-TEE";
/// Small and quick.
pub(crate) const SMALL_MODEL: &str = "openai/gpt-oss-20b";
/// What the README asks for; nobody else does.
const README_MODEL: &str = "Qwen/Qwen3-32B-TEE";
/// No instance of it runs.
pub(crate) const COLD_MODEL: &str = "moonshotai/Kimi-K2-Thinking-TEE";
/// For texts that are searched.
pub(crate) const EMBEDDING_MODEL: &str = "Qwen/Qwen3-Embedding-8B-TEE";

/// The accounts, in the order in which they are preferred.
pub(crate) const ACCOUNTS: [&str; 3] = ["alice", "bob", "carol"];

/// How often the gateway reads the accounts' figures; it never reads one more often.
pub(crate) const FIGURES_EVERY: Duration = Duration::from_secs(10);

/// How far the figures of this Chutes lag; the real one's lag by a minute, which is all there is here.
pub(crate) const FIGURES_LAG: Duration = Duration::from_secs(2);

/// 12:00 UTC, where one four-hour window ends and the next begins.
const TURN: &str = "2026-11-20T12:00:00Z";
/// What the first third of a minute takes, about, from the window of one of three accounts, in thousandths.
const FIRST_THIRD_PERMILLE: f64 = 28.0;
/// What the gateway uses of a window at most, before the margin that it keeps for others, in thousandths.
const NEARLY_ALL_PERMILLE: f64 = 988.0;
/// The window of that account: the Pro plan's four hours.
const PRO_FOUR_HOURS_USD: f64 = 20.0 / 180.0 * 75.0;
/// The prompt of one coding call. It fits a minute of traffic; longer traffic has smaller ones, so that the windows
/// last to its end.
const CODING_PROMPT_TOKENS: u64 = 42_000;

/// When what happens, for traffic of a given length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    seconds: u32,
}

// === impl Script ===

impl Script {
    /// The script for traffic of this length.
    pub(crate) fn new(seconds: u64) -> Self {
        Self { seconds: u32::try_from(seconds).unwrap_or(u32::MAX) }
    }

    /// How long the traffic lasts.
    pub(crate) fn length(self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }

    /// This share of the traffic, in thousandths.
    pub(crate) fn share(self, permille: u32) -> Duration {
        self.length() * permille / 1000
    }

    /// How long the popular model is full, on the emulated clock, which runs as fast as the real one.
    pub(crate) fn full_for(self) -> Duration {
        self.share(40).min(Duration::from_millis(2_000))
    }

    /// The emulated service as the traffic finds it.
    pub(crate) fn scenario(self) -> Result<Scenario, CommandError> {
        let turn: jiff::Timestamp = TURN.parse().map_err(unexpected)?;
        let start = turn.checked_sub(self.share(833)).map_err(unexpected)?;
        let scenario = Scenario {
            starts_at: Some(start.to_string()),
            lag: Lag {
                cap_figures_seconds: 1.0,
                balance_seconds: 1.0,
                quota_seconds: 1.0,
                ..Lag::none()
            },
            ..Scenario::empty()
        };
        Ok(self.models().into_iter().fold(self.accounts(scenario), Scenario::model))
    }

    fn accounts(self, scenario: Scenario) -> Scenario {
        let used = PRO_FOUR_HOURS_USD * self.first_used_permille() / 1000.0;
        scenario
            .account(
                AccountSpec::new(ACCOUNTS[0], PlanSpec::Pro)
                    .keys(&[KeyKind::Admin, KeyKind::Admin])
                    .balance_usd(5.0)
                    .used_units(612.0)
                    .used_usd(used, 21.4),
            )
            .account(
                AccountSpec::new(ACCOUNTS[1], PlanSpec::Plus).used_units(84.0).used_usd(0.9, 1.7),
            )
            .account(AccountSpec::new(ACCOUNTS[2], PlanSpec::Paygo).balance_usd(1.5))
    }

    /// So that little is left of the window about a third through. Where the traffic is too short for a reading of the
    /// figures there, it is so from the start.
    fn first_used_permille(self) -> f64 {
        let length = f64::from(self.seconds);
        let readings = (length / 3.0 / FIGURES_EVERY.as_secs_f64()).round();
        if readings < 1.0 {
            return NEARLY_ALL_PERMILLE + 2.0;
        }
        let by_reading = FIRST_THIRD_PERMILLE / 2.0 * (60.0 / length).min(1.0);
        NEARLY_ALL_PERMILLE - by_reading * (readings - 0.5)
    }

    fn models(self) -> Vec<ModelSpec> {
        let coding_prompt = CODING_PROMPT_TOKENS * 60 / u64::from(self.seconds).max(60);
        vec![
            ModelSpec::new(CODING_MODEL)
                .price(0.95, 3.15, 0.475)
                .pace(420, 75.0)
                .tokens(coding_prompt, 150),
            ModelSpec::new(POPULAR_MODEL).price(0.28, 0.42, 0.14).pace(260, 80.0).tokens(900, 110),
            ModelSpec::new(FRAGILE_MODEL).price(0.3, 1.2, 0.15).pace(300, 70.0).tokens(2_000, 120),
            ModelSpec::new(TALKATIVE_MODEL).price(0.5, 2.8, 0.25).pace(350, 60.0).tokens(700, 400),
            ModelSpec::new(SMALL_MODEL).price(0.02, 0.1, 0.01).pace(90, 140.0).tokens(300, 90),
            ModelSpec::new(README_MODEL)
                .price(0.104, 0.416, 0.052)
                .pace(150, 110.0)
                .tokens(200, 60),
            ModelSpec::new(COLD_MODEL).price(0.4, 1.75, 0.2).state(StateSpec::Cold),
            ModelSpec {
                template: Template::Embedding,
                ..ModelSpec::new(EMBEDDING_MODEL).price(0.01, 0.0, 0.01).tokens(500, 0)
            },
        ]
    }
}

/// The accounts as the gateway is told of them: their keys and nothing else, so that its own defaults apply.
pub(crate) fn accounts() -> Result<Vec<AccountConfig>, CommandError> {
    let keys = |name: &str| {
        (0..2)
            .map(|index| Ok(Key::parse(&Scenario::key(name, index)).map_err(unexpected)?.0))
            .collect::<Result<Vec<_>, CommandError>>()
    };
    ACCOUNTS
        .iter()
        .map(|&name| {
            Ok(AccountConfig {
                label: name.to_owned(),
                keys: keys(name)?,
                paygo: Paygo::default(),
                when_unknown: WhenUnknown::default(),
                spending: SpendingPolicy::default(),
            })
        })
        .collect()
}

fn unexpected(problem: impl std::fmt::Display) -> CommandError {
    CommandError::unknown(format!("the demonstration could not be set up: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_left_of_a_window_about_a_third_through() {
        for seconds in [24, 30, 45, 60, 90, 300, 3_600] {
            let used = Script::new(seconds).first_used_permille();
            let by_second = FIRST_THIRD_PERMILLE / 20.0 * (60.0 / seconds as f64).min(1.0);
            let at = (NEARLY_ALL_PERMILLE - used) / by_second / seconds as f64;
            assert!((0.15..=0.4).contains(&at), "{seconds} s: {at}");
        }
    }

    #[test]
    fn traffic_that_is_too_short_for_a_reading_begins_with_little_left() {
        let used = Script::new(8).first_used_permille();
        assert!(used > NEARLY_ALL_PERMILLE && used < 1_000.0);
    }

    #[test]
    fn every_length_makes_a_scenario() {
        for seconds in [5, 8, 60, 3_600] {
            assert!(Script::new(seconds).scenario().is_ok(), "{seconds}");
        }
        assert_eq!(accounts().unwrap().len(), ACCOUNTS.len());
    }
}
