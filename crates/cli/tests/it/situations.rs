//! Every reporting command in every situation: what people see, what scripts get, and the exit code.
//!
//! One snapshot per command holds all situations, so that they can be read side by side.

use chutes_emulator::{AccountSpec, PlanSpec, Scenario};

use crate::world::{World, catalogue, pro};

/// What a situation is called, and how it is made.
pub(crate) type Situation = (&'static str, fn() -> World);

fn capped() -> AccountSpec {
    pro().used_usd(8.4, 50.4)
}

fn paygo(balance: f64) -> AccountSpec {
    AccountSpec::new("bob", PlanSpec::Paygo).balance_usd(balance)
}

fn day_used_up() -> AccountSpec {
    AccountSpec::new("carol", PlanSpec::Base)
        .anchor("2026-09-14T08:12:45")
        .used_units(300.0)
        .used_usd(0.4, 3.0)
}

/// The situations, each with a name.
pub(crate) fn situations() -> Vec<Situation> {
    vec![
        ("Pro with room", || World::with(pro())),
        ("Pro, 4-hour cap spent, balance 0", || World::with(capped())),
        ("Pro, 4-hour cap spent, balance 5 dollars", || World::with(capped().balance_usd(5.0))),
        ("pay-as-you-go with balance", || World::with(paygo(7.35))),
        ("pay-as-you-go without balance", || World::with(paygo(0.0))),
        ("day quota used up", || World::with(day_used_up())),
        ("a key without account scope", || {
            World::of(catalogue().account(pro())).key(&Scenario::key("alice", 1))
        }),
        ("API down", || World::with(pro()).unreachable()),
    ]
}

/// Runs a command in every situation; compares what is seen, the exit codes and the JSON.
fn check(name: &str, arguments: &[&str], codes: [i32; 8]) {
    let mut seen = String::new();
    let mut previous = String::new();
    for ((situation, world), code) in situations().into_iter().zip(codes) {
        let world = world();
        let outcome = world.run(arguments);
        assert_eq!(outcome.code, code, "{name} in situation `{situation}`:\n{}", outcome.seen());
        let shown = outcome.seen();
        if shown == previous {
            seen.push_str(&format!("=== {situation}: the same\n\n"));
        } else {
            seen.push_str(&format!("=== {situation}\n{shown}\n"));
        }
        previous = shown;
        let as_json = world.run(&[arguments, &["--json"]].concat());
        assert_eq!(as_json.code, code, "{name} --json in situation `{situation}`");
        if as_json.stdout.is_empty() {
            assert_eq!(as_json.talk("error").len(), 1, "{name} in situation `{situation}`");
        } else {
            as_json.report(name);
            as_json.talk("error");
        }
    }
    insta::assert_snapshot!(name, seen);
}

#[test]
fn usage() {
    check("usage", &["usage"], [0, 0, 0, 0, 0, 0, 3, 3]);
}

#[test]
fn budget_check() {
    check("budget-check", &["budget-check"], [0, 1, 1, 0, 1, 1, 3, 3]);
}

#[test]
fn can_complete() {
    let arguments =
        ["can-complete", "1000", "--model", "zai-org/GLM-5.2-TEE", "--tokens-in", "2000"];
    check(
        "can-complete",
        &[&arguments[..], &["--tokens-out", "500"]].concat(),
        [0, 1, 1, 0, 1, 1, 3, 3],
    );
}

#[test]
fn wait_for_reset() {
    check("wait-for-reset", &["wait-for-reset", "--timeout", "0"], [0, 1, 1, 0, 1, 1, 3, 3]);
}

#[test]
fn status() {
    check("status", &["status"], [0, 0, 0, 0, 0, 0, 0, 3]);
}

#[test]
fn models() {
    check("models", &["models"], [0, 0, 0, 0, 0, 0, 0, 3]);
}

#[test]
fn model_health() {
    check(
        "model-health",
        &["model-health", "deepseek-ai/DeepSeek-R1-TEE"],
        [0, 0, 0, 0, 0, 0, 0, 3],
    );
}

#[test]
fn recommend() {
    check("recommend", &["recommend", "deepseek-ai/DeepSeek-R1"], [0, 0, 0, 0, 0, 0, 0, 3]);
}

#[test]
fn sanity() {
    check("sanity", &["sanity"], [0, 1, 1, 0, 1, 1, 0, 3]);
}

#[test]
fn probe() {
    check("probe", &["probe"], [0, 1, 1, 0, 1, 1, 0, 3]);
}

#[test]
fn report() {
    check("report", &["report"], [0, 0, 0, 0, 0, 0, 3, 3]);
}

#[test]
fn doctor() {
    check("doctor", &["doctor"], [0, 0, 0, 0, 0, 0, 0, 3]);
}

#[test]
fn init() {
    check("init", &["init"], [0, 0, 0, 0, 0, 0, 0, 3]);
}
