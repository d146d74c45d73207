//! The management API: which path asks for what, and the route that catches every other one.

use http::{Method, StatusCode};
use serde_json::json;

use crate::{
    account_reads, api_keys,
    auth::{Caller, NO_USER, REQUIRED, Scope},
    inference::{Host, Incoming},
    listing, platform,
    query::percent_decode,
    reply::Reply,
    world::{State, World},
};

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
        "/chutes/utilization" => platform::utilization(state, now),
        "/invocations/stats/llm" => {
            platform::statistics(&world.scenario, state, &incoming.query, now)
        }
        "/pricing" => platform::pricing(),
        "/api_keys/" => match caller.require(Scope::Account, NO_USER) {
            Ok((account, _)) => api_keys::list(&state.accounts[account], &incoming.query),
            Err(text) => Reply::unauthorized(text),
        },
        path => {
            if let Some(rest) = path.strip_prefix("/users/") {
                return account_reads::users(world, state, caller, rest, incoming, now);
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
