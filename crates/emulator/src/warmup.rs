//! `GET /chutes/warmup/{id_or_name}`: asks for instances, and so raises a bounty.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    accounts::python_float,
    auth::{Caller, NO_USER, Scope},
    calls::LogTicket,
    catalogue::usd,
    connection::ConnectionControl,
    inference::{Incoming, Outcome},
    listing,
    log::Ended,
    query::{Query, percent_decode},
    render::Identity,
    reply::Reply,
    specs::StateSpec,
    stream::{Step, StepBody},
    world::{State, World},
};

/// A cold model's stream says so every five seconds for ten minutes, then ends without a last word.
const EVENT_SECONDS: u64 = 5;
const EVENTS: u32 = 120;

/// Answers the warmup path; gives the ticket back for every other one.
pub(crate) fn serve(
    world: &Arc<World>,
    incoming: &Incoming,
    connection: &Arc<ConnectionControl>,
    ticket: LogTicket,
) -> Result<Outcome, LogTicket> {
    let path = percent_decode(&incoming.path);
    let name = path.strip_prefix("/chutes/warmup/").filter(|name| !name.is_empty());
    let (Some(name), &http::Method::GET) = (name, &incoming.method) else { return Err(ticket) };
    let model = match begin(world, incoming, name, &ticket) {
        Ok(model) => model,
        Err(reply) => return Ok(Outcome::Reply(*reply, ticket)),
    };
    if Query::new(&incoming.query).flag("quick") {
        return Ok(Outcome::Reply(quick(&world.state(), model), ticket));
    }
    let reply = Reply::new(StatusCode::OK, "text/event-stream; charset=utf-8", Bytes::new());
    let steps = vec![Step::AwaitInstances { model, left: EVENTS }, Step::End(Ended::Complete)];
    let body = StepBody::new(steps, Identity::none(), Arc::clone(connection), None, ticket);
    Ok(Outcome::Steps { reply, body: Box::new(body), streamed: true })
}

/// Every check, and the bounty.
fn begin(
    world: &World,
    incoming: &Incoming,
    name: &str,
    ticket: &LogTicket,
) -> Result<usize, Box<Reply>> {
    let now = world.now();
    let mut guard = world.state();
    let state = &mut *guard;
    state.settle(now);
    let caller = Caller::read(&incoming.headers, state, now);
    let account = caller.require(state, Scope::Admin, NO_USER)?;
    // Only here a name's case does not matter.
    let found = state
        .models
        .iter()
        .position(|model| model.chute_id == name || model.spec.name.eq_ignore_ascii_case(name));
    let found = found
        .filter(|at| listing::visible(state, &state.models[*at], Some(account)))
        .ok_or_else(|| Reply::not_found("Chute not found, or does not belong to you"))?;
    if state.models[found].spec.state == StateSpec::Disabled {
        return Err(Reply::disabled().into());
    }
    let payer = &state.accounts[account];
    if payer.balance_pico <= 0 {
        let text = format!(
            "Account balance is ${}, please top-up with fiat or send tao to {}",
            python_float(usd(payer.balance_pico)),
            payer.payment_address()
        );
        return Err(Reply::detail(StatusCode::PAYMENT_REQUIRED, &text).into());
    }
    let raised = state.models[found]
        .raise_bounty(now)
        .then(|| format!("bounty raised for {}", state.models[found].spec.name));
    drop(guard);
    if raised.is_some() {
        ticket.note(|entry| entry.side_effect = raised);
    }
    Ok(found)
}

fn quick(state: &State, at: usize) -> Reply {
    let model = &state.models[at];
    let instances: Vec<Value> = (0..model.running_instances())
        .map(|index| {
            json!({
                "instance_id": listing::instance_id(model, index),
                "active": true,
                "gpu_count": 1,
                "gpu_model_name": "h100",
            })
        })
        .collect();
    Reply::json(&json!({
        "chute_id": model.chute_id,
        "status": if instances.is_empty() { "cold" } else { "hot" },
        "instance_count": instances.len(),
        "bounty": model.bounty.map(|(amount, _)| amount),
        "instances": instances,
    }))
}

/// The event of this moment, and whether it is the last one.
pub(crate) fn event(world: &World, model: usize) -> (Bytes, bool) {
    let now = world.now();
    let mut state = world.state();
    state.settle(now);
    let running = state.models.get(model).map_or(0, crate::models::Model::running_instances);
    let (status, text) = if running == 0 {
        ("cold", "waiting for instances ...".to_owned())
    } else {
        ("hot", format!("chute is hot, {running} instances available"))
    };
    let line = format!("data: {{\"status\": \"{status}\", \"log\": \"{text}\"}}\n\n");
    (Bytes::from(line), running > 0)
}

/// How long to wait before the next event.
pub(crate) const fn pause() -> Duration {
    Duration::from_secs(EVENT_SECONDS)
}
