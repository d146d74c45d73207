//! What an account may read of itself: `/users/me` and everything below it.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    accounts::{ANY, Account, address},
    auth::{NO_USER, Scope},
    catalogue::{micros, usd},
    clock, ids,
    management::{self, Asked},
    operations,
    query::Query,
    quota::{self, Terms, UNIT},
    reply::Reply,
    specs::PlanSpec,
    usage, validation,
    world::State,
};

const ADMINS_ONLY: &str = "This action can only be performed by billing admin accounts.";

/// Everything under `/users/`; nothing for what is not known there.
pub(crate) fn users(state: &mut State, asked: &Asked<'_>, rest: &str) -> Option<Reply> {
    let method = &asked.incoming.method;
    if *method == Method::DELETE && rest == "me" {
        return management::delete_account(asked);
    }
    if *method != Method::GET || rest.ends_with('/') {
        return None;
    }
    if rest == "name_check" {
        return Some(name_check(state, &asked.incoming.query));
    }
    if rest == "growth" {
        return Some(operations::growth(asked.now));
    }
    let (who, what) = rest.split_once('/').unwrap_or((rest, ""));
    let is_known = matches!(
        what,
        "" | "quotas" | "subscription_usage" | "discounts" | "price_overrides" | "usage"
    ) || what
        .strip_prefix("quota_usage/")
        .is_some_and(|id| !id.is_empty() && !id.contains('/'));
    if !is_known {
        return None;
    }
    let account = match asked.caller.require(state, Scope::Account, NO_USER) {
        Ok(account) => account,
        Err(refusal) => return Some(refusal),
    };
    if who != "me" {
        if what.is_empty() && state.find_account(who).is_none() {
            return Some(Reply::not_found("User not found"));
        }
        return Some(Reply::detail(StatusCode::FORBIDDEN, ADMINS_ONLY));
    }
    Some(own(state, asked, account, what))
}

fn name_check(state: &State, query: &str) -> Reply {
    let Some(name) = Query::new(query).get("username") else {
        return validation::missing(&json!(["query", "username"]), &Value::Null);
    };
    let is_valid = (3..=15).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_taken = state.accounts.iter().any(|a| a.spec.name.eq_ignore_ascii_case(&name));
    Reply::json(&json!({ "valid": is_valid, "available": is_valid && !is_taken }))
}

/// What the caller may read of its own account.
fn own(state: &mut State, asked: &Asked<'_>, account: usize, what: &str) -> Reply {
    let (now, incoming) = (asked.now, asked.incoming);
    let lag = state.lag;
    let account = &mut state.accounts[account];
    match what {
        "" => me(account),
        "quotas" => quotas(account),
        "subscription_usage" => {
            let caps = account.meters.shown_caps(now, micros(lag.cap_figures_seconds));
            let turned = now - micros(lag.turn_seconds);
            let four_hour = if quota::bucket_of(turned) == quota::bucket_of(now) {
                caps.four_hour_at(now)
            } else {
                account.meters.last_of_bucket(turned)
            };
            subscription_usage(account, four_hour, caps.month_pico, now)
        }
        "discounts" => discounts(account),
        "price_overrides" => price_overrides(account),
        "usage" => usage::page(account, &incoming.query),
        other => {
            let id = other.strip_prefix("quota_usage/").unwrap_or_default();
            if account.is_unlimited() {
                return Reply::json(&json!({ "quota": "unlimited", "used": 0 }));
            }
            let (row, quota) = account.quota_row(id, now, lag);
            // `*` reads a counter that nobody writes; any other text falls to the shared one.
            let used = if id == ANY { 0 } else { account.meters.used_units(&row, now) };
            Reply::json(&json!({ "quota": quota, "used": used as f64 / UNIT as f64 }))
        }
    }
}

fn me(account: &Account) -> Reply {
    let name = &account.spec.name;
    let permissions = match account.spec.plan {
        PlanSpec::Free => vec!["Free invocation -- run anything, for free."],
        PlanSpec::Invoiced => vec!["Invoice billing -- pay by invoice."],
        _ => Vec::new(),
    };
    Reply::json(&json!({
        "username": name,
        "user_id": account.user_id,
        "logo_id": null,
        "created_at": "2025-08-04T10:00:00Z",
        "hotkey": address(name, "Hk"),
        "coldkey": address(name, "Ck"),
        "payment_address": account.payment_address(),
        "permissions_bitmask": account.permissions_bitmask(),
        "balance": usd(account.balance_pico),
        "netuids": null,
        "quotas": null,
        "logo": null,
        "permissions": permissions,
    }))
}

fn quotas(account: &Account) -> Reply {
    if account.is_unlimited() {
        return Reply::json(&json!({}));
    }
    if account.quotas.is_empty() {
        return Reply::json(&json!({ "*": 200 }));
    }
    let rows: Vec<Value> = account
        .quotas
        .iter()
        .map(|(chute_id, quota)| {
            json!({
                "chute_id": chute_id,
                "payment_refresh_date": null,
                "effective_date": account.anchor.map(clock::iso_naive),
                "updated_at": clock::iso_naive(account.updated_at),
                "user_id": account.user_id,
                "is_default": *quota == 0,
                "quota": quota,
            })
        })
        .collect();
    Reply::json(&rows)
}

fn subscription_usage(account: &Account, four_hour: i64, month: i64, now: i64) -> Reply {
    let quota =
        if account.is_unlimited() { 0 } else { account.quotas.get(ANY).copied().unwrap_or(0) };
    let Some(terms) = Terms::of_quota(quota) else {
        return Reply::json(&json!({ "subscription": false }));
    };
    let window = |used: i64, cap: f64, reset_at: i64| {
        json!({
            "usage": usd(used),
            "cap": cap,
            "remaining": (cap - usd(used)).max(0.0),
            "reset_at": clock::iso_aware(reset_at),
        })
    };
    let anchor = account.month_anchor();
    let monthly = if terms.custom {
        json!({ "uncapped": true })
    } else {
        window(month, terms.month_cap_usd(), clock::month_after(anchor))
    };
    Reply::json(&json!({
        "subscription": true,
        "custom": terms.custom,
        "monthly_price": terms.price_usd,
        "anchor_date": clock::iso_naive(anchor),
        "effective_date": account.anchor.map(clock::iso_naive),
        "updated_at": clock::iso_naive(account.updated_at),
        "four_hour": window(four_hour, terms.four_hour_cap_usd(), quota::bucket_end(now)),
        "monthly": monthly,
    }))
}

fn discounts(account: &Account) -> Reply {
    let rows: Vec<Value> = account
        .spec
        .discounts
        .iter()
        .map(|(model, discount)| {
            json!({ "chute_id": row_id(model), "user_id": account.user_id, "discount": discount })
        })
        .collect();
    Reply::json(&rows)
}

fn price_overrides(account: &Account) -> Reply {
    let rows: Vec<Value> = account
        .spec
        .price_overrides
        .iter()
        .map(|own| {
            json!({
                "chute_id": row_id(&own.model),
                "user_id": account.user_id,
                "per_million_in": own.per_million_in,
                "per_million_out": own.per_million_out,
                "per_step": null,
                "per_request": null,
                "cache_discount": own.cache_discount,
            })
        })
        .collect();
    Reply::json(&rows)
}

fn row_id(model: &str) -> String {
    if model == ANY { ANY.to_owned() } else { ids::chute_id(model) }
}
