//! Keeps the accounts' figures fresh: in turn, a few at once, sooner after a 402 and right after a window turns,
//! never in bursts.

use crate::clock::Clock;
use crate::metrics::WindowLabels;
use crate::shared::{FIGURES_LAG, Shared};
use ripcord_client::chutes::Chutes;
use ripcord_client::endpoints::Endpoints;
use ripcord_client::key::Key;
use ripcord_client::snapshot::{add_paid_today, read_account};
use ripcord_rules::cause::Cause;
use ripcord_rules::quota::{AccountSnapshot, Readable, Window};
use ripcord_rules::time::{Mono, Wall};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Accounts read at once.
const AT_ONCE: usize = 5;
/// The least time between two readings of one account, whatever asks for them.
pub(crate) const LEAST_PAUSE: Duration = Duration::from_secs(10);
/// After a window turns the server may show the old figures for a minute.
const AFTER_TURN: Duration = Duration::from_secs(5);
/// After a reading that failed, in whole or in part.
const RETRY: Duration = Duration::from_secs(30);
/// While own calls go into a window of which little is left.
const NEAR_THE_END: Duration = Duration::from_secs(15);
/// From here on little is left of a window, in thousandths.
const LITTLE_LEFT_PERMILLE: u64 = 800;

/// One to learn the server's time, one to use it, and one more for a clock that is set meanwhile.
const READINGS_TO_SET_THE_CLOCK: usize = 3;

/// When an account was, and is to be, read.
struct Schedule {
    last: Option<Mono>,
    due: Mono,
}

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
    let start = shared.clock.mono();
    let mut schedule: Vec<Schedule> =
        shared.accounts.iter().map(|_| Schedule { last: None, due: start }).collect();
    let mut reading: JoinSet<()> = JoinSet::new();
    let mut accounts: HashMap<tokio::task::Id, usize> = HashMap::new();
    let mut busy = vec![false; schedule.len()];
    loop {
        // Whoever is being read stays on the list: that reading may have begun too early.
        shared.stale_accounts.lock().retain(|&account| {
            if !busy[account] {
                let earliest = schedule[account].last.map_or(start, |last| last.after(LEAST_PAUSE));
                schedule[account].due = schedule[account].due.min(earliest);
            }
            busy[account]
        });
        let now = shared.clock.mono();
        for account in 0..schedule.len() {
            if reading.len() < AT_ONCE && !busy[account] && schedule[account].due <= now {
                busy[account] = true;
                schedule[account].last = Some(now);
                let figures = read(Arc::clone(&shared), account);
                let shared = Arc::clone(&shared);
                let task = reading.spawn(async move {
                    if let Some(snapshot) = figures.await {
                        take_over(&shared, account, snapshot);
                    }
                });
                accounts.insert(task.id(), account);
            }
        }
        let next = (0..schedule.len())
            .filter(|&account| !busy[account])
            .map(|account| schedule[account].due)
            .min();
        let next = next.filter(|_| reading.len() < AT_ONCE);
        let until_next = async {
            match next {
                Some(due) => {
                    tokio::time::sleep_until(shared.clock.instant(due)).await;
                }
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
            busy[account] = false;
            schedule[account].due = next_reading(&shared, account, interval);
        }
    }
}

/// The interval, or soon after the account's next window turns.
fn next_reading(shared: &Shared, account: usize, interval: Duration) -> Mono {
    let now = shared.clock.now();
    let snapshot = shared.accounts[account].snapshot();
    let is_old = snapshot.as_ref().is_none_or(|snapshot| {
        snapshot.readable == Readable::Failed
            || now.wall.since(snapshot.oldest_figure(None)) > interval
    });
    let waits_for_room = matches!(
        shared.accounts[account].resting(now.mono),
        Some(rest) if matches!(rest.cause, Cause::WindowUsedUp(_))
    );
    let interval = match (is_old, waits_for_room) {
        (true, _) => interval.min(RETRY),
        (false, true) => interval.min(FIGURES_LAG + LEAST_PAUSE),
        (false, false) if is_near_the_end(shared, account, now.wall) => interval.min(NEAR_THE_END),
        // Whoever waits would wait for nothing.
        (false, false)
            if snapshot.as_ref().is_some_and(AccountSnapshot::may_show_the_window_before) =>
        {
            interval.min(NEAR_THE_END)
        }
        (false, false) => interval,
    };
    let turns = snapshot
        .iter()
        .flat_map(|snapshot| snapshot.windows_at(None, now.wall))
        .filter_map(|window| window.resets_at)
        .filter(|&turns| turns > now.wall)
        .min();
    let regular = now.mono.after(interval);
    let after_turn = turns.map(|turns| now.mono.after(turns.since(now.wall) + AFTER_TURN));
    after_turn.map_or(regular, |turn| turn.min(regular)).max(now.mono.after(LEAST_PAUSE))
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
    for key in keys {
        let bounded = shared.accounts[account].has_daily_bound();
        let snapshot = read_with(shared, endpoints, &key.key, bounded).await;
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
