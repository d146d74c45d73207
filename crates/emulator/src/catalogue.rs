//! The built-in scenarios: the demonstration and the test bench.

use crate::{
    clock::SECOND,
    faults::{Fault, FaultKind},
    scenario::{Lag, Scenario},
    specs::{AccountSpec, KeyKind, ModelSpec, PlanSpec, StateSpec, Template},
};

/// Dollars to pico-dollars, the unit of the emulator's accounts: one token costs whole picos.
pub(crate) fn pico(dollars: f64) -> i64 {
    (dollars * 1e12).round() as i64
}

/// Pico-dollars to the float the server would print.
pub(crate) fn usd(pico: i64) -> f64 {
    pico as f64 / 1e12
}

/// Seconds to microseconds.
pub(crate) fn micros(seconds: f64) -> i64 {
    (seconds * SECOND as f64) as i64
}

fn listed(name: &str, price: (f64, f64, f64), context: u64, features: &[&str]) -> ModelSpec {
    ModelSpec {
        context_length: context,
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
        ..ModelSpec::new(name).price(price.0, price.1, price.2).pace(120, 90.0)
    }
}

pub(crate) fn demo() -> Scenario {
    const ALL: &[&str] = &["json_mode", "tools", "structured_outputs", "reasoning"];
    const PLAIN: &[&str] = &["json_mode", "tools", "structured_outputs"];
    let models = vec![
        listed("zai-org/GLM-5.2-TEE", (0.95, 3.15, 0.475), 202_752, ALL),
        listed("deepseek-ai/DeepSeek-V3.2-TEE", (0.28, 0.42, 0.14), 163_840, ALL),
        listed("Qwen/Qwen3-32B-TEE", (0.104, 0.416, 0.052), 40_960, ALL),
        listed("Qwen/Qwen3-32B", (0.08, 0.24, 0.04), 40_960, ALL),
        listed("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8-TEE", (0.3, 1.2, 0.15), 262_144, PLAIN),
        listed("openai/gpt-oss-120b-TEE", (0.04, 0.18, 0.02), 131_072, ALL),
        listed("openai/gpt-oss-20b", (0.02, 0.1, 0.01), 131_072, ALL),
        ModelSpec {
            input_modalities: vec!["text".to_owned(), "image".to_owned()],
            ..listed("moonshotai/Kimi-K2.5-TEE", (0.5, 2.8, 0.25), 262_144, ALL)
        }
        .state(StateSpec::Busy),
        listed("moonshotai/Kimi-K2-Thinking-TEE", (0.4, 1.75, 0.2), 262_144, ALL)
            .state(StateSpec::Cold),
        listed("MiniMaxAI/MiniMax-M2.5-TEE", (0.15, 0.6, 0.075), 196_608, ALL),
        listed("unsloth/gemma-3-27b-it", (0.04, 0.15, 0.02), 128_000, PLAIN),
        ModelSpec {
            discount: 1.0,
            ..listed("NousResearch/Hermes-4-14B", (0.01, 0.05, 0.005), 40_960, PLAIN)
        },
        ModelSpec {
            template: Template::Embedding,
            ..listed("Qwen/Qwen3-Embedding-8B-TEE", (0.01, 0.0, 0.01), 32_768, &[])
        },
    ];
    let two_and_one = [KeyKind::Admin, KeyKind::Admin, KeyKind::Invoke];
    Scenario {
        accounts: vec![
            AccountSpec::new("pro", PlanSpec::Pro)
                .used_units(1234.3)
                .used_usd(2.5, 42.0)
                .used_for_hours(96)
                .keys(&two_and_one),
            AccountSpec::new("plus", PlanSpec::Plus)
                .used_units(1900.0)
                .used_usd(3.9, 31.5)
                .used_for_hours(96)
                .keys(&two_and_one),
            AccountSpec::new("paygo", PlanSpec::Paygo).balance_usd(7.35).used_for_hours(48),
            AccountSpec::new("base", PlanSpec::Base).used_units(12.0).used_usd(0.05, 1.2),
        ],
        models,
        ..Scenario::empty()
    }
}

pub(crate) fn every_plan() -> Scenario {
    let plans = [
        ("paygo", PlanSpec::Paygo),
        ("legacy", PlanSpec::Legacy),
        ("base", PlanSpec::Base),
        ("plus", PlanSpec::Plus),
        ("pro", PlanSpec::Pro),
        ("custom301", PlanSpec::CustomBase),
        ("custom2001", PlanSpec::CustomPlus),
        ("custom5001", PlanSpec::CustomPro),
        ("free", PlanSpec::Free),
        ("invoiced", PlanSpec::Invoiced),
        ("norows", PlanSpec::NoRows),
    ];
    let keys = [KeyKind::Admin, KeyKind::Invoke, KeyKind::NoScope];
    let mut accounts: Vec<AccountSpec> =
        plans.iter().map(|(name, plan)| AccountSpec::new(name, *plan).keys(&keys)).collect();
    accounts.push(AccountSpec::new("paygo-rich", PlanSpec::Paygo).balance_usd(5.0).keys(&keys));
    accounts.push(AccountSpec::new("other1000", PlanSpec::Paygo).quota(1000).keys(&keys));
    let models = vec![
        ModelSpec::new("Qwen/Qwen3-32B-TEE").price(0.1, 0.4, 0.05).tokens(1000, 500),
        ModelSpec::new("deepseek-ai/DeepSeek-V3-Plain").price(0.02, 0.1, 0.01).tokens(12, 5),
        ModelSpec::new("acme/Slow").pace(5, 200.0),
        ModelSpec::new("acme/Cold").state(StateSpec::Cold),
        ModelSpec::new("acme/Disabled").state(StateSpec::Disabled),
        ModelSpec::new("acme/Full").fault(Fault::new(FaultKind::Capacity)),
        ModelSpec { discount: 1.0, ..ModelSpec::new("acme/Free-100") },
        ModelSpec { private_to: Some("pro".to_owned()), ..ModelSpec::new("pro/Private") },
        ModelSpec { template: Template::Embedding, ..ModelSpec::new("Qwen/Qwen3-Embedding-8B") },
    ];
    Scenario { accounts, models, lag: Lag::none(), ..Scenario::empty() }
}
