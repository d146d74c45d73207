//! The list of models, read when it is asked for and old.

use crate::bearers::Bearer;
use crate::catalogue::{CATALOGUE_FRESH, Listing};
use crate::config::ChainConfig;
use crate::refusal::Refusal;
use crate::shared::Shared;
use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, ACCEPT_ENCODING};
use http_body_util::{BodyExt as _, Limited};
use std::sync::Arc;

/// The largest list that is read.
const LIST_BYTES: usize = 32 << 20;

/// The list, at most five minutes old if Chutes answers, else the last one.
pub(crate) async fn listing(shared: &Shared) -> Result<Arc<Listing>, Refusal> {
    let known = shared.catalogue.listing();
    if let Some(listing) = &known
        && shared.clock.mono().since(listing.as_of) < CATALOGUE_FRESH
    {
        return Ok(Arc::clone(listing));
    }
    match refresh(shared).await {
        Ok(listing) => Ok(listing),
        // An old list is better than none: models come and go by the day, not by the minute.
        Err(message) => known.ok_or_else(|| Refusal::upstream_failed(&message)),
    }
}

/// Reads the list. Without a key: a bad or narrow one gets 401 where none gets the list (recordings, D12).
pub(crate) async fn refresh(shared: &Shared) -> Result<Arc<Listing>, String> {
    let request = Request::get(shared.services.chutes.llm.base().path("/v1/models"))
        .header(ACCEPT, "application/json")
        .header(ACCEPT_ENCODING, "identity")
        .body(Bytes::new())
        .map_err(|error| error.to_string())?;
    let response = shared
        .transport
        .send(&shared.services.chutes.llm, request)
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("Chutes answered {status} to the list of models"));
    }
    let body = Limited::new(response.into_body(), LIST_BYTES).collect().await;
    let bytes = body.map_err(|_| "the list of models broke off".to_owned())?.to_bytes();
    let now = shared.clock.mono();
    shared
        .catalogue
        .learn(bytes, now)
        .ok_or_else(|| "Chutes' list of models cannot be read".to_owned())
}

/// The list for a bearer: the models that it may use, and the virtual ones. As Chutes sent it where nothing differs.
pub(crate) async fn list(shared: &Shared, bearer: &Bearer) -> Result<Bytes, Refusal> {
    let listing = listing(shared).await?;
    let models = &bearer.rights.models;
    let chains = shared.routing.virtual_models();
    let others: Vec<String> =
        chains.filter(|chain| models.allows(&chain.name)).map(virtual_model).collect();
    if models.is_unrestricted() && others.is_empty() {
        return Ok(listing.bytes.clone());
    }
    Ok(listing.only(|model| models.allows(model), &others))
}

/// One model of the list.
pub(crate) async fn one(shared: &Shared, bearer: &Bearer, id: &str) -> Result<Bytes, Refusal> {
    if !bearer.rights.models.allows(id) {
        return Err(Refusal::model_not_allowed(bearer, id));
    }
    if let Some(chain) = shared.routing.virtual_models().find(|chain| chain.name == id) {
        return Ok(virtual_model(chain).into());
    }
    let listing = listing(shared).await?;
    listing.model(id).ok_or_else(|| Refusal::model_not_found(id, &shared.near(id)))
}

/// A chain as the list has models. `models` is what it stands for.
fn virtual_model(chain: &ChainConfig) -> String {
    let model = serde_json::json!({
        "id": chain.name,
        "object": "model",
        "created": 0,
        "owned_by": "ripcord",
        "models": chain.models,
    });
    model.to_string()
}
