//! The platform's public figures: load, statistics, prices. Nobody's key is read here.

use serde_json::{Value, json};

use crate::{
    clock::{self, SECOND},
    ids,
    listing::TAO_USD,
    models::Model,
    query::Query,
    reply::Reply,
    scenario::Scenario,
    specs::{StateSpec, Template},
    world::State,
};

/// `GET /chutes/utilization`.
pub(crate) fn utilization(state: &State, now: i64) -> Reply {
    let rows: Vec<Value> = state.models.iter().map(|model| utilization_row(model, now)).collect();
    Reply::json(&rows)
}

const DAY: i64 = 86_400 * SECOND;

fn utilization_row(model: &Model, now: i64) -> Value {
    let spec = &model.spec;
    let instances = if model.is_hot() { spec.instances } else { 0 };
    let slots = f64::from((spec.concurrency * spec.instances).max(1));
    let (busy, limited) = match spec.state {
        StateSpec::Busy => (0.97, spec.busy_share),
        StateSpec::Hot => {
            let current = (0.3 + f64::from(model.in_flight) / slots).min(1.0);
            let asked = model.served + model.refused;
            (current, if asked == 0 { 0.0 } else { model.refused as f64 / asked as f64 })
        }
        StateSpec::Cold | StateSpec::Disabled => (0.0, 0.0),
    };
    let busy = spec.utilization.unwrap_or(busy);
    let limited = spec.rate_limit_ratio.unwrap_or(limited);
    let quiet = instances == 0;
    let share = |value: f64| if quiet { Value::Null } else { json!(value) };
    let target = instances + u32::from(spec.state == StateSpec::Busy);
    let name = if spec.private_to.is_some() { "[private chute]" } else { spec.name.as_str() };
    // Samples are taken once a minute.
    let sampled = now - now.rem_euclid(60 * SECOND);
    json!({
        "chute_id": model.chute_id,
        "name": name,
        "timestamp": clock::iso_naive(sampled),
        "utilization_current": busy,
        "utilization_5m": share(busy),
        "utilization_15m": share(busy),
        "utilization_1h": share(busy),
        "rate_limit_ratio_5m": share(limited),
        "rate_limit_ratio_15m": share(limited),
        "rate_limit_ratio_1h": share(limited),
        "total_requests_5m": share(100.0),
        "total_requests_15m": share(300.0),
        "total_requests_1h": share(1200.0),
        "completed_requests_5m": share(100.0 * (1.0 - limited)),
        "completed_requests_15m": share(300.0 * (1.0 - limited)),
        "completed_requests_1h": share(1200.0 * (1.0 - limited)),
        "rate_limited_requests_5m": share(100.0 * limited),
        "rate_limited_requests_15m": share(300.0 * limited),
        "rate_limited_requests_1h": share(1200.0 * limited),
        "instance_count": instances,
        "action_taken": if target > instances { "scale_up_candidate" } else { "no_action" },
        "target_count": target,
        "effective_multiplier": 1.79,
        "total_instance_count": instances,
        "active_instance_count": instances,
        "scalable": target > instances,
        "scale_allowance": target - instances,
        "avg_busy_ratio": share(busy),
        "total_invocations": share(1200.0),
        "total_rate_limit_errors": share(1200.0 * limited),
    })
}

/// `GET /invocations/stats/llm`: the platform's figures, not the caller's. Dates are not read, as
/// recorded. A cold model has rows of the days before today only.
pub(crate) fn statistics(scenario: &Scenario, state: &State, query: &str, now: i64) -> Reply {
    let wanted = Query::new(query).get("chute_id");
    let mut rows = Vec::new();
    for back in 0..i64::from(scenario.statistics_days) {
        for (place, model) in state.models.iter().enumerate() {
            let spec = &model.spec;
            if spec.template != Template::Vllm
                || wanted.as_ref().is_some_and(|id| *id != model.chute_id)
                || (back == 0 && !model.is_hot())
            {
                continue;
            }
            let day = Day { back, date: clock::iso_date(now - back * DAY) };
            rows.push(statistics_row(scenario.seed, model, place, &day));
        }
    }
    Reply::json(&rows)
}

/// A day of the statistics.
struct Day {
    back: i64,
    date: String,
}

fn statistics_row(seed: u64, model: &Model, place: usize, day: &Day) -> Value {
    let spec = &model.spec;
    let label = |what: &str| format!("{}/{}/{what}", spec.name, day.date);
    // Today's figures are the ones the scenario names; other days sway around them.
    let sway = |what: &str| {
        if day.back == 0 { 1.0 } else { 0.9 + 0.2 * ids::share(seed, &label(what)) }
    };
    let popularity = 200_000 / (place as u64 + 2);
    let requests = popularity / 2 + ids::draw(seed, &label("requests"), popularity.max(2));
    let requests = requests + if day.back == 0 { model.served } else { 0 };
    let average = |what: &str, low: u64, width: u64| low + ids::draw(seed, &label(what), width);
    json!({
        "chute_id": model.chute_id,
        "name": if spec.private_to.is_some() { "[private]" } else { spec.name.as_str() },
        "date": day.date,
        "total_requests": requests,
        "total_input_tokens": requests * average("input", 800, 9000),
        "total_output_tokens": requests * average("output", 100, 900),
        "average_tps": hundredths(spec.measured_tokens_per_second(seed) * sway("tps")),
        "average_ttft": hundredths(spec.measured_ttft_seconds(seed) * sway("ttft")),
    })
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// `GET /invocations/stats/diffusion`.
pub(crate) fn diffusion_statistics(state: &State, now: i64) -> Reply {
    let rows: Vec<Value> = state
        .models
        .iter()
        .filter(|model| model.spec.template == Template::Diffusion && model.is_hot())
        .map(|model| {
            json!({
                "chute_id": model.chute_id,
                "name": model.spec.name,
                "date": clock::iso_date(now),
                "total_requests": 100 + model.served,
                "total_steps": 3000 + 30 * model.served,
                "average_sps": 6.5,
            })
        })
        .collect();
    Reply::json(&rows)
}

/// `GET /invocations/usage`: what the platform took in, by model and day, for eleven days.
pub(crate) fn usage(scenario: &Scenario, state: &State, now: i64) -> Reply {
    const DAYS: i64 = 11;
    let mut rows = Vec::new();
    for back in 0..DAYS {
        let date = clock::iso_date(now - back * DAY);
        for (place, model) in state.models.iter().enumerate() {
            let label = format!("{}/{date}/takings", model.spec.name);
            let popularity = (200_000 / (place as u64 + 2)).max(2);
            let count = popularity / 2 + ids::draw(scenario.seed, &label, popularity);
            let each = (model.spec.price_in * 4000.0 + model.spec.price_out * 500.0) / 1e6;
            rows.push(json!({
                "chute_id": model.chute_id,
                "date": date,
                "usd_amount": hundredths(count as f64 * each / 4.0),
                "invocation_count": count,
            }));
        }
    }
    Reply::json(&rows)
}

/// `GET /pricing`.
pub(crate) fn pricing() -> Reply {
    let hourly = |usd: f64| {
        json!({
            "usd": { "hour": usd, "second": usd / 3600.0 },
            "tao": { "hour": usd / TAO_USD, "second": usd / TAO_USD / 3600.0 },
        })
    };
    Reply::json(&json!({
        "tao_usd": TAO_USD,
        "compute_unit_estimate": {
            "usd": 1.0 / 3600.0,
            "tao": 1.0 / TAO_USD / 3600.0,
            "description": "price of one compute unit for one second",
        },
        "gpu_price_estimates": {
            "h100": hourly(1.79), "h200": hourly(2.75), "b200": hourly(4.5), "a100": hourly(1.2),
        },
    }))
}
