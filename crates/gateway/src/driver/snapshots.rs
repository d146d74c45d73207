//! Keeps the accounts' figures fresh: in turn, a few at once, sooner after a 402 and right after a window turns,
//! never in bursts.

use crate::clock::Clock;
use crate::metrics::WindowLabels;
use crate::shared::Shared;
use ripcord_client::chutes::Chutes;
use ripcord_client::endpoints::Endpoints;
use ripcord_client::key::Key;
use ripcord_client::snapshot::{add_paid_today, read_account};
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::{
    AccountSnapshot, Readable, Readiness, Refresh, Window, until_surely_turned,
};
use ripcord_rules::time::Wall;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// From here on little is left of a window, in thousandths.
const LITTLE_LEFT_PERMILLE: u64 = 800;

/// One to learn the server's time, one to use it, and one more for a clock that is set meanwhile.
const READINGS_TO_SET_THE_CLOCK: usize = 3;

/// Reads figures until told to stop.
pub(crate) async fn run(
    shared: Arc<Shared>,
    endpoints: Endpoints,
    interval: Duration,
    stop: CancellationToken,
) {
    let read = |shared: Arc<Shared>, account| {
        let endpoints = endpoints.clone();
        async move { read(&shared, &endpoints, account).await }
    };
    run_with(shared, read, interval, stop).await;
}

/// As [`run`], with another way to read an account.
pub(crate) async fn run_with<R: Future<Output = Option<AccountSnapshot>> + Send + 'static>(
    shared: Arc<Shared>,
    read: impl Fn(Arc<Shared>, usize) -> R,
    interval: Duration,
    stop: CancellationToken,
) {
    let mut refresh = Refresh::new(shared.at_chutes().len(), shared.clock.mono());
    let mut reading: JoinSet<()> = JoinSet::new();
    let mut accounts: HashMap<tokio::task::Id, usize> = HashMap::new();
    loop {
        shared.stale_accounts.lock().drain(..).for_each(|account| refresh.want(account));
        let now = shared.clock.now();
        refresh.put_off(now.mono, until_surely_turned(now.wall));
        while let Some(account) = refresh.begin(now.mono) {
            let figures = read(Arc::clone(&shared), account);
            let shared = Arc::clone(&shared);
            let task = reading.spawn(async move {
                if let Some(snapshot) = figures.await {
                    take_over(&shared, account, snapshot);
                }
            });
            accounts.insert(task.id(), account);
        }
        let until_next = async {
            match refresh.next() {
                Some(due) => tokio::time::sleep_until(shared.clock.instant(due)).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            () = shared.stale.notified() => None,
            // Also one that panicked: its account is read again in its turn.
            Some(ended) = reading.join_next_with_id(), if !reading.is_empty() => {
                accounts.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id))
            }
            () = until_next => None,
        };
        if let Some(account) = ended {
            let pause = readiness(&shared, account, interval).pause(interval);
            refresh.end(account, shared.clock.mono(), pause);
        }
    }
}

/// What decides when the account is read again.
fn readiness(shared: &Shared, account: usize, interval: Duration) -> Readiness {
    let now = shared.clock.now();
    let snapshot = shared.accounts[account].snapshot();
    let bounded = shared.accounts[account].has_daily_bound();
    let is_old = snapshot.as_ref().is_none_or(|snapshot| {
        snapshot.readable == Readable::Failed
            || (bounded && snapshot.readable == Readable::Yes && snapshot.paid_today.is_none())
            || now.wall.since(snapshot.oldest_figure(None)) > interval
    });
    let rest = shared.accounts[account].resting(now.mono);
    // Whoever waits would wait for nothing.
    let may_be_of_before =
        snapshot.as_ref().is_some_and(AccountSnapshot::may_show_the_window_before);
    let turns = snapshot
        .iter()
        .flat_map(|snapshot| snapshot.windows_at(None, now.wall))
        .filter_map(|window| window.resets_at)
        .filter(|&turns| turns > now.wall)
        .min();
    Readiness {
        is_old,
        waits_for_room: rest.is_some_and(|rest| matches!(rest.cause, Cause::WindowUsedUp(_))),
        each_figure_counts: may_be_of_before || is_near_the_end(shared, account, now.wall),
        turns_in: turns.map(|turns| turns.since(now.wall)),
    }
}

/// Whether own calls go into a window of which little is left. Then each figure decides how much more may go.
fn is_near_the_end(shared: &Shared, account: usize, now: Wall) -> bool {
    let account = &shared.accounts[account];
    account.has_unseen_calls()
        && account.predicted(now).is_some_and(|predicted| {
            let mut used = predicted.windows.iter().filter_map(Window::used_permille);
            used.any(|used| used >= LITTLE_LEFT_PERMILLE)
        })
}

/// Reads one account with the first of its keys that may.
async fn read(shared: &Shared, endpoints: &Endpoints, account: usize) -> Option<AccountSnapshot> {
    let keys = &shared.accounts[account].keys;
    let mut best: Option<AccountSnapshot> = None;
    for key in keys.iter().filter_map(|key| key.key.as_ref()) {
        let bounded = shared.accounts[account].has_daily_bound();
        let snapshot = read_with(shared, endpoints, key, bounded).await;
        let readable = snapshot.as_ref().map(|snapshot| snapshot.readable);
        // A key that may not read tells less than one that failed this time.
        if best.is_none() || readable != Some(Readable::Forbidden) {
            best = snapshot;
        }
        if readable == Some(Readable::Yes) {
            break;
        }
    }
    best
}

/// Lets the figures open or close the account.
fn take_over(shared: &Shared, account: usize, snapshot: AccountSnapshot) {
    for window in &snapshot.windows {
        if let Some(used) = window.used_permille() {
            let labels = WindowLabels {
                account: shared.accounts[account].label.to_string(),
                window: window.kind.name(),
            };
            let used = i64::try_from(used).unwrap_or(i64::MAX);
            shared.metrics.account_window_used_permille.get_or_create(&labels).set(used);
        }
    }
    shared.accounts[account].learn(snapshot);
    shared.apply_budget(account);
    shared.reconsider_rest(account);
    let told = &shared.accounts[account];
    if let Some(known) = told.snapshot() {
        let now = shared.clock.now().wall;
        shared.events.account(&told.label, &known, told.policy(), now);
    }
}

async fn read_with(
    shared: &Shared,
    endpoints: &Endpoints,
    key: &Key,
    bounded: bool,
) -> Option<AccountSnapshot> {
    let chutes = Chutes::new(endpoints, shared.transport.clone()).ok()?.with_key(key.clone());
    let mut latest = None;
    // Figures stamped by a wrong clock would seem to be from another window, so they are read again by a right one.
    for _ in 0..READINGS_TO_SET_THE_CLOCK {
        let ahead = shared.clock.server_ahead_micros();
        let now = || shared.clock.wall_ahead_by(ahead);
        let mut reading = read_account(&chutes, &now).await;
        if bounded && reading.snapshot.readable == Readable::Yes {
            add_paid_today(&chutes, std::slice::from_ref(key), &mut reading, &now).await;
        }
        for (question, error) in &reading.problems {
            tracing::debug!(?question, %error, "account figures");
        }
        if let Some(more) = reading.clock_offset_micros {
            shared.clock.learn_server_ahead(ahead.saturating_add(more));
        }
        latest = Some(reading.snapshot);
        if Clock::are_alike(ahead, shared.clock.server_ahead_micros()) {
            break;
        }
    }
    latest
}
