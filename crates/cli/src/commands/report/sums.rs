//! Hours summed into the rows of a report: what Chutes counted, what went through this machine's gateway, and how the
//! two differ.

use std::collections::BTreeMap;

use ripcord_rules::history::{Drift, OwnCalls, UsdSpan, drift, worth};
use ripcord_rules::quota::{AccountPrices, ModelPrices, Plan};
use ripcord_rules::time::Wall;
use ripcord_rules::units::NanoUsd;
use ripcord_store::{HourlyUsage, Spent, UsageHour};

use super::history::{compared_until, hour_of};
use super::periods::Period;
use crate::catalogue::Catalogue;

/// What a chute is called and what its tokens cost.
#[derive(Debug, Default)]
pub(super) struct PriceList {
    by_chute: BTreeMap<String, (String, Option<ModelPrices>)>,
    /// Whether the list of models was read.
    pub(super) is_read: bool,
}

/// What is known of one account's hours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) usage: Option<&'a HourlyUsage>,
    pub(super) own: Option<&'a Own>,
    pub(super) prices: &'a PriceList,
    /// What the account pays otherwise than the list says.
    pub(super) own_prices: &'a AccountPrices,
    pub(super) plan: Option<Plan>,
}

/// The ledger's part of an account.
#[derive(Debug)]
pub(super) struct Own {
    /// Since when anything is known, in Unix seconds.
    pub(super) begins: i64,
    /// By the hour.
    pub(super) spent: Vec<Spent>,
}

/// What Chutes counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ServerSum {
    pub(super) requests: u64,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    /// Taken from the balance.
    pub(super) charged: NanoUsd,
    /// What all of it was worth at list price; what has no known price counts as what was charged for it.
    pub(super) worth: UsdSpan,
    /// Requests that no price is known for.
    pub(super) unpriced: u64,
    /// Whether a figure was missing, so that a sum may be too low.
    pub(super) incomplete: bool,
}

/// What went through the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OwnSum {
    pub(super) calls: OwnCalls,
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
    pub(super) list_price: NanoUsd,
    pub(super) unpriced: u64,
}

/// How a row's two records differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    /// Its figures are too young to be compared.
    NotYet,
    /// As far as its hours have settled.
    Settled(Drift),
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) period: Period,
    /// Whether it has begun.
    pub(super) begun: bool,
    /// `None` if not all of its hours are known.
    pub(super) server: Option<ServerSum>,
    /// `None` if there is no ledger, or it began later.
    pub(super) own: Option<OwnSum>,
    pub(super) difference: Difference,
}

// === impl PriceList ===

impl PriceList {
    /// The prices of today.
    pub(super) fn of(catalogue: &Catalogue, is_read: bool) -> Self {
        let mut by_chute = BTreeMap::new();
        for entry in &catalogue.entries {
            let Some(id) = entry.chute_id.clone() else { continue };
            by_chute.entry(id).or_insert((entry.name.clone(), entry.list_prices()));
        }
        Self { by_chute, is_read }
    }

    /// What a chute is called; the beginning of its id if no list names it.
    pub(super) fn name(&self, chute_id: Option<&str>) -> String {
        match chute_id {
            None => "unknown".to_owned(),
            Some(id) => match self.by_chute.get(id) {
                Some((name, _)) => name.clone(),
                None => format!("chute {}", id.chars().take(8).collect::<String>()),
            },
        }
    }

    fn prices(&self, chute_id: Option<&str>) -> Option<ModelPrices> {
        self.by_chute.get(chute_id?).and_then(|(_, prices)| *prices)
    }
}

// === impl Facts ===

impl Facts<'_> {
    /// One hour of one chute.
    pub(super) fn hour(&self, row: &UsageHour) -> ServerSum {
        let charged = NanoUsd(row.charged_nano_usd.unwrap_or(0).max(0));
        let (prompt, completion) = (row.prompt_tokens, row.completion_tokens);
        let chute_id = row.chute_id.as_deref();
        let by_tokens = self
            .own_prices
            .of(chute_id, self.prices.prices(chute_id))
            .zip(prompt.zip(completion))
            .map(|(prices, (prompt, completion))| worth(prompt, completion, prices));
        let (worth, priced) = match by_tokens {
            // Everything is charged there, so what was charged is what it was worth.
            _ if self.plan == Some(Plan::PayAsYouGo) && charged > NanoUsd::ZERO => {
                (UsdSpan::exactly(charged), true)
            }
            Some(worth) => (worth.at_least(charged), true),
            None => (UsdSpan::exactly(charged), false),
        };
        ServerSum {
            requests: row.requests.unwrap_or(0),
            prompt_tokens: prompt.unwrap_or(0),
            completion_tokens: completion.unwrap_or(0),
            charged,
            worth,
            unpriced: if priced { 0 } else { row.requests.unwrap_or(0) },
            incomplete: row.requests.is_none()
                || row.charged_nano_usd.is_none()
                || prompt.zip(completion).is_none(),
        }
    }

    /// The rows of these hours, oldest first.
    pub(super) fn hours(&self, from: Wall, until: Wall) -> &[UsageHour] {
        let Some(usage) = self.usage else { return &[] };
        let at = |moment: Wall| {
            let first = first_hour(moment);
            usage.rows.partition_point(|row| row.hour_unix_seconds < first)
        };
        usage.rows.get(at(from)..at(until)).unwrap_or(&[])
    }

    /// Whether every hour of these that has begun is known.
    pub(super) fn covers(&self, from: Wall) -> bool {
        self.usage.is_some_and(|usage| first_hour(from) >= usage.from_unix_seconds)
    }

    /// The hour from which on figures may still change, in Unix seconds.
    pub(super) fn settled_until(&self) -> Option<i64> {
        Some(compared_until(self.usage?.read_at_unix_seconds))
    }

    pub(super) fn server(&self, from: Wall, until: Wall) -> Option<ServerSum> {
        let sum = || {
            let hours = self.hours(from, until).iter().map(|row| self.hour(row));
            hours.fold(ServerSum::default(), ServerSum::plus)
        };
        self.covers(from).then(sum)
    }

    pub(super) fn row(&self, period: Period, now: Wall) -> Row {
        let (from, until) = (period.from, period.until);
        let begun = from <= now;
        Row {
            begun,
            server: self.server(from, until).filter(|_| begun),
            own: self
                .own
                .filter(|own| begun && own.begins < until.as_unix_seconds())
                .map(|own| own.sum(from, until)),
            difference: self.difference(from, until),
            period,
        }
    }

    /// Of the hours that have settled, and of which both know.
    fn difference(&self, from: Wall, until: Wall) -> Difference {
        let (Some(own), Some(settled)) = (self.own, self.settled_until()) else {
            return Difference::Settled(Drift::Unknown);
        };
        if settled <= first_hour(from) {
            return Difference::NotYet;
        }
        let from = Wall::from_unix_seconds(
            first_hour(from).max(first_hour(Wall::from_unix_seconds(own.begins))),
        );
        let until = Wall::from_unix_seconds(settled.min(first_hour(until)));
        let known = if from < until { self.server(from, until) } else { None };
        let counted = known.filter(|sum| !sum.incomplete).map(|sum| sum.requests);
        Difference::Settled(drift(counted, Some(own.sum(from, until).calls)))
    }
}

/// The first hour that begins at this moment or after it, in Unix seconds.
fn first_hour(moment: Wall) -> i64 {
    let hour = hour_of(moment);
    if Wall::from_unix_seconds(hour) == moment { hour } else { hour + 3600 }
}

// === impl Own ===

impl Own {
    fn sum(&self, from: Wall, until: Wall) -> OwnSum {
        let span = first_hour(from)..first_hour(until);
        let mut sum = OwnSum::default();
        for spent in &self.spent {
            if !span.contains(&(spent.from_unix_us / 1_000_000)) {
                continue;
            }
            sum = sum.plus(OwnSum {
                calls: OwnCalls {
                    completed: spent.completed,
                    uncertain: spent.attempts.saturating_sub(spent.completed),
                },
                prompt_tokens: spent.prompt_tokens,
                completion_tokens: spent.completion_tokens,
                list_price: NanoUsd(spent.list_price_nano_usd),
                unpriced: spent.unpriced,
            });
        }
        sum
    }
}

// === impl ServerSum ===

impl ServerSum {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
            charged: self.charged.plus(other.charged),
            worth: self.worth.plus(other.worth),
            unpriced: self.unpriced.saturating_add(other.unpriced),
            incomplete: self.incomplete || other.incomplete,
        }
    }
}

// === impl OwnSum ===

impl OwnSum {
    fn plus(self, other: Self) -> Self {
        Self {
            calls: OwnCalls {
                completed: self.calls.completed.saturating_add(other.calls.completed),
                uncertain: self.calls.uncertain.saturating_add(other.calls.uncertain),
            },
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
            list_price: self.list_price.plus(other.list_price),
            unpriced: self.unpriced.saturating_add(other.unpriced),
        }
    }
}

// === impl Row ===

impl Row {
    /// All rows of an account as one; `None` if not all of those that have begun are known.
    pub(super) fn whole(rows: &[Self]) -> Option<Self> {
        let begun: Vec<&Self> = rows.iter().filter(|row| row.begun).collect();
        let mut sum = Self::together(&begun)?;
        // Each row says its own; what they say together stands below the table.
        sum.difference = Difference::Settled(Drift::Unknown);
        sum.server.is_some().then_some(sum)
    }

    /// The rows of several accounts as one. What is not known of one is not known of all.
    pub(super) fn together(rows: &[&Self]) -> Option<Self> {
        let (first, others) = rows.split_first()?;
        let mut sum = (*first).clone();
        for other in others {
            sum.server = sum.server.zip(other.server).map(|(one, other)| one.plus(other));
            sum.own = match (sum.own, other.own) {
                (Some(one), Some(other)) => Some(one.plus(other)),
                (one, other) => one.or(other),
            };
            sum.difference = sum.difference.with(other.difference);
        }
        Some(sum)
    }
}

// === impl Difference ===

impl Difference {
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotYet, _) | (_, Self::NotYet) => Self::NotYet,
            (Self::Settled(one), Self::Settled(other)) => Self::Settled(match (one, other) {
                (Drift::Elsewhere(one), Drift::Elsewhere(other)) => {
                    Drift::Elsewhere(one.saturating_add(other))
                }
                (Drift::Missing(one), Drift::Missing(other)) => {
                    Drift::Missing(one.saturating_add(other))
                }
                (Drift::None, other) | (other, Drift::None) => other,
                (Drift::Unknown | Drift::Elsewhere(_) | Drift::Missing(_), _) => Drift::Unknown,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: AccountPrices = AccountPrices { overrides: None, discounts: None };

    /// 2026-09-27T00:00:00Z.
    const MIDNIGHT: i64 = 1_790_467_200;

    fn at(hour: i64) -> Wall {
        Wall::from_unix_seconds(MIDNIGHT + hour * 3600)
    }

    fn hour(number: i64, requests: u64, charged: Option<i64>) -> UsageHour {
        UsageHour {
            hour_unix_seconds: at(number).as_unix_seconds(),
            chute_id: Some("c1".into()),
            requests: Some(requests),
            prompt_tokens: Some(1_000_000),
            completion_tokens: Some(0),
            charged_nano_usd: charged,
        }
    }

    fn usage(rows: Vec<UsageHour>) -> HourlyUsage {
        HourlyUsage {
            from_unix_seconds: at(0).as_unix_seconds(),
            until_unix_seconds: at(12).as_unix_seconds(),
            read_at_unix_seconds: at(11).as_unix_seconds() + 600,
            rows,
        }
    }

    fn prices() -> PriceList {
        let prices = ModelPrices {
            prompt: NanoUsd::from_cents(100),
            cached: NanoUsd::from_cents(50),
            completion: NanoUsd::from_cents(400),
        };
        let by_chute = [("c1".to_owned(), ("lab/one".to_owned(), Some(prices)))];
        PriceList { by_chute: by_chute.into(), is_read: true }
    }

    fn own(begins: i64, hours: &[(i64, u64, u64)]) -> Own {
        let spent = hours.iter().map(|(number, attempts, completed)| Spent {
            from_unix_us: at(*number).as_unix_micros(),
            attempts: *attempts,
            completed: *completed,
            ..Spent::default()
        });
        Own { begins: at(begins).as_unix_seconds(), spent: spent.collect() }
    }

    fn period(from: i64, until: i64) -> Period {
        Period { label: String::new(), from: at(from), until: at(until) }
    }

    #[test]
    fn worth_is_a_span_and_what_was_charged_its_least() {
        let (prices, usage) = (prices(), usage(vec![hour(1, 5, Some(0))]));
        let facts = Facts {
            usage: Some(&usage),
            own: None,
            prices: &prices,
            own_prices: &NOTHING,
            plan: Some(Plan::Pro),
        };
        let span = facts.row(period(0, 24), at(11)).server.unwrap().worth;
        assert_eq!((span.least, span.most), (NanoUsd::from_cents(50), NanoUsd::from_cents(100)));
        let paid = facts.hour(&hour(1, 5, Some(NanoUsd::from_cents(70).0)));
        assert_eq!(paid.worth.least, NanoUsd::from_cents(70));
        let as_you_go = Facts { plan: Some(Plan::PayAsYouGo), ..facts };
        let paid = as_you_go.hour(&hour(1, 5, Some(NanoUsd::from_cents(70).0)));
        assert!(paid.worth.is_exact(), "there the charge is the worth");
        let mut nameless = hour(1, 5, None);
        nameless.chute_id = Some("c9".into());
        let unknown = facts.hour(&nameless);
        assert_eq!((unknown.unpriced, unknown.incomplete), (5, true));
    }

    #[test]
    fn hours_belong_to_the_row_in_which_they_begin() {
        let (prices, usage) = (prices(), usage(vec![hour(3, 5, Some(0)), hour(4, 7, Some(0))]));
        let facts = Facts {
            usage: Some(&usage),
            own: None,
            prices: &prices,
            own_prices: &NOTHING,
            plan: None,
        };
        let requests = |from: Wall, until: Wall| facts.server(from, until).unwrap().requests;
        assert_eq!(requests(at(3), at(4)), 5);
        // A billing month turns within an hour: that hour is the old month's.
        let turn = Wall::from_unix_seconds(at(3).as_unix_seconds() + 700);
        assert_eq!(requests(at(0), turn), 5);
        assert_eq!(requests(turn, at(24)), 7);
        assert_eq!(facts.server(at(-1), at(5)), None, "an hour of which nothing is known");
    }

    #[test]
    fn only_hours_that_settled_are_compared() {
        let prices = prices();
        let usage = usage(vec![hour(8, 10, Some(0)), hour(9, 4, Some(0)), hour(10, 1, Some(0))]);
        let row = |own: Option<&Own>, period: Period| {
            let facts = Facts {
                usage: Some(&usage),
                own,
                prices: &prices,
                own_prices: &NOTHING,
                plan: None,
            };
            facts.row(period, at(11)).difference
        };
        let day = |own: &Own| row(Some(own), period(0, 24));
        let equal = own(0, &[(8, 10, 10), (9, 4, 4), (10, 9, 9)]);
        assert_eq!(day(&equal), Difference::Settled(Drift::None), "the hour of ten may lag");
        assert_eq!(day(&own(0, &[(8, 6, 6)])), Difference::Settled(Drift::Elsewhere(8)));
        assert_eq!(day(&own(0, &[(8, 13, 10), (9, 9, 9)])), Difference::Settled(Drift::Missing(5)));
        // A ledger that begins at nine says nothing of eight.
        assert_eq!(day(&own(9, &[(9, 4, 4)])), Difference::Settled(Drift::None));
        assert_eq!(row(Some(&equal), period(10, 11)), Difference::NotYet);
        assert_eq!(row(None, period(0, 24)), Difference::Settled(Drift::Unknown));
    }

    #[test]
    fn what_is_unknown_of_one_account_is_unknown_of_all() {
        let (prices, usage) = (prices(), usage(vec![hour(1, 5, Some(0))]));
        let known = Facts {
            usage: Some(&usage),
            own: None,
            prices: &prices,
            own_prices: &NOTHING,
            plan: None,
        };
        let unknown = Facts { usage: None, ..known };
        let rows = [known, known, unknown].map(|facts| facts.row(period(0, 24), at(11)));
        let two = Row::together(&[&rows[0], &rows[1]]).unwrap();
        assert_eq!(two.server.unwrap().requests, 10);
        assert_eq!(Row::together(&[&rows[0], &rows[2]]).unwrap().server, None);
    }
}
