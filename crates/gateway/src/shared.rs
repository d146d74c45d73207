//! What every request of one gateway shares.

use crate::accounts::{Account, Budget};
use crate::catalogue::Catalogue;
use crate::clock::Clock;
use crate::config::Limits;
use crate::driver::gate::GateDriver;
use crate::metrics::Metrics;
use parking_lot::Mutex;
use ripcord_client::transport::{Target, Transport};
use ripcord_rules::admit::Closure;
use ripcord_rules::cause::{Cause, Failure, classify};
use ripcord_rules::quota::Verdict;
use ripcord_rules::recover::{RestBook, Scope, Tried};
use ripcord_rules::time::Mono;
use ripcord_store::Ledger;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// One gateway's parts.
pub(crate) struct Shared {
    pub(crate) clock: Arc<Clock>,
    pub(crate) limits: Limits,
    pub(crate) accounts: Vec<Account>,
    pub(crate) gate: Arc<GateDriver>,
    pub(crate) rests: Mutex<RestBook>,
    pub(crate) catalogue: Catalogue,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) metrics: Metrics,
    pub(crate) transport: Transport,
    /// The drain is over: whatever is under way ends, with an error that says so.
    pub(crate) closing: CancellationToken,
    pub(crate) llm: Target,
    pub(crate) embed: Target,
    /// Tells the refresher that an account's figures are out of date.
    pub(crate) stale: Notify,
    pub(crate) stale_accounts: Mutex<Vec<usize>>,
}

/// How long requests wait for an account's first figures.
pub(crate) const FIRST_FIGURES: Duration = Duration::from_secs(10);
/// The same for an account that may not be used without figures: by then the first reading has ended one way or the
/// other (its calls have a deadline of 20 s) and has opened or closed it.
pub(crate) const FIRST_READING: Duration = Duration::from_secs(60);

impl Shared {
    /// Writes a failed attempt down, and lets rest what has to.
    pub(crate) fn record_failure(&self, tried: Tried<'_>, failure: &Failure) {
        let now = self.clock.now();
        let cause = classify(failure);
        let rested = self.rests.lock().record(now, tried, failure);
        if let Some((scope, until)) = rested {
            tracing::info!(
                account = %self.accounts[tried.account].label,
                cause = cause.name(),
                seconds = until.since(now.mono).as_secs(),
                "rests"
            );
            match scope {
                Scope::Edge => {
                    (0..self.accounts.len()).for_each(|account| self.rest(account, cause, until))
                }
                Scope::Account(account) => self.rest(account, cause, until),
                Scope::Key(_) | Scope::Model(_) | Scope::AccountModel(..) => {}
            }
        }
        if matches!(cause, Cause::WindowUsedUp(_) | Cause::DeadKey) {
            self.refresh_soon(tried.account);
        }
    }

    /// Asks for the figures of an account out of turn.
    pub(crate) fn refresh_soon(&self, account: usize) {
        let mut stale = self.stale_accounts.lock();
        if !stale.contains(&account) {
            stale.push(account);
        }
        self.stale.notify_one();
    }

    /// A key was accepted.
    pub(crate) fn key_works(&self, key: usize) {
        self.rests.lock().forgive(&Scope::Key(key));
    }

    /// Opens or closes an account for its budget, by its last figures.
    pub(crate) fn apply_budget(&self, account: usize) {
        let now = self.clock.now();
        match self.accounts[account].budget(now.wall) {
            Budget::Open | Budget::Unguarded(_) => self.gate.open(account, Closure::Budget),
            Budget::NotReadYet => {
                let patience = if self.accounts[account].refuses_unknown() {
                    FIRST_READING
                } else {
                    FIRST_FIGURES
                };
                self.gate.close(account, Closure::Budget, Some(now.mono.after(patience)));
            }
            Budget::Closed(verdict) => {
                let turns_at = match verdict {
                    Verdict::No { turns_at, .. } => turns_at,
                    Verdict::Yes(_) | Verdict::Unknown(_) => None,
                };
                let until = turns_at.map(|turns| now.mono.after(turns.since(now.wall)));
                self.gate.close(account, Closure::Budget, until);
            }
        }
    }

    fn rest(&self, account: usize, cause: Cause, until: Mono) {
        self.accounts[account].rests(cause, until);
        self.gate.close(account, Closure::Rest, Some(until));
    }
}
