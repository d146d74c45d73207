//! What is wrong with an account, a key or the model itself: windows used up, dead keys, models that are not up.

use super::answers::{detail, whole};
use super::case::Case;
use super::client::{Client, refused, refused_for};
use super::upstream::{at_once, not_before};
use crate::provider::{Asked, Script};
use crate::world::{MODEL, Plan, World, account};
use chutes_emulator::{AccountChange, AccountSpec, Fault, FaultKind, KeyKind, PlanSpec};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Accounts that may not read their figures, so that only the answers tell that a window is used up. At the real time,
/// since who reads nothing does not learn another one.
fn blind(plan: &mut Plan, change: impl Fn(AccountSpec) -> AccountSpec) {
    plan.scenario.starts_at = None;
    for account in &mut plan.scenario.accounts {
        *account = account.clone().keys(&[KeyKind::Invoke]);
    }
    plan.scenario.accounts[0] = change(plan.scenario.accounts[0].clone());
}

fn day_used_up(plan: &mut Plan) {
    blind(plan, |first| first.used_units(5_000.0));
}

fn four_hours_used_up(plan: &mut Plan) {
    blind(plan, |first| first.used_usd(9.0, 20.0));
}

fn month_used_up(plan: &mut Plan) {
    blind(plan, |first| first.used_usd(0.4, 100.5));
}

fn model_quota_used_up(plan: &mut Plan) {
    blind(plan, |first| first.chute_quota(MODEL, 0));
}

fn kill(world: &World, key: usize) {
    let change = AccountChange { delete_key: Some(key), ..AccountChange::default() };
    world.control().change_account("first", change).unwrap();
}

fn always(world: &World, kind: FaultKind) {
    world.control().add_model_fault(MODEL, Fault::new(kind)).unwrap();
}

fn no_instances() -> Script {
    detail("503 Service Unavailable", "No instances available (yet) for chute_id='c1'")
        .named("503 no instances")
}

fn plan_lacks(asked: &Asked) -> Script {
    if asked.who != "first" {
        return whole(asked);
    }
    let text = "This model requires a higher subscription tier or positive balance.";
    detail("402 Payment Required", text).named("402 tier")
}

fn free_calls_used_up(asked: &Asked) -> Script {
    if asked.who != "first" {
        return whole(asked);
    }
    let text = "Free models limit reached for today - maintain >= $10 balance or upgrade subscription to pro to \
                unlock more.";
    detail("429 Too Many Requests", text).named("429 free models")
}

/// To the next of the four-hour windows, to midnight, and to the next month of a subscription.
const TO_THE_TURN: RangeInclusive<u64> = 1..=14_400;
const TO_MIDNIGHT: RangeInclusive<u64> = 1..=86_400;
const TO_THE_MONTH: RangeInclusive<u64> = 1..=2_764_800;

cases! {
    the_day_is_used_up = Case::new("402 day window, one account")
        .plan(day_used_up)
        .both(refused_for(429, "window_exhausted", false, TO_MIDNIGHT), &[at_once("first", "402")]);

    the_day_is_used_up_of_one = Case::new("402 day window, two accounts")
        .plan(day_used_up)
        .accounts(2)
        .both(Client::Whole, &[at_once("first", "402"), at_once("second", "200")]);

    four_hours_are_used_up = Case::new("402 4-hour window, one account")
        .plan(four_hours_used_up)
        .both(refused_for(429, "window_exhausted", false, TO_THE_TURN), &[at_once("first", "402")]);

    four_hours_are_used_up_of_one = Case::new("402 4-hour window, two accounts")
        .plan(four_hours_used_up)
        .accounts(2)
        .both(Client::Whole, &[at_once("first", "402"), at_once("second", "200")]);

    /// The answer does not say which of the two caps it was; the nearer turn is the soonest that it can be over.
    the_month_is_used_up = Case::new("402 month window, one account that may not read its figures")
        .plan(month_used_up)
        .both(refused_for(429, "window_exhausted", false, TO_THE_TURN), &[at_once("first", "402")]);

    the_month_is_used_up_of_one = Case::new("402 month window, two accounts")
        .plan(month_used_up)
        .accounts(2)
        .both(Client::Whole, &[at_once("first", "402"), at_once("second", "200")]);

    the_months_figures_are_read = Case::new("month window used up, as the account's figures say")
        .plan(|plan| {
            let first = AccountSpec::new("first", PlanSpec::Pro);
            plan.scenario.accounts[0] = first.used_usd(0.4, 100.5);
        })
        .both(refused_for(429, "window_exhausted", false, TO_THE_MONTH), &[]);

    the_models_quota_is_used_up = Case::new("402 quota of one chute, two accounts")
        .plan(model_quota_used_up)
        .accounts(2)
        .both(Client::Whole, &[at_once("first", "402"), at_once("second", "200")]);

    a_plan_that_lacks_the_model = Case::new("402 tier, one account")
        .plays(plan_lacks)
        .both(refused(403, "not_allowed", false), &[at_once("first", "402 tier")]);

    a_plan_that_lacks_the_model_of_one = Case::new("402 tier, two accounts")
        .accounts(2)
        .plays(plan_lacks)
        .both(Client::Whole, &[at_once("first", "402 tier"), at_once("second", "whole answer")]);

    free_calls_are_used_up = Case::new("429 free models, one account")
        .plays(free_calls_used_up)
        .both(
            refused_for(429, "window_exhausted", false, TO_MIDNIGHT),
            &[at_once("first", "429 free models")],
        );

    free_calls_are_used_up_of_one = Case::new("429 free models, two accounts")
        .accounts(2)
        .plays(free_calls_used_up)
        .both(Client::Whole, &[at_once("first", "429 free models"), at_once("second", "whole answer")]);

    a_dead_key = Case::new("dead key, the account has another")
        .plan(|plan| plan.accounts = vec![account("first", &[0, 1])])
        .before(|world| kill(world, 0))
        .both(Client::Whole, &[at_once("a key that Chutes does not know", "401"), at_once("first/1", "200")]);

    a_dead_key_of_one_account = Case::new("dead key, another account has one")
        .accounts(2)
        .before(|world| kill(world, 0))
        .both(Client::Whole, &[at_once("a key that Chutes does not know", "401"), at_once("second", "200")]);

    all_keys_dead = Case::new("dead key, no other")
        .before(|world| kill(world, 0))
        .both(refused(502, "upstream_auth", false), &[at_once("a key that Chutes does not know", "401")]);

    a_cold_model = Case::new("cold for ever, two accounts, deadline 30 s")
        .accounts(2)
        .header("x-ripcord-deadline", "30")
        .before(|world| always(world, FaultKind::Cold))
        .both(refused_for(503, "model_cold", true, 50..=60), &[at_once("first", "503")]);

    a_cold_model_that_wakes_up = Case::new("cold once, awake before the deadline")
        .plan(|plan| {
            plan.limits.recovery.rests.cold = Duration::from_millis(700);
            plan.limits.heartbeat = Duration::from_millis(200);
        })
        .plays(|asked| if asked.number == 0 { no_instances() } else { whole(asked) })
        .both(
            Client::Whole,
            &[at_once("first", "503 no instances"), not_before(700, "first", "whole answer")],
        )
        .also(|outcome| {
            let told = outcome.answered.text().contains(": ripcord is waiting, the model is warming up");
            assert!(!outcome.streams || told, "{}", outcome.answered.text());
        });

    a_model_that_is_off = Case::new("disabled")
        .before(|world| always(world, FaultKind::Disabled))
        .both(refused_for(503, "model_down", true, 290..=300), &[at_once("first", "503")]);

    an_unknown_model = Case::new("unknown model")
        .body(|body| body["model"] = "acme/writer-9-tee".into())
        .both(refused(404, "model_not_found", false), &[at_once("first", "404")]);
}
