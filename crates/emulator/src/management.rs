//! The management API: which path asks for what, and the route that catches every other one.

use http::{Method, StatusCode};
use serde_json::json;

use crate::{
    account_reads, aliases, api_keys,
    auth::{Caller, REQUIRED, Scope},
    evidence, exports, identity,
    inference::{Host, Incoming},
    listing, operations, platform,
    query::percent_decode,
    reply::Reply,
    validation,
    world::{State, World},
};

/// A request to the management side.
pub(crate) struct Asked<'a> {
    pub(crate) world: &'a World,
    pub(crate) incoming: &'a Incoming,
    pub(crate) caller: Caller,
    pub(crate) now: i64,
}

/// Answers everything that is not inference.
pub(crate) fn serve(world: &World, incoming: &Incoming) -> Reply {
    let now = world.now();
    let mut guard = world.state();
    let state = &mut *guard;
    state.settle(now);
    let caller = Caller::read(&incoming.headers, state, now);
    let asked = Asked { world, incoming, caller, now };
    if incoming.path == "/ping" {
        return if incoming.method == Method::GET {
            Reply::json(&json!({ "message": "pong" }))
        } else {
            Reply::plain_500()
        };
    }
    if matches!(incoming.method, Method::OPTIONS | Method::TRACE) {
        // The first route of a path answers with its own verb, and most paths have but the last.
        let verbs = match incoming.path.as_str() {
            "/users/me" => "DELETE",
            _ => "GET, PUT, HEAD, POST, DELETE, PATCH",
        };
        return Reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            .header("allow", verbs.to_owned());
    }
    let path = percent_decode(&incoming.path);
    known(state, &asked, &path).unwrap_or_else(|| catch_all(&asked.caller, state, incoming))
}

/// The answer of a path that is known with this verb.
fn known(state: &mut State, asked: &Asked<'_>, path: &str) -> Option<Reply> {
    let (method, now) = (&asked.incoming.method, asked.now);
    if let Some(rest) = path.strip_prefix("/api_keys/") {
        return api_keys::serve(state, asked, rest);
    }
    if let Some(rest) = path.strip_prefix("/model_aliases/") {
        return aliases::serve(state, asked, rest);
    }
    if let Some(reply) = identity::serve(state, asked, path) {
        return Some(reply);
    }
    if let Some(rest) = path.strip_prefix("/users/") {
        return account_reads::users(state, asked, rest);
    }
    if matches!(*method, Method::PUT | Method::DELETE) && path.starts_with("/chutes/") {
        return Some(change_chute(state, asked));
    }
    if path == "/e2e/invoke" {
        return evidence::invoke(state, asked);
    }
    if *method != Method::GET {
        return None;
    }
    let query = asked.incoming.query.as_str();
    Some(match path {
        "/v1/models" if asked.incoming.host != Host::Api => {
            match asked.caller.allow(state, Scope::Invoke) {
                Ok(_) => listing::models(state, query, now),
                Err(refusal) => refusal,
            }
        }
        "/chutes/" => match asked.caller.allow(state, Scope::Admin) {
            Ok(owner) => listing::chutes(state, owner, query, now),
            Err(refusal) => refusal,
        },
        "/chutes/utilization" => platform::utilization(state, now),
        "/invocations/stats/llm" => platform::statistics(&asked.world.scenario, state, query, now),
        "/invocations/stats/diffusion" => platform::diffusion_statistics(state, now),
        "/invocations/usage" => platform::usage(&asked.world.scenario, state, now),
        "/pricing" => platform::pricing(),
        _ => {
            return evidence::serve(state, asked, path)
                .or_else(|| exports::serve(state, asked, path))
                .or_else(|| operations::serve(state, asked, path))
                .or_else(|| one_chute(state, asked, path));
        }
    })
}

fn one_chute(state: &State, asked: &Asked<'_>, path: &str) -> Option<Reply> {
    let name = path.strip_prefix("/chutes/")?;
    Some(match asked.caller.allow(state, Scope::Admin) {
        Ok(owner) => listing::chute(state, owner, name, asked.now),
        Err(refusal) => refusal,
    })
}

/// Nobody here owns a chute that could be changed.
fn change_chute(state: &State, asked: &Asked<'_>) -> Reply {
    match asked.caller.require(state, Scope::Admin, crate::auth::NO_USER) {
        Ok(_) => Reply::not_found("Chute not found, or does not belong to you"),
        Err(refusal) => refusal,
    }
}

/// Every unknown path and verb falls into an invocation route.
pub(crate) fn catch_all(caller: &Caller, state: &State, incoming: &Incoming) -> Reply {
    if let Err(refusal) = caller.require(state, Scope::Admin, REQUIRED) {
        return refusal;
    }
    let mut segments = incoming.path.trim_start_matches('/').split('/');
    let names_chute = segments.next() == Some("chutes")
        && segments.next().is_some_and(|id| state.models.iter().any(|model| model.chute_id == id));
    if names_chute { Reply::no_cord() } else { Reply::no_chute() }
}

/// `DELETE /users/me` reads the header itself, and complains of its absence as a validation.
pub(crate) fn delete_account(asked: &Asked<'_>) -> Option<Reply> {
    let has_header = asked.incoming.headers.contains_key(http::header::AUTHORIZATION);
    (!has_header).then(|| validation::missing(&json!(["header", "Authorization"]), &json!(null)))
}
