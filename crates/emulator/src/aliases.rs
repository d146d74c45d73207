//! `/model_aliases/`: an account's own names for lists of models.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    auth::{NO_USER, Scope},
    clock,
    management::Asked,
    reply::Reply,
    validation,
    world::State,
};

const MOST_MEMBERS: usize = 20;

/// A name of an account's own.
#[derive(Debug, Clone)]
pub(crate) struct Alias {
    /// In lower case.
    pub(crate) alias: String,
    /// Names or ids, as they were sent.
    pub(crate) members: Vec<String>,
    created_at: i64,
    updated_at: i64,
}

impl Alias {
    pub(crate) fn new(alias: &str, members: &[String], now: i64) -> Self {
        let (alias, members) = (alias.to_lowercase(), members.to_vec());
        Self { alias, members, created_at: now, updated_at: now }
    }

    fn item(&self) -> Value {
        json!({
            "alias": self.alias,
            "chute_ids": self.members,
            "created_at": format!("{}Z", clock::iso_naive(self.created_at)),
            "updated_at": format!("{}Z", clock::iso_naive(self.updated_at)),
        })
    }
}

/// Answers what lies under `/model_aliases/`; nothing for verbs that are not known there.
pub(crate) fn serve(state: &mut State, asked: &Asked<'_>, rest: &str) -> Option<Reply> {
    let answer = match (&asked.incoming.method, rest) {
        (&Method::GET, "") => owner(state, asked).map(|at| {
            let items: Vec<Value> = state.accounts[at].aliases.iter().map(Alias::item).collect();
            Reply::json(&items)
        }),
        (&Method::POST, "") => create(state, asked),
        (&Method::DELETE, name) if !name.is_empty() && !name.contains('/') => {
            owner(state, asked).map(|at| delete(state, at, name))
        }
        _ => return None,
    };
    Some(answer.unwrap_or_else(|refusal| refusal))
}

fn owner(state: &State, asked: &Asked<'_>) -> Result<usize, Reply> {
    asked.caller.require(state, Scope::Admin, NO_USER)
}

fn delete(state: &mut State, at: usize, name: &str) -> Reply {
    let aliases = &mut state.accounts[at].aliases;
    let before = aliases.len();
    aliases.retain(|alias| alias.alias != name.to_lowercase());
    if aliases.len() == before {
        return Reply::not_found("alias not found");
    }
    Reply::new(StatusCode::NO_CONTENT, crate::reply::JSON, "")
        .side_effect(format!("alias {} deleted", name.to_lowercase()))
}

fn create(state: &mut State, asked: &Asked<'_>) -> Result<Reply, Reply> {
    let body = validation::read_json(asked.incoming)?;
    let at = owner(state, asked)?;
    let fields = validation::object(&body)?;
    let alias = validation::text(fields, "alias")?;
    let is_plain = alias.chars().all(|c| c.is_ascii_graphic() && c != ':');
    if alias.is_empty() || !is_plain {
        let text = "alias must be ASCII printable (no spaces or colons)";
        return Err(validation::value_error("alias", text, &json!(alias)));
    }
    let members = match fields.get("chute_ids") {
        Some(Value::Array(members)) => members,
        Some(other) => {
            let msg = "Input should be a valid list";
            return Err(validation::wrong_type("chute_ids", "list_type", msg, other));
        }
        None => return Err(validation::missing(&json!(["body", "chute_ids"]), &body)),
    };
    if members.is_empty() || members.len() > MOST_MEMBERS {
        let text = "chute_ids must have 1-20 items";
        return Err(validation::value_error("chute_ids", text, &json!(members)));
    }
    let members: Vec<String> =
        members.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    // Somebody else's private chute is taken; it is of no use later.
    if let Some(unknown) = members.iter().find(|name| state.find_model(name).is_none()) {
        let text = format!("chute not found: {unknown}");
        return Err(Reply::detail(StatusCode::BAD_REQUEST, &text));
    }
    let made = Alias::new(alias, &members, asked.now);
    let aliases = &mut state.accounts[at].aliases;
    let kept = match aliases.iter_mut().find(|known| known.alias == made.alias) {
        Some(known) => {
            known.members = made.members;
            known.updated_at = asked.now;
            known.item()
        }
        None => {
            let item = made.item();
            aliases.push(made);
            item
        }
    };
    Ok(Reply::json_status(StatusCode::CREATED, &kept)
        .side_effect(format!("alias {} set", alias.to_lowercase())))
}
