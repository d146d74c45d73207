//! What `ripcord doctor` says of who may call the gateway. Nothing, where that is every program of this machine.

use std::time::Duration;

use ripcord_rules::time::Wall;
use ripcord_store::ClientKey;

use super::{Findings, Health};
use crate::context::Context;
use crate::exposure;

/// A key that ends so soon deserves a look.
const ENDS_SOON: Duration = Duration::from_secs(7 * 86_400);

pub(super) fn check(findings: &mut Findings, context: &Context) {
    let settings = &context.settings;
    for lack in exposure::lacks(settings) {
        findings
            .add("gateway", Health::Problem, lack.what)
            .fix(lack.fix)
            .see("beyond-this-machine");
    }
    if let Some(Err(problem)) = &settings.admin_token {
        findings.add("gateway", Health::Problem, problem.to_string());
        if let Some(hint) = &problem.hint {
            findings.fix(hint.as_str());
        }
    }
    let Some(keys) = exposure::client_keys(settings) else {
        findings.add("gateway", Health::Unknown, "the client keys cannot be read");
        return;
    };
    if keys.is_empty() {
        return;
    }
    let now = context.now();
    let in_force = keys.iter().filter(|key| key.is_in_force(now.as_unix_micros()));
    match in_force.clone().count() {
        0 => findings
            .add(
                "gateway",
                Health::Warning,
                "no client key is in force, so nobody may call the gateway",
            )
            .fix("ripcord keys add NAME makes one")
            .see("client-key"),
        1 => findings.add("gateway", Health::Ok, "1 client key is in force"),
        several => {
            findings.add("gateway", Health::Ok, format!("{several} client keys are in force"))
        }
    };
    for key in in_force {
        ends_soon(findings, key, now, context);
    }
    if exposure::is_reachable(settings) && settings.gateway.allowed_hosts.value.is_empty() {
        findings.add(
            "gateway",
            Health::Ok,
            "clients call it by its address; a name such as box.lan has to stand in `allowed_hosts` below [gateway]",
        );
    }
}

fn ends_soon(findings: &mut Findings, key: &ClientKey, now: Wall, context: &Context) {
    let Some(end) = key.expires_at_unix_us.map(Wall::from_unix_micros) else { return };
    if end.since(now) <= ENDS_SOON {
        let end = context.printer.moments.at(end, now);
        findings
            .add("gateway", Health::Warning, format!("client key `{}` expires {end}", key.name))
            .fix("make its bearer another with `ripcord keys add`, and revoke this one");
    }
}
