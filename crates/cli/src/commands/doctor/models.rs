//! What `ripcord doctor` says of each configured model: its exact name, its state, and who may call it.

use ripcord_rules::quota::{AccountSnapshot, Plan};
use ripcord_wire::chutes::Chute;

use super::{Findings, Health};
use crate::catalogue::{Catalogue, Entry, NotFound, StateWord, without_prefix};
use crate::context::Context;
use crate::settings::origin::{Origin, Sourced};
use crate::upstream::{Reading, Upstream};

/// Chutes serves these under their newer maker's name (api.md 4.2).
const OLD_MAKER: (&str, &str) = ("THUDM/", "zai-org/");

pub(super) async fn check(
    findings: &mut Findings,
    upstream: &Upstream,
    catalogue: &Catalogue,
    readings: &[Reading],
    context: &Context,
) {
    if catalogue.entries.is_empty() {
        return;
    }
    for (name, origin) in configured(context) {
        match catalogue.find(name) {
            Ok(entry) => {
                state(findings, entry);
                entitlement(findings, &entry.name, entry.tee(), readings);
            }
            Err(miss) => {
                missing(findings, (name, origin), &miss, catalogue, upstream, readings).await;
            }
        }
    }
}

/// The models that the configuration names, each once, with where it does.
fn configured(context: &Context) -> Vec<(&str, &Origin)> {
    let Sourced { value: watched, origin } = &context.settings.models.watch;
    let mut names: Vec<(&str, &Origin)> =
        watched.iter().map(|name| (name.as_str(), origin)).collect();
    let sanity = &context.settings.models.sanity;
    if sanity.origin != Origin::Default && !watched.contains(&sanity.value) {
        names.push((&sanity.value, &sanity.origin));
    }
    for chain in &context.settings.chains {
        // A chain of a model begins with it.
        let itself = chain.name.value.contains('/').then_some(&chain.name);
        names.extend(itself.map(|name| (name.value.as_str(), &name.origin)));
        let origin = &chain.models.origin;
        names.extend(chain.models.value.iter().map(|model| (model.as_str(), origin)));
    }
    let maps = context.settings.providers.iter();
    names.extend(maps.flat_map(|provider| {
        let origin = &provider.name.origin;
        provider.models.iter().map(move |(model, _)| (model.as_str(), origin))
    }));
    let providers = &context.settings.providers;
    // What a provider has, no list of Chutes shows.
    names.retain(|(model, _)| {
        let of = model.split_once(':').map(|(name, _)| name);
        !providers.iter().any(|provider| Some(provider.name.value.as_str()) == of)
    });
    let mut seen = std::collections::HashSet::new();
    names.retain(|(model, _)| seen.insert(*model));
    names
}

fn state(findings: &mut Findings, entry: &Entry) {
    let state = entry.state_word();
    let (result, anchor) = match state {
        StateWord::Hot | StateWord::Busy => (Health::Ok, None),
        StateWord::Cold => (Health::Warning, Some("model-cold")),
        StateWord::Down => (Health::Warning, Some("model-off")),
        StateWord::Unknown => (Health::Warning, None),
    };
    findings.add("models", result, format!("{} is {}: {}", entry.name, state.word(), entry.why()));
    if let Some(anchor) = anchor {
        findings.fix(format!("`ripcord recommend {}` names a variant that is up", entry.name));
        findings.see(anchor);
    }
}

/// Which accounts may not call it.
fn entitlement(findings: &mut Findings, name: &str, tee: Option<bool>, readings: &[Reading]) {
    if tee != Some(true) {
        return;
    }
    let barred: Vec<&str> = readings
        .iter()
        .filter(|reading| may_call_tee(&reading.snapshot) == Some(false))
        .map(|reading| reading.label.as_str())
        .collect();
    if barred.is_empty() {
        return;
    }
    let nobody = barred.len() == readings.len();
    let result = if nobody { Health::Problem } else { Health::Warning };
    findings
        .add(
            "models",
            result,
            format!(
                "{name} is a TEE model, and the Legacy plan of {} may call those only with a positive balance",
                barred.join(", ")
            ),
        )
        .fix(format!("add balance to {}, or take a subscription", barred.join(", ")))
        .see("plan-tee");
}

/// Chutes refuses TEE models to the quota of 200 while there is no balance (api.md 5.2); `None` if not known.
fn may_call_tee(account: &AccountSnapshot) -> Option<bool> {
    match (account.plan?, account.balance) {
        (Plan::Legacy, Some(balance)) => Some(balance.0 > 0),
        (Plan::Legacy, None) => None,
        _ => Some(true),
    }
}

/// A name that the catalogue lacks: mistyped, rewritten, of another kind, private, or gone.
async fn missing(
    findings: &mut Findings,
    (name, origin): (&str, &Origin),
    miss: &NotFound,
    catalogue: &Catalogue,
    upstream: &Upstream,
    readings: &[Reading],
) {
    if let Some(exact) = &miss.other_case {
        findings
            .add(
                "models",
                Health::Problem,
                format!("there is no model `{name}`: names are exact, upper and lower case too"),
            )
            .fix(format!("write `{exact}` at {origin}"))
            .see("model-not-found");
        return;
    }
    if let Some(entry) = rewritten(without_prefix(name), catalogue) {
        findings
            .add(
                "models",
                Health::Warning,
                format!("`{name}` is not in the catalogue; Chutes rewrites some such names, this one perhaps to `{}`, and answers under that name", entry.name),
            )
            .fix(format!("write `{}` at {origin}", entry.name))
            .see("other-model-name");
        entitlement(findings, &entry.name, entry.tee(), readings);
        return;
    }
    if let Ok(Some(chute)) = upstream.chute(without_prefix(name)).await {
        other_kind(findings, name, &chute);
        return;
    }
    if let Some(owner) = private_owner(without_prefix(name), upstream, readings).await {
        let others = readings.len() > 1;
        let result = if others { Health::Warning } else { Health::Ok };
        let rest = if others { "; every other account gets a 404" } else { "" };
        findings.add("models", result, format!("{name} is a private model of {owner}{rest}"));
        findings.see("model-not-found");
        return;
    }
    findings.add(
        "models",
        Health::Problem,
        format!("there is no model `{name}` that anybody may see, or one of your keys"),
    );
    findings.see("model-not-found");
    findings.fix(match miss.near.first() {
        Some(near) => format!("write `{near}` at {origin}"),
        None => "`ripcord models` lists every name".to_owned(),
    });
}

/// The entry that Chutes would take for this plain name.
fn rewritten<'c>(name: &str, catalogue: &'c Catalogue) -> Option<&'c Entry> {
    let newer = name.strip_prefix(OLD_MAKER.0).map(|model| format!("{}{model}", OLD_MAKER.1));
    let newer_tee = newer.as_ref().map(|newer| format!("{newer}-TEE"));
    let names = [newer, newer_tee, Some(format!("{name}-TEE"))];
    names.into_iter().flatten().find_map(|name| catalogue.find(&name).ok())
}

fn other_kind(findings: &mut Findings, name: &str, chute: &Chute) {
    match chute.standard_template.as_deref() {
        Some("embedding") => findings
            .add("models", Health::Warning, format!("{name} is an embedding model: chat with it is a 404"))
            .fix("send it to https://embed.chutes.ai/v1/embeddings, or to /v1/embeddings of the gateway")
            .see("no-cord"),
        Some("vllm") | None => findings.add(
            "models",
            Health::Warning,
            format!("{name} exists, and is not in the list of models: it may just have come, or be about to go"),
        ),
        Some(other) => findings
            .add("models", Health::Warning, format!("{name} is no language model (its template is `{other}`): the chat host answers 404"))
            .fix("call it at its own host; Ripcord serves chat, completions and embeddings")
            .see("model-not-found"),
    };
}

/// The account whose key sees it though nobody else does. Only admin keys are let look.
async fn private_owner<'r>(
    name: &str,
    upstream: &Upstream,
    readings: &'r [Reading],
) -> Option<&'r str> {
    for reading in readings {
        for key in &reading.account.keys {
            let chutes = upstream.public().clone().with_key(key.clone());
            if chutes.chute_with_key(name).await.is_ok() {
                return Some(&reading.label);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use ripcord_rules::quota::Readable;
    use ripcord_rules::time::Wall;
    use ripcord_rules::units::NanoUsd;

    use super::*;

    #[test]
    fn the_legacy_plan_needs_balance_for_tee() {
        let account = |plan, balance: Option<i64>| AccountSnapshot {
            plan,
            balance: balance.map(NanoUsd),
            ..AccountSnapshot::unknown(Readable::Yes, Wall::from_unix_seconds(0))
        };
        assert_eq!(may_call_tee(&account(Some(Plan::Legacy), Some(0))), Some(false));
        assert_eq!(may_call_tee(&account(Some(Plan::Legacy), Some(-1))), Some(false));
        assert_eq!(may_call_tee(&account(Some(Plan::Legacy), Some(1))), Some(true));
        assert_eq!(may_call_tee(&account(Some(Plan::Legacy), None)), None);
        assert_eq!(may_call_tee(&account(Some(Plan::Pro), Some(0))), Some(true));
        assert_eq!(may_call_tee(&account(None, Some(0))), None);
    }
}
