//! `/api_keys/`: listing, making and deleting keys.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::{
    accounts::Account,
    auth::{NO_USER, Scope},
    clock,
    credentials::{Key, KeyScope},
    ids,
    management::Asked,
    query::{Query, as_usize},
    reply::Reply,
    validation,
    world::State,
};

const LONGEST_NAME: usize = 24;
const NAME_ERROR: &str = "Invalid request: API key name should start with alphanumeric character \
                          and contain up to 32 total allowed characters (letters, numbers, dashes, \
                          underscores, or spaces)";

/// Answers what lies under `/api_keys/`; nothing for verbs that are not known there.
pub(crate) fn serve(state: &mut State, asked: &Asked<'_>, rest: &str) -> Option<Reply> {
    let answer = match (&asked.incoming.method, rest) {
        (&Method::GET, "") => owner(state, asked).map(|at| list(state, at, asked)),
        (&Method::POST, "") => create(state, asked),
        (_, id) if id.is_empty() || id.contains('/') => return None,
        (&Method::GET, id) => owner(state, asked).map(|at| one(state, at, id, asked)),
        (&Method::DELETE, id) => owner(state, asked).map(|at| delete(state, at, id, asked)),
        _ => return None,
    };
    Some(answer.unwrap_or_else(|refusal| refusal))
}

fn owner(state: &State, asked: &Asked<'_>) -> Result<usize, Reply> {
    asked.caller.require(state, Scope::Admin, NO_USER)
}

fn list(state: &State, at: usize, asked: &Asked<'_>) -> Reply {
    let query = Query::new(&asked.incoming.query);
    let (page, limit) = match (query.integer("page", 0), query.integer("limit", 25)) {
        (Ok(page), Ok(limit)) => (page, limit),
        (Err(reply), _) | (_, Err(reply)) => return reply,
    };
    let account = &state.accounts[at];
    let kept: Vec<usize> = kept(account).map(|(index, _)| index).collect();
    let items: Vec<Value> = kept
        .iter()
        .skip(as_usize(page.saturating_mul(limit)))
        .take(as_usize(limit))
        .map(|index| item(account, *index))
        .collect();
    Reply::json(&json!({
        "total": kept.len(), "page": page, "limit": limit, "items": items, "cord_refs": null,
    }))
}

/// A deleted key is gone from the lists at once, whatever the lag of its being refused.
fn kept(account: &Account) -> impl Iterator<Item = (usize, &Key)> {
    account.keys.iter().enumerate().filter(|(_, key)| key.deleted_at.is_none())
}

fn find(account: &Account, id: &str) -> Option<usize> {
    kept(account)
        .map(|(index, _)| index)
        .find(|index| ids::key_id(&account.spec.name, *index) == id)
}

fn item(account: &Account, index: usize) -> Value {
    let (name, key) = (&account.spec.name, &account.keys[index]);
    let scopes: Vec<Value> = key
        .scopes
        .iter()
        .enumerate()
        .map(|(at, scope)| {
            json!({
                "scope_id": ids::uuid("scope", &format!("{name}/{index}/{at}")),
                "object_type": scope.object_type,
                "object_id": scope.object_id,
                // The action cannot be read back.
                "method": null,
            })
        })
        .collect();
    json!({
        "api_key_id": ids::key_id(name, index),
        "user_id": account.user_id,
        "admin": key.admin,
        "name": key.name,
        "created_at": clock::iso_naive(key.created_at),
        "last_used_at": null,
        "scopes": scopes,
    })
}

fn one(state: &State, at: usize, id: &str, _asked: &Asked<'_>) -> Reply {
    let account = &state.accounts[at];
    match find(account, id) {
        Some(index) => Reply::json(&item(account, index)),
        None => {
            Reply::not_found(&format!("API key with id {id} not found or doesn't belong to you"))
        }
    }
}

fn delete(state: &mut State, at: usize, id: &str, asked: &Asked<'_>) -> Reply {
    let account = &mut state.accounts[at];
    let Some(index) = find(account, id) else {
        return Reply::not_found("API key not found, or does not belong to you");
    };
    account.keys[index].deleted_at = Some(asked.now);
    Reply::json(&json!({ "api_key_id": id, "deleted": true }))
        .side_effect(format!("key {}/{index} deleted", account.spec.name))
}

fn create(state: &mut State, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = validation::read_json(asked.incoming)?;
    let at = owner(state, asked)?;
    let fields = validation::object(&body)?;
    let admin = match fields.get("admin") {
        Some(Value::Bool(admin)) => *admin,
        Some(other) => {
            let msg = "Input should be a valid boolean";
            return Err(validation::wrong_type("admin", "bool_type", msg, other));
        }
        None => return Err(validation::missing(&json!(["body", "admin"]), &body)),
    };
    let name = validation::text(fields, "name")?.to_owned();
    let scopes = scopes(fields)?;
    let bad = |text: &str| Err(Reply::detail(StatusCode::BAD_REQUEST, text));
    let is_allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "$._-".contains(c);
    if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(is_allowed) {
        return bad(NAME_ERROR);
    }
    let known = ["images", "chutes", "invocations"];
    if scopes.iter().any(|scope| !known.contains(&scope.object_type.as_str())) {
        return bad(
            "Invalid request: Invalid object_type, must be one of images, chutes, invocations",
        );
    }
    if kept(&state.accounts[at]).any(|(_, key)| key.name == name) {
        return Err(Reply::detail(
            StatusCode::CONFLICT,
            "An API key already exists with this name",
        ));
    }
    let key = Key { name, admin, scopes, created_at: asked.now, deleted_at: None };
    let secret = state.add_key(at, key);
    let account = &state.accounts[at];
    let index = account.keys.len() - 1;
    let mut item = item(account, index);
    item["secret_key"] = json!(secret);
    Ok(Reply::json(&item).side_effect(format!("key {}/{index} made", account.spec.name)))
}

fn scopes(fields: &Map<String, Value>) -> Result<Vec<KeyScope>, Reply> {
    let given = match fields.get("scopes") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(given)) => given,
        Some(other) => {
            let msg = "Input should be a valid list";
            return Err(validation::wrong_type("scopes", "list_type", msg, other));
        }
    };
    let mut scopes = Vec::new();
    for (at, scope) in given.iter().enumerate() {
        let text = |name: &str| scope.get(name).and_then(Value::as_str).map(str::to_owned);
        let place = |name: &str| json!(["body", "scopes", at, name]);
        let Some(object_type) = text("object_type") else {
            return Err(validation::missing(&place("object_type"), scope));
        };
        let action = text("action");
        let known = ["read", "write", "delete", "invoke"];
        if action.as_ref().is_some_and(|action| !known.contains(&action.as_str())) {
            let expected = "'read', 'write', 'delete' or 'invoke'";
            return Err(validation::unprocessable(&json!({
                "type": "enum",
                "loc": place("action"),
                "msg": format!("Input should be {expected}"),
                "input": action,
                "ctx": { "expected": expected },
            })));
        }
        scopes.push(KeyScope { object_type, object_id: text("object_id"), action });
    }
    Ok(scopes)
}
