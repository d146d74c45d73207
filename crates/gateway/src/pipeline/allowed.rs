//! Which models a request may be served by, as far as its client key decides that.

use super::call::Call;
use crate::admin::models;
use crate::refusal::Refusal;
use crate::shared::Shared;

/// Refuses a model that the request's client key may not use. A name is taken for what it may stand for: a list for its
/// members, an account's own name for what the account means by it; what stands for something unknown is refused, unless
/// the key names it word for word.
pub(crate) async fn check(shared: &Shared, call: &Call) -> Result<(), Refusal> {
    let allowed = &call.spender.bearer.rights.models;
    if allowed.is_unrestricted() || allowed.names(&call.model) {
        return Ok(());
    }
    let refused = || Refusal::model_not_allowed(&call.spender.bearer, &call.requested_model);
    // What it stands for is the word of whoever configured it.
    if shared.routing.is_own_name(&call.model) {
        return if allowed.allows(&call.model) { Ok(()) } else { Err(refused()) };
    }
    if shared.catalogue.listing().is_none() {
        models::listing(shared).await?;
    }
    let is_allowed = shared.at_chutes().iter().all(|account| {
        let quote = shared.catalogue.quote(&call.model, &account.pricing.terms());
        quote.is_whole() && quote.names().all(|name| allowed.allows(name))
    });
    if is_allowed {
        return Ok(());
    }
    Err(refused())
}
