//! What every request of one gateway shares.

use crate::accounts::budget::{Budget, Standing};
use crate::accounts::service::Services;
use crate::accounts::{Account, AccountKey, AccountRest};
use crate::bearers::{Bearers, Spender};
use crate::catalogue::{Catalogue, Quote};
use crate::clock::Clock;
use crate::config::Limits;
use crate::driver::gate::GateDriver;
use crate::events::Events;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::pipeline::call::Call;
use crate::pipeline::itinerary::Link;
use crate::routing::Routing;
use crate::terms::Terms;
use crate::under_way::UnderWay;
use parking_lot::Mutex;
use ripcord_client::transport::Transport;
use ripcord_rules::admit::{Closure, ModelNumber};
use ripcord_rules::cause::{Cause, Failure, classify};
use ripcord_rules::quota::{SizeBook, TURN_MARGIN, Verdict, WindowKind};
use ripcord_rules::recover::{Rest, RestBook, Scope, Tried};
use ripcord_rules::route::Stickiness;
use ripcord_rules::time::{Mono, Now, Wall};
use ripcord_store::Ledger;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// One gateway's parts.
pub(crate) struct Shared {
    pub(crate) clock: Arc<Clock>,
    pub(crate) limits: Limits,
    pub(crate) routing: Routing,
    pub(crate) accounts: Vec<Account>,
    pub(crate) gate: Arc<GateDriver>,
    pub(crate) bearers: Bearers,
    pub(crate) rests: Mutex<RestBook>,
    pub(crate) health: Health,
    pub(crate) catalogue: Catalogue,
    /// How large calls are, by model.
    pub(crate) sizes: Mutex<SizeBook>,
    /// Fingerprints of bodies: not to be foreseen from outside, and another one in every process.
    pub(crate) body_hasher: RandomState,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) metrics: Metrics,
    /// What changed, for whoever listens.
    pub(crate) events: Events,
    /// Places for those who listen over HTTP.
    pub(crate) listeners: Arc<Semaphore>,
    pub(crate) transport: Transport,
    /// The drain is over: whatever is under way ends, with an error that says so.
    pub(crate) closing: CancellationToken,
    /// Whose requests are under way.
    pub(crate) under_way: Arc<UnderWay>,
    pub(crate) services: Services,
    /// Who served which beginnings of prompts.
    pub(crate) stickiness: Mutex<Stickiness>,
    /// Tells the refresher that an account's figures are out of date.
    pub(crate) stale: Notify,
    pub(crate) stale_accounts: Mutex<Vec<usize>>,
}

/// An account that does not take this one call, though it takes others.
pub(crate) struct Apart {
    pub(crate) account: usize,
    /// For which link, by its key: another model may cost less, or count elsewhere.
    pub(crate) link: Arc<str>,
    /// When to ask again.
    pub(crate) until: Mono,
    /// When it may have room for it; `None` if nobody knows.
    pub(crate) turns: Option<Mono>,
    pub(crate) verdict: Verdict,
}

/// When an account without room is looked at again before its window turns; `None` if only the turn helps.
fn look_again(standing: &Standing, now: Mono) -> Option<Mono> {
    // Calls under way may cost less than is reserved for them, and newer figures may show room.
    standing
        .may_settle
        .then(|| now.after(if standing.calls_run { SETTLES_IN } else { RECONSIDERED }))
}

/// How long requests wait for an account's first figures.
pub(crate) const FIRST_FIGURES: Duration = Duration::from_secs(10);
/// An account that is closed for calls under way is looked at again after this long, if none of them ends before.
const SETTLES_IN: Duration = Duration::from_secs(1);
/// A single call that an account does not take asks again after this long, if nothing turns before.
const ASKS_AGAIN: Duration = Duration::from_secs(30);
/// One that is closed only for what its figures may lack.
pub(crate) const RECONSIDERED: Duration = Duration::from_secs(12);

impl Shared {
    /// Names that someone who wrote `model` may have meant, nearest first.
    pub(crate) fn near(&self, model: &str) -> Vec<String> {
        self.catalogue.near(model, self.routing.virtual_models())
    }

    /// Writes a failed attempt down, and lets rest what has to.
    pub(crate) fn record_failure(&self, tried: Tried<'_>, failure: &Failure) {
        let now = self.clock.now();
        let cause = classify(failure);
        let rested = self.rests.lock().record(now, tried, failure);
        self.health.failed(now.mono, tried.model, cause);
        self.tell_failure(tried, cause, now.wall);
        if let Some((scope, rest)) = rested {
            let who = match &scope {
                Scope::Edge => "every account".to_owned(),
                Scope::Account(_) => format!("account {}", self.accounts[tried.account].label),
                Scope::Key(_) => format!("a key of account {}", self.accounts[tried.account].label),
                Scope::Model(model) => format!("model {}", ripcord_wire::text::clean(model, 80)),
                Scope::AccountModel(_, model) => format!(
                    "model {} for account {}",
                    ripcord_wire::text::clean(model, 80),
                    self.accounts[tried.account].label
                ),
            };
            tracing::info!(
                who,
                cause = rest.cause.name(),
                seconds = rest.until.since(now.mono).as_secs(),
                "rests"
            );
            match scope {
                Scope::Edge => {
                    (0..self.at_chutes().len()).for_each(|account| self.rest(account, rest))
                }
                Scope::Account(account) => self.rest(account, rest),
                Scope::Key(_) | Scope::Model(_) | Scope::AccountModel(..) => {}
            }
        }
        if matches!(cause, Cause::WindowUsedUp(_) | Cause::DeadKey) {
            self.refresh_soon(tried.account);
        }
    }

    /// If this machine's clock was set or it slept, asks the server for the time, with every account's figures.
    pub(crate) fn notice_jump_of_clock(&self) {
        if self.clock.has_jumped() {
            tracing::info!("this machine's clock was set, or it slept: figures are read anew");
            (0..self.at_chutes().len()).for_each(|account| self.refresh_soon(account));
        }
    }

    /// The accounts that have windows and figures: they are the first.
    pub(crate) fn at_chutes(&self) -> &[Account] {
        let others = self.accounts.partition_point(|account| account.service.is_chutes());
        self.accounts.get(..others).unwrap_or_default()
    }

    /// What is known of each account at Chutes beside its figures.
    pub(crate) fn terms(&self) -> Vec<Arc<Terms>> {
        self.at_chutes().iter().map(|account| account.pricing.terms()).collect()
    }

    /// A number for a model at a service, by the key of its link.
    pub(crate) fn model_number(&self, key: &str) -> ModelNumber {
        ModelNumber(self.body_hasher.hash_one(key))
    }

    /// Whoever waits for the end of a model's rest need not wait for it as long as was thought.
    pub(crate) fn model_comes_back(&self, key: &str) {
        let number = self.model_number(key);
        self.gate.ask_sooner(|one| one.model == Some(number));
    }

    /// Asks for the figures of an account out of turn.
    pub(crate) fn refresh_soon(&self, account: usize) {
        if account >= self.at_chutes().len() {
            return;
        }
        let mut stale = self.stale_accounts.lock();
        if !stale.contains(&account) {
            stale.push(account);
        }
        self.stale.notify_one();
    }

    /// A model answered an account's key.
    pub(crate) fn answered(&self, account: usize, key: &AccountKey, model: &str) {
        let had_rested = {
            let mut rests = self.rests.lock();
            rests.forgive(&Scope::Key(key.number));
            rests.forgive(&Scope::Model(model.to_owned()))
        };
        if had_rested {
            self.model_comes_back(model);
        }
        self.health.answered(self.clock.mono(), model);
        let who = (&*self.accounts[account].label, &*key.label);
        self.events.answered(who, model, self.clock.now().wall);
    }

    /// Tells those who listen of a failed attempt, if it says something of the model or the key.
    fn tell_failure(&self, tried: Tried<'_>, cause: Cause, now: Wall) {
        let account = &self.accounts[tried.account];
        let key = account.keys.iter().find(|key| key.number == tried.key);
        let who = (&*account.label, key.map_or("", |key| &*key.label));
        let is_model = self.catalogue.lists(tried.model);
        self.events.failed(cause, who, tried.model, is_model, now);
    }

    /// Opens or closes an account for its budget, by its last figures and own calls since, for each class by itself.
    pub(crate) fn apply_budget(&self, account: usize) {
        let _alone = self.accounts[account].applying.lock();
        self.accounts[account].is_closed.store(true, Ordering::SeqCst);
        // From here on whoever changes the budget comes here, too, so the last look is the newest.
        let now = self.clock.now();
        let standings: Vec<(Spender, Standing)> = self
            .bearers
            .spenders()
            .into_iter()
            .map(|spender| {
                let standing = self.accounts[account].standing(&spender, None, now.wall);
                (spender, standing)
            })
            .collect();
        let is_open =
            |standing: &Standing| matches!(standing.budget, Budget::Open(_) | Budget::Unguarded);
        if standings.iter().all(|(_, standing)| is_open(standing)) {
            self.accounts[account].is_closed.store(false, Ordering::SeqCst);
        }
        for (spender, standing) in &standings {
            self.apply(account, spender, standing, now);
        }
    }

    fn apply(&self, account: usize, spender: &Spender, standing: &Standing, now: Now) {
        let closure = Closure::Budget(spender.class());
        let close = |until| self.gate.close(account, closure, until);
        match &standing.budget {
            Budget::Open(_) | Budget::Unguarded => self.gate.open(account, closure),
            Budget::NotReadYet if self.accounts[account].refuses_unknown(spender) => close(None),
            Budget::NotReadYet => close(Some(now.mono.after(FIRST_FIGURES))),
            // What turns by itself opens by itself; everything else waits for a reading that says so.
            Budget::Closed(Verdict::No { turns_at, by_itself, .. }) => {
                let turn = turns_at.filter(|_| *by_itself);
                let turn = turn.map(|turns| now.mono.after(turns.since(now.wall) + TURN_MARGIN));
                match look_again(standing, now.mono) {
                    None => close(turn),
                    Some(soon) => {
                        close(Some(turn.map_or(soon, |turn| turn.min(soon))));
                        self.refresh_soon(account);
                    }
                }
            }
            Budget::Closed(_) | Budget::TooDear(_) => close(None),
        }
    }

    /// Calls have ended, or figures have come: an account that was closed may have room again.
    pub(crate) fn budget_changed(&self, account: usize) {
        if self.accounts[account].is_closed.load(Ordering::SeqCst) {
            self.apply_budget(account);
        }
    }

    /// The gate let a call through that the account's budget does not: closes what has to be closed. If that is nothing
    /// but this call, until when it stays away.
    pub(crate) fn close_for(
        &self,
        account: usize,
        call: &Call,
        link: &Link,
        budget: &Budget,
    ) -> Option<Apart> {
        let terms = self.accounts[account].pricing.terms();
        let chutes = self.chutes_of(account, &link.quote(self, &terms), &terms);
        let chutes: Vec<Option<&str>> = chutes.iter().map(Option::as_deref).collect();
        let now = self.clock.now();
        let standings =
            |who: &Spender| self.accounts[account].standings(who, &[None], &chutes, now.wall);
        let [of_all, of_call] = standings(&call.spender);
        let (verdict, is_too_dear) = match (budget, &of_call.budget) {
            (Budget::TooDear(verdict), _) => (*verdict, true),
            // Otherwise it would ask again and again, and never be let in.
            (_, Budget::Closed(verdict)) if of_all.budget.is_open() => (*verdict, false),
            _ => {
                self.apply_budget(account);
                return None;
            }
        };
        let turns_at = if let Verdict::No { turns_at, .. } = verdict { turns_at } else { None };
        let turn = turns_at.map(|turns| now.mono.after(turns.since(now.wall) + TURN_MARGIN));
        let [all_of_anyone, of_anyone] = standings(&self.bearers.anyone()).map(|one| one.budget);
        let goes_for_nobody =
            all_of_anyone.is_open() && matches!(of_anyone, Budget::Closed(Verdict::No { .. }));
        if is_too_dear || !goes_for_nobody {
            // Others may go on with it.
            let soon = now.mono.after(if of_all.calls_run { SETTLES_IN } else { ASKS_AGAIN });
            let until = turn.map_or(soon, |turn| turn.min(soon));
            let turns = if of_all.calls_run { Some(until) } else { turn };
            let link = Arc::clone(&link.key);
            return Some(Apart { account, link, until, turns, verdict });
        }
        // Only this model has no room: it has a window of its own.
        let soon = look_again(&of_call, now.mono);
        let until = turn.into_iter().chain(soon).min();
        let until = until.unwrap_or_else(|| now.mono.after(FIRST_FIGURES));
        let scope = Scope::AccountModel(account, link.key.to_string());
        self.rests.lock().rest_until(
            scope,
            Cause::WindowUsedUp(Some(WindowKind::Chute)),
            now.mono,
            until,
        );
        None
    }

    /// The chutes that may serve what this is a quote for. A name that is not listed may stand for any chute that is not
    /// listed either, or for any at all while the account's own names are not known.
    pub(crate) fn chutes_of(
        &self,
        account: usize,
        quote: &Quote,
        terms: &Terms,
    ) -> Vec<Option<Arc<str>>> {
        let mut chutes: Vec<Option<Arc<str>>> = quote.chutes().collect();
        if !quote.is_whole() {
            let may_be =
                |chute: &Arc<str>| terms.aliases.is_none() || !self.catalogue.lists_chute(chute);
            let rows = self.accounts[account].chutes_with_rows().into_iter().filter(may_be);
            chutes.extend(rows.map(Some));
            chutes.push(None);
        }
        chutes
    }

    /// Client keys were added or revoked.
    pub(crate) fn bearers_changed(&self, before: &[Spender]) {
        let spenders = self.bearers.spenders();
        for account in 0..self.accounts.len() {
            self.apply_budget(account);
            // Whoever waits with a key that is gone has to hear of it.
            let gone = before.iter().map(Spender::class);
            for class in gone.filter(|class| !spenders.iter().any(|one| one.class() == *class)) {
                self.gate.open(account, Closure::Budget(class));
            }
        }
    }

    /// After a reading: a rest for a used-up window ends when newer figures show room again.
    pub(crate) fn reconsider_rest(&self, account: usize) {
        let now = self.clock.now();
        let Some(rest) = self.accounts[account].resting(now.mono) else { return };
        let read_at =
            self.accounts[account].snapshot().map(|snapshot| snapshot.oldest_figure(None));
        let is_newer = read_at.is_some_and(|read| read.since(rest.since) >= FIGURES_LAG);
        let anyone = self.bearers.anyone();
        let has_room =
            matches!(self.accounts[account].budget(&anyone, None, now.wall), Budget::Open(_));
        if !matches!(rest.cause, Cause::WindowUsedUp(_)) || !is_newer || !has_room {
            return;
        }
        // One that began meanwhile stays.
        if self.accounts[account].wakes_from(rest) {
            self.rests.lock().forgive(&Scope::Account(account));
            self.gate.open(account, Closure::Rest);
        }
    }

    fn rest(&self, account: usize, rest: Rest) {
        let since = self.clock.now().wall;
        let Rest { until, cause, .. } = rest;
        if self.accounts[account].rests(AccountRest { cause, until, since }) {
            self.gate.close(account, Closure::Rest, Some(until));
        }
    }
}

/// The server shows a change of balance or figures at once, and acts on it up to a minute later (recordings).
pub(crate) const FIGURES_LAG: Duration = Duration::from_secs(60);
