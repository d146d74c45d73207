//! Looks where nobody else does: at the calendar while a window is used up, and at the models that are watched.

use crate::config::WatchConfig;
use crate::shared::Shared;
use ripcord_client::chutes::Chutes;
use ripcord_client::endpoints::Endpoints;
use ripcord_client::model_evidence;
use ripcord_rules::model_state::decide;
use ripcord_wire::chutes::Utilization;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The server's time may be learned anew meanwhile, so the calendar is looked at no later than this.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// More models than this nobody watches.
const MOST_MODELS: usize = 50;

/// Looks until told to stop, then ends all listening.
pub(crate) async fn run(
    shared: Arc<Shared>,
    endpoints: Endpoints,
    watch: WatchConfig,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = calendar(&shared) => {}
        () = models(&shared, &endpoints, &watch) => {}
    }
    shared.events.close();
}

/// Tells of windows that turn.
async fn calendar(shared: &Shared) {
    loop {
        let now = shared.clock.now();
        let pause = match shared.events.next_turn() {
            Some(turn) => turn.since(now.wall).min(LOOK_AGAIN),
            None => LOOK_AGAIN,
        };
        let wake = shared.clock.instant(now.mono.after(pause));
        tokio::select! {
            () = tokio::time::sleep_until(wake) => shared.events.turned(shared.clock.now().wall),
            () = shared.events.changed.notified() => {}
        }
    }
}

/// Tells of watched models. Never ends, also without any.
async fn models(shared: &Shared, endpoints: &Endpoints, watch: &WatchConfig) {
    let Some(chutes) = Chutes::new(endpoints, shared.transport.clone()).ok() else {
        return std::future::pending().await;
    };
    let watched = &watch.models;
    if watched.is_empty() {
        return std::future::pending().await;
    }
    if watched.len() > MOST_MODELS {
        tracing::warn!(
            watched = watched.len(),
            most = MOST_MODELS,
            "too many models; the first are watched"
        );
    }
    let watched = &watched[..watched.len().min(MOST_MODELS)];
    loop {
        look(shared, &chutes, watched).await;
        tokio::time::sleep(watch.models_refresh_interval).await;
    }
}

/// One look at each watched model. What cannot be read is not known, which is no news.
async fn look(shared: &Shared, chutes: &Chutes, watched: &[String]) {
    let loads: Vec<Utilization> = match chutes.utilization().await {
        Ok(reply) => reply.value.items,
        Err(error) => {
            tracing::debug!(%error, "load of the models");
            Vec::new()
        }
    };
    for name in watched {
        let model = name.strip_prefix("chutes/").unwrap_or(name);
        let chute = match chutes.chute(model).await {
            Ok(reply) => reply.value,
            Err(error) => {
                // Also where there is no such chute: a private one is not shown, and a wrong name is no outage.
                tracing::debug!(model = ripcord_wire::text::clean(model, 80), %error, "watched model");
                continue;
            }
        };
        let load = loads.iter().find(|load| load.chute_id.as_deref() == Some(&chute.chute_id));
        let now = shared.clock.now().wall;
        let (state, _) = decide(&model_evidence(Some(&chute), load, false, now));
        shared.events.model(model, state, now);
    }
}
