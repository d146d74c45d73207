//! The platform's odds and ends: code of chutes, bounties, views for miners, money. Simple and
//! plausible; few clients read them.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    auth::Scope,
    clock::{self, SECOND},
    ids,
    listing::{self, TAO_USD},
    management::Asked,
    models::Model,
    reply::Reply,
    specs::Template,
    world::State,
};

const DAY: i64 = 86_400 * SECOND;
const MINER: &str = "5Minerxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// Answers the paths nobody's business depends on.
pub(crate) fn serve(state: &State, asked: &Asked<'_>, path: &str) -> Option<Reply> {
    Some(match path {
        "/chutes/boosted" | "/chutes/affine_available" | "/chutes/rolling_updates" => {
            Reply::json(&json!([]))
        }
        "/chutes/gpu_count_history" => {
            let rows: Vec<Value> = state
                .models
                .iter()
                .map(|model| json!({ "chute_id": model.chute_id, "gpu_count": 1 }))
                .collect();
            Reply::json(&rows)
        }
        "/chutes/miner_means" => html("Metrics"),
        "/bounties/" => bounties(state, asked.now),
        "/fmv" => Reply::json(&json!({ "tao": TAO_USD })),
        "/payments" => Reply::json(&json!({ "total": 0, "page": 0, "limit": 100, "items": [] })),
        "/payments/summary/tao" => {
            Reply::json(&json!({ "today": 12.5, "this_month": 310.0, "total": 98_000.0 }))
        }
        "/daily_revenue_summary" => Reply::json(&revenue(asked.now)),
        "/openapi.json" => Reply::json(&json!({
            "openapi": "3.1.0",
            "info": { "title": "FastAPI", "version": "0.1.0" },
            "paths": {},
        })),
        "/docs" => html("FastAPI - Swagger UI"),
        path => {
            if let Some(id) = path.strip_prefix("/chutes/code/") {
                return Some(code(state, asked, id));
            }
            return miner_means(state, path.strip_prefix("/chutes/miner_means/")?);
        }
    })
}

fn html(title: &str) -> Reply {
    let page = format!(
        "<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n<body></body>\n</html>\n"
    );
    Reply::new(StatusCode::OK, "text/html; charset=utf-8", page)
}

fn bounties(state: &State, now: i64) -> Reply {
    let row = |model: &Model| {
        let (amount, raised_at) = model.bounty?;
        let elapsed = (now - raised_at).div_euclid(SECOND);
        Some(json!({
            "chute_id": model.chute_id,
            "bounty_amount": amount,
            "seconds_elapsed": elapsed,
            "time_remaining": (DAY / SECOND - elapsed).max(0),
            "created_at": raised_at as f64 / SECOND as f64,
        }))
    };
    let rows: Vec<Value> = state.models.iter().filter_map(row).collect();
    Reply::json(&rows)
}

fn revenue(now: i64) -> Vec<Value> {
    (0..7)
        .map(|back| {
            json!({
                "date": clock::iso_date(now - back * DAY),
                "new_subscriber_count": 40,
                "new_subscriber_revenue": 520.0,
                "paygo_revenue": 12_500.0,
                "pending_instance_revenue": 800.0,
                "sponsored_inference": 0.0,
                "total_revenue": 13_820.0,
            })
        })
        .collect()
}

/// `GET /users/growth`: how many accounts were made on each of the last days.
pub(crate) fn growth(now: i64) -> Reply {
    let rows: Vec<Value> = (0_i64..7)
        .map(|back| {
            json!({
                "date": clock::iso_date(now - back * DAY),
                "daily_count": 120,
                "cumulative_count": 90_000 - 120 * back,
            })
        })
        .collect();
    Reply::json(&rows)
}

/// `GET /chutes/code/{id}`: by id or name, for whoever may see the chute.
fn code(state: &State, asked: &Asked<'_>, id: &str) -> Reply {
    let owner = match asked.caller.allow(state, Scope::Admin) {
        Ok(owner) => owner,
        Err(refusal) => return refusal,
    };
    let found = state.find_model(id).map(|at| &state.models[at]);
    let Some(model) = found.filter(|model| listing::visible(state, model, owner)) else {
        return Reply::not_found("Chute not found, or does not belong to you");
    };
    let engine = if model.spec.template == Template::Vllm { "sglang" } else { "embedding" };
    let text = format!(
        "from chutes.chute import NodeSelector\n\n# emulated: what {engine} serves as {}\n\
         chute = None\n",
        model.spec.name
    );
    Reply::new(StatusCode::OK, "text/plain; charset=utf-8", text)
}

fn miner_means(state: &State, rest: &str) -> Option<Reply> {
    let (id, kind) = rest.split_once('.').unwrap_or((rest, ""));
    let model = state.models.iter().find(|model| model.chute_id == id);
    let speed = model.map_or(0.0, |model| model.spec.measured_tokens_per_second(0));
    let instances: Vec<String> = model.map_or(Vec::new(), |model| {
        (0..model.running_instances()).map(|index| listing::instance_id(model, index)).collect()
    });
    let output = 200 + ids::draw(0, id, 400);
    Some(match kind {
        "json" => Reply::json(
            &instances
                .iter()
                .map(|instance| {
                    json!({
                        "miner_hotkey": MINER,
                        "instance_id": instance,
                        "avg_tps": speed,
                        "avg_output_tokens": output as f64,
                    })
                })
                .collect::<Vec<Value>>(),
        ),
        "csv" => {
            let mut text = "instance_id,miner_hotkey,avg_tps,avg_output_tokens\n".to_owned();
            for instance in &instances {
                text.push_str(&format!("{instance},{MINER},{speed},{output}\n"));
            }
            Reply::new(StatusCode::OK, "text/csv; charset=utf-8", text)
        }
        "" => html("Chute metrics"),
        _ => return None,
    })
}
