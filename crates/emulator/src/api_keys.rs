//! `/api_keys/`.

use serde_json::{Value, json};

use crate::{
    accounts::Account,
    ids,
    query::{Query, as_usize},
    reply::Reply,
    specs::KeyKind,
};

/// `GET /api_keys/`.
pub(crate) fn list(account: &Account, query: &str) -> Reply {
    let query = Query::new(query);
    let (page, limit) = match (query.integer("page", 0), query.integer("limit", 25)) {
        (Ok(page), Ok(limit)) => (page, limit),
        (Err(reply), _) | (_, Err(reply)) => return reply,
    };
    let name = &account.spec.name;
    let kept: Vec<_> = account.keys.iter().enumerate().filter(|(_, key)| !key.deleted).collect();
    let items: Vec<Value> = kept
        .iter()
        .skip(as_usize(page.saturating_mul(limit)))
        .take(as_usize(limit))
        .map(|(index, key)| {
            let scopes = match key.kind {
                KeyKind::Invoke => vec![json!({
                    "scope_id": ids::uuid("scope", &format!("{name}/{index}")),
                    "object_type": "chutes",
                    "object_id": null,
                    "method": null,
                })],
                KeyKind::Admin | KeyKind::NoScope => Vec::new(),
            };
            json!({
                "api_key_id": ids::key_id(name, *index),
                "user_id": account.user_id,
                "admin": key.kind == KeyKind::Admin,
                "name": format!("key-{index}"),
                "created_at": "2026-01-01T00:00:00",
                "last_used_at": null,
                "scopes": scopes,
            })
        })
        .collect();
    Reply::json(&json!({
        "total": kept.len(), "page": page, "limit": limit, "items": items, "cord_refs": null,
    }))
}
