//! The management API: the account's figures, keys, lists, utilization and the public odds and ends.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    accounts::{ANY, Account, address},
    auth::{Caller, NO_USER, REQUIRED, Scope},
    catalogue::{micros, usd},
    clock::{self, Written},
    ids,
    inference::{Host, Incoming},
    listing,
    quota::{self, Terms, UNIT},
    reply::Reply,
    specs::{KeyKind, PlanSpec},
    world::{State, World},
};

const ADMINS_ONLY: &str = "This action can only be performed by billing admin accounts.";

/// Answers everything that is not inference.
pub(crate) fn serve(world: &World, incoming: &Incoming) -> Reply {
    let now = world.now();
    let mut guard = world.state();
    let state = &mut *guard;
    let caller = Caller::read(&incoming.headers, state);
    let path = percent_decode(&incoming.path);
    if incoming.path == "/ping" {
        return if incoming.method == Method::GET {
            Reply::json(&json!({ "message": "pong" }))
        } else {
            Reply::plain_500()
        };
    }
    if matches!(incoming.method, Method::OPTIONS | Method::TRACE) {
        return Reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            .header("allow", "GET, PUT, HEAD, POST, DELETE, PATCH".to_owned());
    }
    if incoming.method != Method::GET {
        return catch_all(caller, state, incoming);
    }
    match path.as_str() {
        "/v1/models" if incoming.host != Host::Api => match caller.allow(Scope::Invoke) {
            Ok(_) => listing::models(state, now),
            Err(text) => Reply::unauthorized(text),
        },
        "/chutes/" => match caller.allow(Scope::Account) {
            Ok(owner) => listing::chutes(state, owner, &incoming.query, now),
            Err(text) => Reply::unauthorized(text),
        },
        "/chutes/utilization" => listing::utilization(state, now),
        "/invocations/stats/llm" => listing::statistics(state, now),
        "/pricing" => listing::pricing(),
        "/api_keys/" => match caller.require(Scope::Account, NO_USER) {
            Ok((account, _)) => api_keys(&state.accounts[account], &incoming.query),
            Err(text) => Reply::unauthorized(text),
        },
        path => {
            if let Some(rest) = path.strip_prefix("/users/") {
                return users(world, state, caller, rest, incoming, now);
            }
            match path.strip_prefix("/chutes/") {
                Some(name) => match caller.allow(Scope::Account) {
                    Ok(owner) => listing::chute(state, owner, name, now),
                    Err(text) => Reply::unauthorized(text),
                },
                None => catch_all(caller, state, incoming),
            }
        }
    }
}

/// Every unknown path and verb falls into an invocation route.
pub(crate) fn catch_all(caller: Caller, state: &State, incoming: &Incoming) -> Reply {
    if let Err(text) = caller.require(Scope::Account, REQUIRED) {
        return Reply::unauthorized(text);
    }
    let mut segments = incoming.path.trim_start_matches('/').split('/');
    let names_chute = segments.next() == Some("chutes")
        && segments.next().is_some_and(|id| state.models.iter().any(|model| model.chute_id == id));
    if names_chute { Reply::no_cord() } else { Reply::no_chute() }
}

fn users(
    world: &World,
    state: &mut State,
    caller: Caller,
    rest: &str,
    incoming: &Incoming,
    now: i64,
) -> Reply {
    let (who, what) = rest.split_once('/').unwrap_or((rest, ""));
    let known = matches!(
        what,
        "" | "quotas" | "subscription_usage" | "discounts" | "price_overrides" | "usage"
    ) || what
        .strip_prefix("quota_usage/")
        .is_some_and(|id| !id.is_empty() && !id.contains('/'));
    if !known || rest.ends_with('/') {
        return catch_all(caller, state, incoming);
    }
    let account = match caller.require(Scope::Account, NO_USER) {
        Ok((account, _)) => account,
        Err(text) => return Reply::unauthorized(text),
    };
    if who != "me" {
        if what.is_empty() && state.find_account(who).is_none() {
            return Reply::not_found("User not found");
        }
        return Reply::detail(StatusCode::FORBIDDEN, ADMINS_ONLY);
    }
    let lag = world.scenario.lag;
    let account = &mut state.accounts[account];
    match what {
        "" => me(account),
        "quotas" => quotas(account),
        "subscription_usage" => {
            let caps = account.meters.shown_caps(now, micros(lag.cap_figures_seconds));
            subscription_usage(account, caps.four_hour_at(now), caps.month_pico, now)
        }
        "discounts" => discounts(account),
        "price_overrides" => price_overrides(account),
        "usage" => usage(account, &incoming.query),
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

fn usage(account: &Account, query: &str) -> Reply {
    let query = Query::new(query);
    let page = match query.integer("page", 0) {
        Ok(page) if page < 0 => return Reply::plain_500(),
        Ok(page) => page,
        Err(reply) => return reply,
    };
    let limit = match query.integer("limit", 24) {
        Ok(limit) if limit < 0 => return Reply::plain_500(),
        Ok(limit) => limit,
        Err(reply) => return reply,
    };
    let mut bounds = [i64::MIN, i64::MAX];
    for (name, bound) in ["start_date", "end_date"].iter().zip(&mut bounds) {
        let Some(text) = query.get(name) else { continue };
        match clock::parse_timestamp(&text) {
            Some((at, Written::Naive)) => *bound = at,
            // The columns are naive: comparing them with an aware value is an unhandled error.
            Some((_, Written::Aware)) => return Reply::plain_500(),
            None => return bad_date(name, &text),
        }
    }
    let per_chute = query.flag("per_chute");
    let chute = query.get("chute_id");
    let mut rows = BTreeMap::new();
    for ((hour, id), row) in &account.usage {
        if chute.as_ref().is_some_and(|wanted| wanted != id)
            || *hour < bounds[0]
            || *hour > bounds[1]
        {
            continue;
        }
        let key = (*hour, if per_chute { id.clone() } else { String::new() });
        let sum: &mut crate::accounts::UsageRow = rows.entry(key).or_default();
        sum.amount_pico += row.amount_pico;
        sum.count += row.count;
        sum.input_tokens += row.input_tokens;
        sum.output_tokens += row.output_tokens;
    }
    let total = rows.len();
    let items: Vec<Value> = rows
        .iter()
        .rev()
        .skip(as_usize(page.saturating_mul(limit)))
        .take(as_usize(limit))
        .map(|((hour, id), row)| {
            let mut item = json!({
                "bucket": clock::iso_naive(*hour),
                "amount": usd(row.amount_pico),
                "count": row.count,
                "input_tokens": row.input_tokens,
                "output_tokens": row.output_tokens,
            });
            if per_chute {
                item["chute_id"] = json!(id);
            }
            item
        })
        .collect();
    Reply::json(&json!({ "total": total, "page": page, "limit": limit, "items": items }))
}

fn api_keys(account: &Account, query: &str) -> Reply {
    let query = Query::new(query);
    let (page, limit) = match (query.integer("page", 0), query.integer("limit", 25)) {
        (Ok(page), Ok(limit)) => (page, limit),
        (Err(reply), _) | (_, Err(reply)) => return reply,
    };
    let name = &account.spec.name;
    let kept: Vec<_> = account.keys.iter().enumerate().filter(|(_, key)| !key.deleted).collect();
    let items: Vec<Value> = kept
        .iter()
        .skip(as_usize(page.saturating_mul(limit)))
        .take(as_usize(limit))
        .map(|(index, key)| {
            let scopes = match key.kind {
                KeyKind::Invoke => vec![json!({
                    "scope_id": ids::uuid("scope", &format!("{name}/{index}")),
                    "object_type": "chutes",
                    "object_id": null,
                    "method": null,
                })],
                KeyKind::Admin | KeyKind::NoScope => Vec::new(),
            };
            json!({
                "api_key_id": ids::key_id(name, *index),
                "user_id": account.user_id,
                "admin": key.kind == KeyKind::Admin,
                "name": format!("key-{index}"),
                "created_at": "2026-01-01T00:00:00",
                "last_used_at": null,
                "scopes": scopes,
            })
        })
        .collect();
    Reply::json(&json!({
        "total": kept.len(), "page": page, "limit": limit, "items": items, "cord_refs": null,
    }))
}

fn bad_date(name: &str, text: &str) -> Reply {
    let detail = json!([{
        "type": "datetime_from_date_parsing",
        "loc": ["query", name],
        "msg": "Input should be a valid datetime or date, input is too short",
        "input": text,
        "ctx": { "error": "input is too short" },
    }]);
    Reply::detail_value(StatusCode::UNPROCESSABLE_ENTITY, &detail)
}

/// A count that is not negative.
pub(crate) fn as_usize(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

/// A query string's pairs.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn new(query: &str) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name), percent_decode(value))
        };
        Self(query.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| matches!(value.as_str(), "true" | "1" | "True" | "yes"))
    }

    /// A whole number, or the validation's 422.
    pub(crate) fn integer(&self, name: &str, default: i64) -> Result<i64, Reply> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().map_err(|_| {
            let detail = json!([{
                "type": "int_parsing",
                "loc": ["query", name],
                "msg": "Input should be a valid integer, unable to parse string as an integer",
                "input": text,
            }]);
            Reply::detail_value(StatusCode::UNPROCESSABLE_ENTITY, &detail)
        })
    }

    /// A whole number within bounds, or the validation's 422.
    pub(crate) fn bounded(
        &self,
        name: &str,
        default: i64,
        (low, high): (i64, i64),
    ) -> Result<i64, Reply> {
        let value = self.integer(name, default)?;
        let (kind, text, bound, key) = if value < low {
            ("greater_than_equal", "greater than or equal to", low, "ge")
        } else if value > high {
            ("less_than_equal", "less than or equal to", high, "le")
        } else {
            return Ok(value);
        };
        let detail = json!([{
            "type": kind,
            "loc": ["query", name],
            "msg": format!("Input should be {text} {bound}"),
            "input": value.to_string(),
            "ctx": { key: bound },
        }]);
        Err(Reply::detail_value(StatusCode::UNPROCESSABLE_ENTITY, &detail))
    }
}

/// Undoes percent encoding; what is not valid stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let decoded = (byte == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match decoded {
            Some(decoded) => {
                bytes.push(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
