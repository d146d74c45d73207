//! Reads the accounts' own prices and names for models: after the first figures, then about hourly, one account after the
//! other, so never in a burst.

use crate::shared::{FIRST_FIGURES, Shared};
use ripcord_client::chutes::Chutes;
use ripcord_client::endpoints::Endpoints;
use ripcord_client::error::Error;
use ripcord_client::key::Key;
use ripcord_client::terms::{TermsReading, read_terms};
use ripcord_rules::time::Mono;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// They hardly ever change.
const EVERY: Duration = Duration::from_secs(3_600);
/// After a reading that failed, in whole or in part.
const RETRY: Duration = Duration::from_secs(300);
/// How often it is looked whether the first figures have come.
const GLANCE: Duration = Duration::from_millis(100);

/// Reads until told to stop.
pub(crate) async fn run(shared: Arc<Shared>, endpoints: Endpoints, stop: CancellationToken) {
    let reading = async {
        let mut due = vec![shared.clock.mono(); shared.at_chutes().len()];
        loop {
            let Some((account, at)) = due.iter().copied().enumerate().min_by_key(|(_, at)| *at)
            else {
                return;
            };
            tokio::time::sleep_until(shared.clock.instant(at)).await;
            // Figures matter more, and every request waits for the first ones.
            first_figures(&shared, account).await;
            let pause = if read(&shared, &endpoints, account).await { EVERY } else { RETRY };
            due[account] = shared.clock.mono().after(pause);
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = reading => {}
    }
}

async fn first_figures(shared: &Shared, account: usize) {
    let until: Mono = shared.clock.mono().after(FIRST_FIGURES);
    while shared.accounts[account].snapshot().is_none() && shared.clock.mono() < until {
        tokio::time::sleep(GLANCE).await;
    }
}

/// Reads one account with the first of its keys that may. Whether there is no need to come again soon.
async fn read(shared: &Shared, endpoints: &Endpoints, account: usize) -> bool {
    let mut is_done = true;
    for key in shared.accounts[account].keys.iter().filter_map(|key| key.key.as_ref()) {
        let Some(reading) = read_with(shared, endpoints, key).await else { continue };
        let may_not =
            !reading.problems.is_empty() && reading.problems.iter().all(Error::is_forbidden);
        is_done = reading.problems.iter().all(Error::is_forbidden);
        shared.accounts[account].pricing.learn(reading);
        if !may_not {
            break;
        }
    }
    is_done
}

async fn read_with(shared: &Shared, endpoints: &Endpoints, key: &Key) -> Option<TermsReading> {
    let chutes = Chutes::new(endpoints, shared.transport.clone()).ok()?.with_key(key.clone());
    let reading = read_terms(&chutes).await;
    for error in &reading.problems {
        tracing::debug!(%error, "account prices and names");
    }
    Some(reading)
}
