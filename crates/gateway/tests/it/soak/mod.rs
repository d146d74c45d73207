//! Load with faults, for minutes with `cargo xtask soak`, for a moment in the suite: what must not be left, and what no
//! client may ever see.

mod aborts;
mod dice;
mod slots;
mod storm;
mod verdict;

use crate::world::{Plan, account};
use chutes_emulator::{AccountSpec, PlanSpec};

/// The accounts of a load, in order.
const NAMES: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

/// So many accounts with room for a day of load, in windows that are counted and reserved from.
fn with_accounts(plan: &mut Plan, count: usize) {
    let names = &NAMES[..count];
    let spec = |name: &&str| AccountSpec::new(name, PlanSpec::Paygo).quota(10_000_000);
    plan.scenario.accounts = names.iter().map(spec).collect();
    plan.accounts = names.iter().map(|name| account(name, &[0])).collect();
}
