//! Usage by the hour: `/users/me/usage`, and the history a scenario gives an account.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    accounts::{Account, UsageRow, list_price},
    catalogue::{pico, usd},
    clock::{self, SECOND, Written},
    ids,
    query::{Query, as_usize},
    quota::Tokens,
    reply::Reply,
    scenario::Scenario,
    specs::{AccountSpec, ModelSpec, PlanSpec, Template, UsageHistory},
};

const HOUR: i64 = 3600 * SECOND;

/// The rows of the time before the start: those given one by one, and those drawn from the seed.
pub(crate) fn before_start(
    scenario: &Scenario,
    account: &AccountSpec,
    now: i64,
) -> BTreeMap<(i64, String), UsageRow> {
    let mut rows = BTreeMap::new();
    if let Some(history) = &account.usage_history {
        draw_history(scenario, account, history, now, &mut rows);
    }
    for given in &account.usage_rows {
        let Some((at, _)) = clock::parse_timestamp(&given.at) else { continue };
        let row: &mut UsageRow =
            rows.entry((hour_of(at), ids::chute_id(&given.model))).or_default();
        row.amount_pico += pico(given.amount_usd);
        row.count += given.count;
        row.input_tokens += given.input_tokens;
        row.output_tokens += given.output_tokens;
    }
    rows
}

/// The start of the UTC hour.
pub(crate) fn hour_of(now: i64) -> i64 {
    now.div_euclid(HOUR) * HOUR
}

fn draw_history(
    scenario: &Scenario,
    account: &AccountSpec,
    history: &UsageHistory,
    now: i64,
    rows: &mut BTreeMap<(i64, String), UsageRow>,
) {
    let is_called = |model: &&ModelSpec| {
        if history.models.is_empty() {
            model.private_to.is_none() && model.template == Template::Vllm
        } else {
            history.models.contains(&model.name)
        }
    };
    let models: Vec<&ModelSpec> = scenario.models.iter().filter(is_called).take(8).collect();
    let paid = history.paid.unwrap_or(account.plan == PlanSpec::Paygo);
    let Some(choices) = u64::try_from(models.len()).ok().filter(|count| *count > 0) else { return };
    for back in 1..=i64::from(history.hours) {
        let hour = hour_of(now) - back * HOUR;
        let draw = |what: &str, below: u64| {
            let label = format!("{}/{}/{what}", account.name, hour / HOUR);
            ids::draw(scenario.seed, &label, below)
        };
        if draw("quiet", 4) == 0 {
            continue;
        }
        for turn in 0..=draw("models", choices.min(2)) {
            let at = (draw("first", choices) + turn) % choices;
            let Some(model) = usize::try_from(at).ok().and_then(|at| models.get(at)) else {
                continue;
            };
            let count = 1 + draw(&format!("count/{turn}"), (history.calls_per_hour * 2).max(1));
            let prompt = 400 + draw(&format!("prompt/{turn}"), 6000);
            let completion = 80 + draw(&format!("completion/{turn}"), 900);
            let tokens = Tokens { prompt, cached: prompt / 4, completion, flat_pico: 0 };
            let cost = if paid { list_price(model).cost(tokens) } else { 0 };
            let row = rows.entry((hour, ids::chute_id(&model.name))).or_default();
            row.amount_pico += cost * i64::try_from(count).unwrap_or(0);
            row.count += count;
            row.input_tokens += count * prompt;
            row.output_tokens += count * completion;
        }
    }
}

/// `GET /users/me/usage`.
pub(crate) fn page(account: &Account, query: &str) -> Reply {
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
        let sum: &mut UsageRow = rows.entry(key).or_default();
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
