//! Proofs of confidential machines, and the directory of instances for end-to-end encryption.
//!
//! Quotes have a quote's length and the report data in its place; nothing in them can be verified.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    auth::{NO_USER, Scope},
    base64,
    clock::SECOND,
    ids, listing,
    management::Asked,
    models::Model,
    query::Query,
    reply::Reply,
    validation,
    world::State,
};

const CALLS_PER_MINUTE: u32 = 60;
const QUOTE_BYTES: usize = 632;
const REPORT_DATA_AT: usize = 568;
const PUBLIC_KEY_BYTES: usize = 1184;
const NONCES: usize = 10;
const NONCE_SECONDS: i64 = 60;
const MOST_INSTANCES: usize = 5;
/// From this version on an instance can prove itself.
const FIRST_VERSION: (u32, u32) = (0, 6);

/// Answers evidence and the end-to-end paths.
pub(crate) fn serve(state: &mut State, asked: &Asked<'_>, path: &str) -> Option<Reply> {
    let answer = if let Some(chute_id) = path.strip_prefix("/e2e/instances/") {
        directory(state, asked, chute_id)
    } else if let Some(rest) = path.strip_prefix("/instances/") {
        of_instance(state, asked, rest.strip_suffix("/evidence")?)
    } else {
        of_chute(state, asked, path.strip_prefix("/chutes/")?.strip_suffix("/evidence")?)
    };
    Some(answer.unwrap_or_else(|refusal| refusal))
}

/// The whole platform shares the limit, and it comes before every other complaint.
fn count(calls: &mut (i64, u32), now: i64) -> Result<(), Reply> {
    let minute = now.div_euclid(60 * SECOND);
    if calls.0 != minute {
        *calls = (minute, 0);
    }
    calls.1 = calls.1.saturating_add(1);
    if calls.1 > CALLS_PER_MINUTE {
        let text = "Rate limit exceeded. Try again later.";
        return Err(Reply::detail(StatusCode::TOO_MANY_REQUESTS, text));
    }
    Ok(())
}

fn nonce(asked: &Asked<'_>) -> Result<String, Reply> {
    let bad = |text: &str| Err(Reply::detail(StatusCode::BAD_REQUEST, text));
    let Some(nonce) = Query::new(&asked.incoming.query).get("nonce") else {
        return Err(validation::missing(&json!(["query", "nonce"]), &Value::Null));
    };
    match nonce.chars().count() {
        0 => bad("Nonce is required"),
        64 if nonce.chars().all(|c| c.is_ascii_hexdigit()) => Ok(nonce),
        64 => bad("Nonce must be a valid hexadecimal string"),
        length => bad(&format!("Nonce must be exactly 64 hex characters (32 bytes), got {length}")),
    }
}

fn of_chute(state: &mut State, asked: &Asked<'_>, name: &str) -> Result<Reply, Reply> {
    count(&mut state.evidence_calls, asked.now)?;
    let owner = asked.caller.allow(state, Scope::Admin)?;
    let nonce = nonce(asked)?;
    let found = state.find_model(name).ok_or_else(|| Reply::not_found("Chute not found"))?;
    let model = &state.models[found];
    if !listing::visible(state, model, owner) {
        return Err(Reply::not_found("Chute not found, or does not belong to you"));
    }
    can_prove(model)?;
    let (mut proofs, mut failed) = (Vec::new(), Vec::new());
    for index in 0..model.running_instances() {
        let id = listing::instance_id(model, index);
        if model.spec.evidence_fails {
            failed.push(id);
        } else {
            proofs.push(proof(&id, &nonce));
        }
    }
    Ok(Reply::json(&json!({ "evidence": proofs, "failed_instance_ids": failed })))
}

fn can_prove(model: &Model) -> Result<(), Reply> {
    let bad = |text: &str| Err(Reply::detail(StatusCode::BAD_REQUEST, text));
    if !model.spec.tee {
        return bad(&format!("Chute {} is not TEE-enabled", model.chute_id));
    }
    let mut parts = model.spec.chutes_version.split('.').map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version < FIRST_VERSION {
        return bad("Instances requires chutes_version >= 0.6.0 to retrieve evidence.");
    }
    Ok(())
}

fn of_instance(state: &mut State, asked: &Asked<'_>, id: &str) -> Result<Reply, Reply> {
    count(&mut state.instance_evidence_calls, asked.now)?;
    let account = asked.caller.require(state, Scope::Admin, NO_USER)?;
    let nonce = nonce(asked)?;
    let holds = |model: &&Model| {
        (0..model.running_instances()).any(|index| listing::instance_id(model, index) == id)
    };
    let Some(model) = state.models.iter().find(holds) else {
        return Err(Reply::not_found(&format!("Instance {id} not found")));
    };
    if !listing::visible(state, model, Some(account)) {
        let text = "You do not have access to this instance";
        return Err(Reply::detail(StatusCode::FORBIDDEN, text));
    }
    can_prove(model)?;
    Ok(Reply::json(&proof(id, &nonce)))
}

/// The public key of an instance: ML-KEM-768 in length, and not a key.
fn public_key(instance_id: &str) -> String {
    base64::encode(&ids::stretch(&["e2e-key", instance_id], PUBLIC_KEY_BYTES))
}

fn proof(instance_id: &str, nonce: &str) -> Value {
    let mut quote = ids::stretch(&["quote", instance_id], QUOTE_BYTES);
    let bound = ids::sha256(format!("{nonce}{}", public_key(instance_id)).as_bytes());
    for (place, byte) in quote.iter_mut().skip(REPORT_DATA_AT).zip(bound) {
        *place = byte;
    }
    json!({
        "quote": base64::encode(&quote),
        "gpu_evidence": [{
            "arch": "HOPPER",
            "nonce": nonce,
            "evidence": base64::encode(&ids::stretch(&["gpu", instance_id, nonce], 256)),
            "certificate": base64::encode(&ids::stretch(&["gpu-certificate", instance_id], 256)),
        }],
        "instance_id": instance_id,
        "certificate": base64::encode(&ids::stretch(&["certificate", instance_id], 512)),
    })
}

/// `GET /e2e/instances/{chute_id}`.
fn directory(state: &mut State, asked: &Asked<'_>, chute_id: &str) -> Result<Reply, Reply> {
    let account = asked.caller.require(state, Scope::InvokeChute(chute_id), NO_USER)?;
    let unknown = || Reply::not_found("Chute not found");
    let found = state.find_model(chute_id).ok_or_else(unknown)?;
    let model = &state.models[found];
    if model.chute_id != chute_id || !listing::visible(state, model, Some(account)) {
        return Err(unknown());
    }
    let running = model.running_instances();
    if running == 0 {
        return Err(Reply::not_found("No active instances found for this chute"));
    }
    if !model.spec.end_to_end {
        return Err(Reply::not_found("No E2E-capable instances available"));
    }
    let ids: Vec<String> = (0..running).map(|index| listing::instance_id(model, index)).collect();
    let mut instances = Vec::new();
    let expires_at = asked.now.div_euclid(SECOND) + NONCE_SECONDS;
    let skip = usize::try_from(state.draw()).unwrap_or(0);
    for at in 0..ids.len().min(MOST_INSTANCES) {
        let id = &ids[(skip + at) % ids.len()];
        let nonces: Vec<String> = (0..NONCES)
            .map(|_| ids::hex32("e2e-nonce", &format!("{id}/{}", state.next_number())))
            .collect();
        for nonce in &nonces {
            state.end_to_end_nonces.push((nonce.clone(), id.clone(), account, expires_at));
        }
        instances.push(json!({
            "instance_id": id, "e2e_pubkey": public_key(id), "nonces": nonces,
        }));
    }
    Ok(Reply::json(&json!({
        "instances": instances,
        "nonce_expires_in": NONCE_SECONDS,
        "nonce_expires_at": expires_at,
    })))
}

/// `POST /e2e/invoke`: every check before the cipher; what is encrypted cannot be read here, which
/// is answered as an instance that lost its keys.
pub(crate) fn invoke(state: &mut State, asked: &Asked<'_>) -> Option<Reply> {
    (asked.incoming.method == Method::POST)
        .then(|| try_invoke(state, asked).unwrap_or_else(|refusal| refusal))
}

fn try_invoke(state: &mut State, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let header = |name: &str| {
        let value = asked.incoming.headers.get(name).and_then(|value| value.to_str().ok());
        value
            .map(str::to_owned)
            .ok_or_else(|| validation::missing(&json!(["header", name]), &Value::Null))
    };
    let chute_id = header("x-chute-id")?;
    let account = asked.caller.require(state, Scope::InvokeChute(&chute_id), NO_USER)?;
    let (instance_id, nonce) = (header("x-instance-id")?, header("x-e2e-nonce")?);
    let second = asked.now.div_euclid(SECOND);
    let known = (nonce, instance_id.clone(), account);
    let found = state
        .end_to_end_nonces
        .iter()
        .position(|(n, i, a, ends)| (n, i, a) == (&known.0, &known.1, &known.2) && second < *ends);
    let Some(found) = found else {
        let text = "Invalid, expired, or already-used nonce";
        return Err(Reply::detail(StatusCode::FORBIDDEN, text));
    };
    state.end_to_end_nonces.swap_remove(found);
    let model = state.find_model(&chute_id).map(|at| &state.models[at]);
    let runs = model.is_some_and(|model| {
        (0..model.running_instances())
            .any(|index| listing::instance_id(model, index) == instance_id)
    });
    if !runs {
        return Err(Reply::detail(StatusCode::GONE, "Instance is no longer active"));
    }
    if asked.incoming.body.is_empty() {
        return Err(Reply::detail(StatusCode::BAD_REQUEST, "Empty request body"));
    }
    Err(Reply::detail(
        StatusCode::BAD_GATEWAY,
        "Instance requires key exchange, try a different instance",
    ))
}
