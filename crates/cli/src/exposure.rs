//! What a gateway lacks that others than the programs of this machine can reach.

use ripcord_store::{ClientKey, ClientKeys as _};

use crate::ledger;
use crate::settings::Settings;

/// One thing that it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lack {
    pub(crate) what: String,
    pub(crate) fix: String,
}

/// Whether others can reach it where the settings have it listen.
pub(crate) fn is_reachable(settings: &Settings) -> bool {
    !settings.gateway.listen.value.ip().to_canonical().is_loopback()
}

/// What `ripcord serve` would refuse for, in the order in which it is mended.
pub(crate) fn lacks(settings: &Settings) -> Vec<Lack> {
    if !is_reachable(settings) {
        return Vec::new();
    }
    let mut lacks = Vec::new();
    let listen = settings.gateway.listen.value;
    if client_keys(settings).is_some_and(|keys| keys.is_empty()) {
        lacks.push(Lack {
            what: format!(
                "anyone who can reach {listen} could spend your quota: there are no client keys"
            ),
            fix: "make a key for each client: ripcord keys add NAME".to_owned(),
        });
    }
    if settings.admin_token.is_none() {
        lacks.push(Lack {
            what: format!("the gateway would not listen on {listen} without an admin token"),
            fix: "make one with `openssl rand -hex 32`, then set RIPCORD_ADMIN_TOKEN, or write `admin_token = \"file:PATH\"` \
                  below [gateway]"
                .to_owned(),
        });
    }
    lacks
}

/// The client keys there are; `None` if that cannot be read. To look is no reason to make a ledger.
pub(crate) fn client_keys(settings: &Settings) -> Option<Vec<ClientKey>> {
    if !ledger::path(settings).ok()?.exists() {
        return Some(Vec::new());
    }
    ledger::open(settings).ok()?.client_keys().ok()
}
