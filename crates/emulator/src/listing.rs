//! The public lists of models and chutes.

use serde_json::{Map, Value, json};

use crate::{
    clock::{self, SECOND},
    ids,
    models::Model,
    query::{Query, as_usize},
    reply::Reply,
    specs::{ModelSpec, StateSpec, Template},
    world::State,
};

/// Dollars for one TAO, the same as in the recordings.
pub(crate) const TAO_USD: f64 = 230.5;
/// Dollars for an hour of the one kind of machine that runs everything here.
const HOURLY_USD: f64 = 1.79;

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

fn both(price_usd: f64) -> Value {
    json!({ "usd": price_usd, "tao": rounded(price_usd / TAO_USD) })
}

/// `GET /v1/models`.
pub(crate) fn models(state: &State, query: &str, now: i64) -> Reply {
    let listed_only = Query::new(query).flag("or");
    let data: Vec<Value> = state
        .models
        .iter()
        .filter(|m| m.spec.openrouter || !listed_only)
        .filter(|m| m.spec.template == Template::Vllm && m.spec.private_to.is_none())
        .map(|model| listed_model(model, now))
        .collect();
    Reply::json(&json!({ "object": "list", "data": data }))
}

fn listed_model(model: &Model, now: i64) -> Value {
    let spec = &model.spec;
    let factor = 1.0 - spec.discount;
    let price = |usd: f64| rounded(usd * factor);
    let (input, output, cached) =
        (price(spec.price_in), price(spec.price_out), price(spec.price_cached));
    // The row of a cold model is as old as its last instance.
    let age_seconds = if model.is_hot() { 300 } else { 30 * 86_400 };
    let mut item = json!({
        "id": spec.name,
        "root": spec.name.replace("-TEE", "-FP8"),
        "price": { "input": both(input), "output": both(output), "input_cache_read": both(cached) },
        "object": "model",
        "parent": null,
        "created": now.div_euclid(SECOND) - age_seconds,
        "pricing": { "prompt": input, "completion": output, "input_cache_read": cached },
        "chute_id": model.chute_id,
        "owned_by": "sglang",
        "max_model_len": spec.context_length,
        "confidential_compute": spec.tee,
    });
    if let (Some(item), false) = (item.as_object_mut(), spec.quantization.is_empty()) {
        let optional: Map<String, Value> = [
            ("quantization", json!(spec.quantization)),
            ("context_length", json!(spec.context_length)),
            ("max_output_length", json!(spec.max_output_length)),
            ("input_modalities", json!(spec.input_modalities)),
            ("output_modalities", json!(["text"])),
            ("supported_features", json!(spec.features)),
            ("supported_sampling_parameters", json!(["temperature", "top_p"])),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect();
        item.extend(optional);
    }
    item
}

/// Whether an account, or nobody, may see the model.
pub(crate) fn visible(state: &State, model: &Model, owner: Option<usize>) -> bool {
    model.spec.private_to.as_ref().is_none_or(|private_to| {
        owner.is_some_and(|owner| &state.accounts[owner].spec.name == private_to)
    })
}

/// `GET /chutes/`.
pub(crate) fn chutes(state: &State, owner: Option<usize>, query: &str, now: i64) -> Reply {
    let query = Query::new(query);
    let bounds = [
        query.bounded("page", 0, (0, 100)),
        query.bounded("limit", 25, (1, 5000)),
        query.bounded("offset", 0, (0, 5000)),
    ];
    let [page, limit, offset] = match bounds {
        [Ok(page), Ok(limit), Ok(offset)] => [page, limit, offset],
        [Err(reply), ..] | [_, Err(reply), _] | [.., Err(reply)] => return reply,
    };
    if query.get("page").is_some() && query.get("offset").is_some() {
        return Reply::detail(
            http::StatusCode::BAD_REQUEST,
            "Cannot specify both page and offset, select <= 1 of these.",
        );
    }
    let public = owner.is_none() || query.flag("include_public");
    let lower = |name: &str| query.get(name).map(|text| text.to_lowercase());
    let (name, exclude) = (lower("name"), lower("exclude"));
    let (wanted_template, wanted_slug) = (query.get("template"), query.get("slug"));
    let by_image = query.get("image").is_some();
    let found: Vec<&Model> = state
        .models
        .iter()
        .filter(|model| {
            let spec = &model.spec;
            let model_name = spec.name.to_lowercase();
            (if spec.private_to.is_none() { public } else { visible(state, model, owner) })
                && wanted_template.as_ref().is_none_or(|wanted| wanted == template(spec.template))
                && name.as_ref().is_none_or(|wanted| model_name.contains(wanted))
                && exclude.as_ref().is_none_or(|unwanted| !model_name.contains(unwanted))
                && wanted_slug.as_ref().is_none_or(|wanted| *wanted == slug(&spec.name))
                && !by_image
        })
        .collect();
    let skip = as_usize(page.saturating_mul(limit)) + as_usize(offset);
    let items: Vec<&Model> = found.iter().skip(skip).take(as_usize(limit)).copied().collect();
    let mut cord_refs = Map::new();
    for model in &items {
        let kind = model.spec.template;
        cord_refs.entry(cord_ref(kind)).or_insert_with(|| cords(kind));
    }
    let fixed = fixed_fields().to_string();
    let texts: Vec<String> =
        items.iter().map(|model| chute_text(state, model, true, now, &fixed)).collect();
    let text = format!(
        "{{\"total\":{},\"page\":{page},\"limit\":{limit},\"items\":[{}],\"cord_refs\":{}}}",
        found.len(),
        texts.join(","),
        Value::Object(cord_refs)
    );
    Reply::new(http::StatusCode::OK, crate::reply::JSON, text)
}

/// `GET /chutes/{id_or_name}`.
pub(crate) fn chute(state: &State, owner: Option<usize>, name: &str, now: i64) -> Reply {
    let found = state.find_model(name).map(|at| &state.models[at]);
    match found.filter(|model| visible(state, model, owner)) {
        Some(model) => {
            let fixed = fixed_fields().to_string();
            let text = chute_text(state, model, false, now, &fixed);
            Reply::new(http::StatusCode::OK, crate::reply::JSON, text)
        }
        None => Reply::not_found("Chute not found, or does not belong to you"),
    }
}

fn template(template: Template) -> &'static str {
    match template {
        Template::Vllm => "vllm",
        Template::Embedding => "embedding",
        Template::Diffusion => "diffusion",
    }
}

/// The first label of a chute's own host.
pub(crate) fn slug(name: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() { c } else { '-' };
    format!("chutes-{}", name.to_lowercase().chars().map(letter).collect::<String>())
}

fn cord_ref(kind: Template) -> String {
    ids::uuid("cords", template(kind))
}

fn cords(kind: Template) -> Value {
    let one = |function: &str, path: &str, stream: bool| {
        json!({
            "method": "POST",
            "path": format!("/{function}"),
            "function": function,
            "stream": stream,
            "passthrough": true,
            "public_api_path": path,
            "public_api_method": "POST",
            "output_content_type": if stream { "text/event-stream" } else { "application/json" },
        })
    };
    match kind {
        Template::Vllm => json!([
            one("chat_stream", "/v1/chat/completions", true),
            one("completion_stream", "/v1/completions", true),
            one("chat", "/v1/chat/completions", false),
            one("completion", "/v1/completions", false),
        ]),
        Template::Embedding => json!([one("embeddings", "/v1/embeddings", false)]),
        Template::Diffusion => json!([one("generate", "/generate", false)]),
    }
}

/// One chute. What is the same for every one comes as text: a long list would build it anew each time.
fn chute_text(state: &State, model: &Model, in_list: bool, now: i64, fixed: &str) -> String {
    let spec = &model.spec;
    let place = state.find_model(&model.chute_id).unwrap_or(0);
    let instances = instances(model, now);
    let owner = spec.private_to.as_deref().unwrap_or("chutes");
    let body = json!({
        "chute_id": model.chute_id,
        "name": spec.name,
        "tagline": "",
        "readme": "",
        "public": spec.private_to.is_none(),
        "version": ids::uuid("version", &spec.name),
        "tool_description": null,
        "slug": slug(&spec.name),
        "standard_template": template(spec.template),
        "cords": if in_list { Value::Null } else { cords(spec.template) },
        "jobs": [],
        "cord_ref_id": if in_list { json!(cord_ref(spec.template)) } else { Value::Null },
        "user": user(owner),
        "invocation_count": 1000 * (state.models.len() - place) as u64 + model.served,
        "current_estimated_price": price(spec),
        "hot": model.running_instances() > 0,
        "instances": instances,
        "openrouter": spec.private_to.is_none() && spec.openrouter,
        "chutes_version": spec.chutes_version,
        "concurrency": spec.concurrency,
        "tee": spec.tee,
        "bounty": model.bounty.map(|(amount, _)| amount),
        "disabled": spec.state == StateSpec::Disabled,
    });
    let body = body.to_string();
    let fields = fixed.strip_prefix('{').unwrap_or_default();
    format!("{},{fields}", body.strip_suffix('}').unwrap_or_default())
}

/// The id of one of a model's standing instances.
pub(crate) fn instance_id(model: &Model, index: u32) -> String {
    let mut standing = model.instances.iter().filter(|instance| !instance.deleted);
    let found = usize::try_from(index).ok().and_then(|index| standing.nth(index));
    found.map(|instance| instance.id.clone()).unwrap_or_default()
}

fn instances(model: &Model, now: i64) -> Vec<Value> {
    let verified = clock::iso_naive(now - now.rem_euclid(3600 * SECOND));
    let unverified = model.spec.unverified;
    let count = if unverified { model.spec.instances } else { model.running_instances() };
    (0..count)
        .map(|index| {
            json!({
                "instance_id": instance_id(model, index),
                "region": "n/a",
                "active": true,
                "verified": !unverified,
                "last_verified_at": (!unverified).then(|| format!("{verified}Z")),
            })
        })
        .collect()
}

fn price(spec: &ModelSpec) -> Value {
    let factor = 1.0 - spec.discount;
    let hourly = HOURLY_USD * factor;
    let mut price = json!({
        "usd": { "hour": hourly, "second": hourly / 3600.0 },
        "tao": { "hour": hourly / TAO_USD, "second": hourly / TAO_USD / 3600.0 },
    });
    if spec.template == Template::Vllm {
        price["per_million_tokens"] = json!({
            "input": both(rounded(spec.price_in * factor)),
            "output": both(rounded(spec.price_out * factor)),
            "input_cache_read": both(rounded(spec.price_cached * factor)),
        });
    }
    price
}

/// What is the same for every chute here.
fn fixed_fields() -> Value {
    json!({
        "created_at": "2026-03-01T00:00:00Z",
        "updated_at": "2026-08-01T00:00:00Z",
        "supported_gpus": ["h100"],
        "logo_id": null,
        "logo": null,
        "revision": null,
        "boost": 1.0,
        "image": image(),
        "node_selector": {
            "dynamic": false, "exclude": null, "include": ["h100"], "gpu_count": 1,
            "min_vram_gb_per_gpu": 80, "compute_multiplier": HOURLY_USD, "supported_gpus": ["h100"],
        },
        "max_instances": null,
        "scaling_threshold": null,
        "shutdown_after_seconds": 300,
        "preemptible": true,
        "allow_external_egress": false,
        "effective_compute_multiplier": HOURLY_USD,
        "compute_multiplier_factors": { "base": HOURLY_USD, "urgency_boost": 1.0 },
        "execution_backend": "hosted",
        "lock_modules": true,
    })
}

fn user(name: &str) -> Value {
    json!({
        "username": name,
        "user_id": ids::user_id(name),
        "logo_id": null,
        "created_at": "2025-08-04T10:00:00Z",
        "logo": null,
    })
}

fn image() -> Value {
    json!({
        "image_id": ids::uuid("image", "sglang"),
        "name": "sglang",
        "readme": "",
        "tag": "nightly-2026022800",
        "public": true,
        "status": "built and pushed",
        "created_at": "2026-02-01T00:00:00Z",
        "build_started_at": "2026-02-01T00:00:00Z",
        "build_completed_at": "2026-02-01T01:00:00Z",
        "user": user("chutes"),
        "logo_id": null,
        "patch_version": "initial",
        "chutes_version": "0.6.1",
        "logo": null,
    })
}
