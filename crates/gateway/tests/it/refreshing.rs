//! Figures of many accounts are read in the background, a few at once, and none is in another one's way.

use crate::world::{MODEL, Plan, account, chat};
use chutes_emulator::{AccountSpec, Fault, FaultKind, FaultScope, PlanSpec};
use std::collections::BTreeSet;

/// Twelve accounts; those with the first numbers do not answer.
fn plan(silent: usize) -> Plan {
    let mut plan = Plan::new();
    plan.waits_for_figures = false;
    plan.scenario.accounts.clear();
    plan.accounts.clear();
    for number in 0..12 {
        let name = format!("account-{number}");
        let mut spec = AccountSpec::new(&name, PlanSpec::Pro);
        if number < silent {
            spec = spec.fault(Fault::new(FaultKind::Silent).on(FaultScope::Management));
        }
        plan.scenario.accounts.push(spec);
        plan.accounts.push(account(&name, &[0]));
    }
    plan
}

#[tokio::test]
async fn accounts_that_hang_keep_no_other_from_being_read() {
    let world = plan(4).start().await;
    let others_are_read = || async {
        let report = world.status_report().await;
        let accounts = report["accounts"].as_array().unwrap();
        accounts[4..].iter().all(|account| account["figures"] == "read")
    };
    world.wait_for("figures of the other eight", others_are_read).await;
    let report = world.status_report().await;
    assert_eq!(report["accounts"][0]["figures"], "not_read_yet");
    assert_eq!(world.chat(&chat(MODEL)).await.status, 200);
}

#[tokio::test]
async fn no_more_than_five_are_read_at_once() {
    let world = plan(12).start().await;
    let asked = || {
        let log = world.control().log();
        let reads = log.into_iter().filter(|entry| entry.path.starts_with("/users/me"));
        reads.filter_map(|entry| entry.account).collect::<BTreeSet<String>>()
    };
    world.wait_for("the first five", || async { asked().len() == 5 }).await;
    // The others would have been asked in the same moment.
    world.status_report().await;
    assert_eq!(asked().len(), 5, "{:?}", asked());
}
