//! Puts together what the viewer reads.

use super::CHUTES;
use super::shape::{
    Cooldown, Credential, CredentialWindow, GroupUsage, ModelUsage, Provider, QuotaGroup,
    QuotaStats, Summary, Sums, TokenSums, Totals,
};
use crate::accounts::Account;
use crate::accounts::budget::Budget;
use crate::accounts::sight::Sight;
use crate::admin::figures::{self, decimal, source_word, unit_word, unix_seconds};
use crate::shared::Shared;
use ripcord_rules::quota::{Cap, Plan, Window, WindowKind, next_day_reset};
use ripcord_rules::recover::Scope;
use ripcord_rules::time::{Now, Wall};
use ripcord_rules::units::NanoUsd;
use ripcord_store::Totals as LedgerTotals;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// All models of an account share its windows; this name stands for them.
const QUOTA_MODEL: &str = "chutes/_quota";
/// The viewer's "global" figures.
const LONG_AGO: Duration = Duration::from_secs(30 * 86_400);
const DAY: Duration = Duration::from_secs(86_400);

/// The group of a window, and the window's name in it. One window each: the viewer's overview cuts longer names.
const fn group_of(kind: WindowKind) -> Option<(&'static str, &'static str)> {
    match kind {
        WindowKind::Day => Some(("chutes_global", "daily")),
        WindowKind::FourHour => Some(("chutes_4h_usd", "4h")),
        WindowKind::Month => Some(("chutes_month", "monthly")),
        WindowKind::Chute => None,
    }
}

/// The report; of a provider that is not known an empty one, as that tool has it.
pub(super) async fn stats(
    shared: &Arc<Shared>,
    provider: Option<&str>,
    data_source: &'static str,
) -> QuotaStats {
    let now = shared.clock.now();
    let midnight = next_day_reset(now.wall).before(DAY);
    let ledger = Arc::clone(&shared.ledger);
    let read = tokio::task::spawn_blocking(move || {
        let today = ledger.totals_since(midnight.as_unix_micros()).unwrap_or_default();
        let since = midnight.before(LONG_AGO).as_unix_micros();
        (today, ledger.totals_since(since).unwrap_or_default())
    });
    let (today, global) = read.await.unwrap_or_default();
    let mut providers = BTreeMap::new();
    if provider.is_none_or(|name| name == CHUTES) {
        providers.insert(CHUTES, chutes(shared, &today, &global, now));
    }
    QuotaStats {
        summary: summary(&providers, |provider| {
            (provider.total_requests, provider.tokens, provider.approx_cost)
        }),
        global_summary: summary(&providers, |provider| {
            (provider.global.total_requests, provider.global.tokens, provider.global.approx_cost)
        }),
        providers,
        data_source,
        timestamp: unix_seconds(now.wall),
        refresh_result: None,
    }
}

fn chutes(shared: &Shared, today: &[LedgerTotals], global: &[LedgerTotals], now: Now) -> Provider {
    let mut groups: BTreeMap<&'static str, QuotaGroup> = BTreeMap::new();
    let mut credentials = Vec::new();
    for (index, account) in shared.at_chutes().iter().enumerate() {
        let sight = account.sight(&shared.bearers.anyone(), now);
        let credential = credential(shared, index, account, &sight, (today, global), now);
        join(&mut groups, &credential);
        credentials.push(credential);
    }
    for window in groups.values_mut().flat_map(|group| group.windows.values_mut()) {
        let share = window.total_remaining / window.total_max;
        window.remaining_pct = (window.total_max > 0.0).then(|| rounded(share * 100.0, 10.0));
    }
    let having = |status| credentials.iter().filter(|one| one.status == status).count();
    let sums = |totals: fn(&Credential) -> Totals| {
        credentials.iter().map(totals).fold(Totals::default(), Totals::and)
    };
    let (of_today, of_all) = (sums(|one| one.totals), sums(|one| one.global));
    Provider {
        provider: CHUTES,
        credential_count: credentials.len(),
        active_count: having("active"),
        on_cooldown_count: having("cooldown"),
        exhausted_count: having("exhausted"),
        total_requests: of_today.request_count,
        tokens: of_today.tokens(),
        approx_cost: of_today.cost(),
        global: Sums {
            total_requests: of_all.request_count,
            tokens: of_all.tokens(),
            approx_cost: of_all.cost(),
        },
        quota_groups: groups,
        credentials,
    }
}

fn credential(
    shared: &Shared,
    index: usize,
    account: &Account,
    sight: &Sight,
    (today, global): (&[LedgerTotals], &[LedgerTotals]),
    now: Now,
) -> Credential {
    let own = |totals: &&LedgerTotals| totals.account.as_deref() == Some(&*account.label);
    let last_used = sight.last_call.map(unix_seconds);
    let sum = |totals: &[LedgerTotals]| {
        let sum = totals.iter().filter(own).map(Totals::of).fold(Totals::default(), Totals::and);
        Totals { last_used_at: last_used, ..sum }
    };
    let models = today.iter().filter(own).map(|totals| {
        let model = totals.model.as_deref().unwrap_or("unknown");
        let usage = ModelUsage { windows: BTreeMap::new(), totals: Totals::of(totals) };
        (ripcord_wire::text::clean(model, 200), usage)
    });
    let cooldowns = cooldowns(shared, account, now);
    let is_closed =
        matches!(account.budget(&shared.bearers.anyone(), None, now.wall), Budget::Closed(_));
    let totals = sum(today);
    Credential {
        stable_id: account.label.to_string(),
        identifier: account.label.to_string(),
        email: account.label.to_string(),
        tier: sight.read.as_ref().and_then(|read| read.plan).map(Plan::code),
        priority: 1,
        active_requests: shared.gate.in_use(index),
        status: match (cooldowns.is_empty(), is_closed) {
            (_, true) => "exhausted",
            (false, false) => "cooldown",
            (true, false) => "active",
        },
        totals,
        global: sum(global),
        model_usage: models.collect(),
        group_usage: group_usage(sight, totals, now.wall),
        cooldowns,
        fair_cycle: BTreeMap::new(),
    }
}

/// Rests of the account; and one while none of its keys works.
fn cooldowns(shared: &Shared, account: &Account, now: Now) -> BTreeMap<&'static str, Cooldown> {
    let mut cooldowns = BTreeMap::new();
    let rests = shared.rests.lock();
    let keys = account.keys.iter();
    let resting: Vec<_> =
        keys.map(|key| rests.resting(&Scope::Key(key.number), now.mono)).collect();
    let works_again = resting
        .iter()
        .flatten()
        .min_by_key(|rest| rest.until)
        .filter(|_| resting.iter().all(Option::is_some))
        .map(|rest| (rest.cause, rest.until));
    let rest = account.resting(now.mono).map(|rest| (rest.cause, rest.until));
    if let Some((cause, until)) = rest.or(works_again) {
        let cooldown = Cooldown {
            reason: cause.name(),
            remaining_seconds: until.since(now.mono).as_secs_f64(),
            source: "ripcord",
        };
        cooldowns.insert("_global_", cooldown);
    }
    cooldowns
}

fn group_usage(sight: &Sight, totals: Totals, now: Wall) -> BTreeMap<&'static str, GroupUsage> {
    let windows = sight.expected.iter().flat_map(|expected| &expected.windows);
    let groups = windows.filter_map(|window| {
        let window = window.at(now);
        let (group, name) = group_of(window.kind)?;
        let usage = credential_window(&window)?;
        let is_full = usage.remaining == Some(0.0);
        let cooldown = window.resets_at.filter(|_| is_full).map(|turns| turns.since(now).as_secs());
        let usage = GroupUsage {
            windows: BTreeMap::from([(name, usage)]),
            totals,
            fair_cycle_exhausted: false,
            fair_cycle_reason: None,
            cooldown_remaining: cooldown,
            cooldown_source: cooldown.map(|_| "chutes"),
            custom_cap: None,
            models: [QUOTA_MODEL],
        };
        Some((group, usage))
    });
    groups.collect()
}

/// A window as a person reads it: used rounded up, left rounded down. `None` where it is not known: the viewer takes
/// what is missing for zero, but leaves out a group without windows.
fn credential_window(window: &Window) -> Option<CredentialWindow> {
    let (up, down) =
        (|value: f64| (value * 100.0).ceil() / 100.0, |value: f64| (value * 100.0).floor() / 100.0);
    let limit = match window.cap {
        // The viewer divides by it.
        Cap::Limited(cap) if cap > 0 => Some(cap),
        Cap::Limited(_) | Cap::Uncapped => None,
        Cap::Unknown => return None,
    };
    let remaining = window.remaining().filter(|_| limit.is_some());
    Some(CredentialWindow {
        request_count: up(decimal(window.unit, window.used?)),
        limit: limit.map(|limit| down(decimal(window.unit, limit))),
        remaining: remaining.map(|left| down(decimal(window.unit, left))),
        reset_at: window.resets_at.map(unix_seconds),
        max_recorded_requests: None,
        max_recorded_at: None,
        unit: unit_word(window.unit),
        source: source_word(window.source),
        as_of: unix_seconds(window.as_of),
    })
}

/// Adds an account to the sums of its groups.
fn join(groups: &mut BTreeMap<&'static str, QuotaGroup>, credential: &Credential) {
    let tier_name = credential.tier.unwrap_or("unknown");
    for (name, usage) in &credential.group_usage {
        let group = groups.entry(name).or_default();
        group.fair_cycle_summary.total_count += 1;
        let tier = group.tiers.entry(tier_name).or_default();
        tier.priority = credential.priority;
        tier.total += 1;
        for (name, own) in &usage.windows {
            let window = group.windows.entry(name).or_default();
            let tier = window.tier_availability.entry(tier_name).or_default();
            tier.total += 1;
            tier.available += usize::from(own.remaining != Some(0.0));
            if let (Some(limit), Some(remaining)) = (own.limit, own.remaining) {
                window.total_used = rounded(window.total_used + own.request_count, 100.0);
                window.total_remaining = rounded(window.total_remaining + remaining, 100.0);
                window.total_max = rounded(window.total_max + limit, 100.0);
            }
        }
    }
}

fn summary(
    providers: &BTreeMap<&'static str, Provider>,
    of: impl Fn(&Provider) -> (u64, TokenSums, Option<f64>),
) -> Summary {
    let mut summary = Summary { total_providers: providers.len(), ..Summary::default() };
    for provider in providers.values() {
        let (requests, tokens, cost) = of(provider);
        summary.total_credentials += provider.credential_count;
        summary.active_credentials += provider.active_count;
        summary.exhausted_credentials += provider.exhausted_count;
        summary.total_requests += requests;
        summary.tokens.input_cached += tokens.input_cached;
        summary.tokens.input_uncached += tokens.input_uncached;
        summary.tokens.output += tokens.output;
        if let Some(cost) = cost {
            summary.approx_total_cost = Some(summary.approx_total_cost.unwrap_or(0.0) + cost);
        }
    }
    summary.tokens.input_cache_pct = cached_share(summary.tokens);
    summary
}

fn cached_share(tokens: TokenSums) -> f64 {
    match tokens.input_cached + tokens.input_uncached {
        0 => 0.0,
        all => rounded(tokens.input_cached as f64 / all as f64 * 100.0, 10.0),
    }
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

// === impl Totals ===

impl Totals {
    fn of(totals: &LedgerTotals) -> Self {
        Self {
            request_count: totals.attempts,
            success_count: totals.completed,
            failure_count: totals.attempts.saturating_sub(totals.completed),
            prompt_tokens: totals.prompt_tokens.saturating_sub(totals.cached_tokens),
            prompt_tokens_cache_read: totals.cached_tokens,
            prompt_tokens_cache_write: 0,
            completion_tokens: totals.completion_tokens,
            thinking_tokens: 0,
            output_tokens: totals.completion_tokens,
            total_tokens: totals.prompt_tokens.saturating_add(totals.completion_tokens),
            approx_cost: figures::usd(NanoUsd(totals.list_price_nano_usd)),
            first_used_at: None,
            last_used_at: None,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            request_count: self.request_count + other.request_count,
            success_count: self.success_count + other.success_count,
            failure_count: self.failure_count + other.failure_count,
            prompt_tokens: self.prompt_tokens + other.prompt_tokens,
            prompt_tokens_cache_read: self.prompt_tokens_cache_read
                + other.prompt_tokens_cache_read,
            completion_tokens: self.completion_tokens + other.completion_tokens,
            output_tokens: self.output_tokens + other.output_tokens,
            total_tokens: self.total_tokens + other.total_tokens,
            approx_cost: self.approx_cost + other.approx_cost,
            ..self
        }
    }

    fn tokens(self) -> TokenSums {
        let tokens = TokenSums {
            input_cached: self.prompt_tokens_cache_read,
            input_uncached: self.prompt_tokens,
            input_cache_pct: 0.0,
            output: self.output_tokens,
        };
        TokenSums { input_cache_pct: cached_share(tokens), ..tokens }
    }

    fn cost(self) -> Option<f64> {
        (self.approx_cost > 0.0).then_some(self.approx_cost)
    }
}
