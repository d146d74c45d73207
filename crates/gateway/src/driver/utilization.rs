//! Looks at which models run and how busy they are: for the order in which they are asked, and for those who watch.
//!
//! One task for the whole gateway, over the public lists, without a key. When it looks is decided in
//! [`ripcord_rules::health::Looks`]: while requests come, and as often as watched models want it.

use crate::config::WatchConfig;
use crate::shared::Shared;
use ripcord_client::chutes::{ChuteQuery, Chutes};
use ripcord_client::endpoints::Endpoints;
use ripcord_client::model_evidence;
use ripcord_rules::model_state::{ModelEvidence, decide};
use ripcord_rules::time::Mono;
use ripcord_wire::chutes::{Chute, Utilization};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// More models than this nobody watches.
const MOST_WATCHED: usize = 50;

/// Looks until told to stop.
pub(crate) async fn run(
    shared: Arc<Shared>,
    endpoints: Endpoints,
    watch: WatchConfig,
    stop: CancellationToken,
) {
    let Ok(chutes) = Chutes::new(&endpoints, shared.transport.clone()) else { return };
    if watch.models.len() > MOST_WATCHED {
        tracing::warn!(
            watched = watch.models.len(),
            most = MOST_WATCHED,
            "too many models; the first are watched"
        );
    }
    let mut watched: Vec<Watched> = Vec::new();
    for name in watch.models.iter().take(MOST_WATCHED) {
        let name = name.strip_prefix("chutes/").unwrap_or(name).to_owned();
        watched.push(Watched { name, looked_at: None });
    }
    tokio::select! {
        () = stop.cancelled() => {}
        () = look_again_and_again(&shared, &chutes, &watch, watched) => {}
    }
}

/// A model that somebody wants to hear of.
struct Watched {
    name: String,
    looked_at: Option<Mono>,
}

async fn look_again_and_again(
    shared: &Shared,
    chutes: &Chutes,
    watch: &WatchConfig,
    mut watched: Vec<Watched>,
) {
    loop {
        look(shared, chutes).await;
        tell(shared, chutes, watch, &mut watched).await;
        let next = {
            let now = shared.clock.mono();
            shared.health.looks().next(now)
        };
        let until_next = async {
            match next {
                Some(next) => tokio::time::sleep_until(shared.clock.instant(next)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = until_next => {}
            () = shared.health.woken.notified() => {}
        }
    }
}

/// Reads what is due. What cannot be read is not known, which is no news.
async fn look(shared: &Shared, chutes: &Chutes) {
    let (wants_list, wants_loads) = {
        let now = shared.clock.mono();
        let looks = shared.health.looks();
        (looks.list_due(now), looks.loads_due(now))
    };
    let loads = if wants_loads { loads(shared, chutes).await } else { None };
    let list = if wants_list { list(shared, chutes).await } else { None };
    let now = shared.clock.now();
    let mut loads: HashMap<String, Utilization> = loads
        .unwrap_or_default()
        .into_iter()
        .filter_map(|load| Some((load.chute_id.clone()?, load)))
        .collect();
    let mut models: Vec<(String, ModelEvidence)> = Vec::new();
    for chute in list.unwrap_or_default() {
        let load = loads.remove(&chute.chute_id);
        let evidence = model_evidence(Some(&chute), load.as_ref(), false, now.wall);
        models.extend(chute.name.map(|name| (name, evidence)));
    }
    for load in loads.into_values() {
        let evidence = model_evidence(None, Some(&load), false, now.wall);
        models.extend(load.name.map(|name| (name, evidence)));
    }
    shared.health.learn(now.mono, models);
    wake_up(shared, now.mono);
}

/// A cold model that a newer list shows up need not rest any longer.
fn wake_up(shared: &Shared, now: Mono) {
    let resting: Vec<String> = shared.rests.lock().models_resting(now).map(str::to_owned).collect();
    let up = shared.health.listed_up(&resting);
    for (model, seen) in up {
        let is_sooner = shared.rests.lock().model_is_up(&model, seen);
        if is_sooner {
            shared.model_comes_back(&model);
            tracing::info!(model = ripcord_wire::text::clean(&model, 80), "is up again");
        }
    }
}

async fn loads(shared: &Shared, chutes: &Chutes) -> Option<Vec<Utilization>> {
    let read = chutes.utilization().await;
    shared.health.looks().saw_loads(shared.clock.mono(), read.is_ok());
    match read {
        Ok(reply) => Some(reply.value.items),
        Err(error) => {
            tracing::debug!(%error, "load of the models");
            None
        }
    }
}

async fn list(shared: &Shared, chutes: &Chutes) -> Option<Vec<Chute>> {
    let read = chutes.chutes(&ChuteQuery::default()).await;
    shared.health.looks().saw_list(shared.clock.mono(), read.is_ok());
    match read {
        Ok(reply) => Some(reply.value.items.items),
        Err(error) => {
            tracing::debug!(%error, "which models run");
            None
        }
    }
}

/// Tells those who listen how the watched models stand: by the lists, or by a look at each that is not in them.
async fn tell(shared: &Shared, chutes: &Chutes, watch: &WatchConfig, watched: &mut [Watched]) {
    for model in watched {
        let now = shared.clock.mono();
        let interval = watch.models_refresh_interval;
        if model.looked_at.is_some_and(|at| now.since(at) < interval) {
            continue;
        }
        model.looked_at = Some(now);
        let name = model.name.as_str();
        let evidence = match shared.health.listed(now, name) {
            Some(evidence) => evidence,
            None => match chutes.chute(name).await {
                Ok(reply) => {
                    model_evidence(Some(&reply.value), None, false, shared.clock.now().wall)
                }
                Err(error) => {
                    // Also where there is no such chute: a private one is not shown, and a wrong name is no outage.
                    tracing::debug!(model = ripcord_wire::text::clean(name, 80), %error, "watched model");
                    continue;
                }
            },
        };
        let (state, _) = decide(&evidence);
        shared.events.model(name, state, shared.clock.now().wall);
    }
}
