//! What an account used by the hour: from Chutes, and from the file in which closed hours are kept.

use ripcord_client::chutes::{Chutes, UsageHistory, UsageQuery};
use ripcord_client::error::Error;
use ripcord_client::key::Key;
use ripcord_gateway::slot_tag;
use ripcord_rules::quota::{AccountPrices, Readable};
use ripcord_rules::time::Wall;
use ripcord_rules::units::{NanoUsd, Rounding};
use ripcord_store::{AccountTag, HistoryError, HistoryFile, HourlyUsage, UsageHour};
use ripcord_wire::chutes::{SubscriptionUsage, UsageBucket};
use ripcord_wire::text::clean;

use crate::context::Context;
use crate::error::CommandError;
use crate::prices;
use crate::upstream::{Reading, Upstream, explain};

const HOUR_SECONDS: i64 = 3_600;

/// The figures of an hour lag by a minute or more (`chutes/api.md` 2.4); what is younger than this is read again.
const SETTLING_SECONDS: i64 = 6 * HOUR_SECONDS;

/// An hour that ended so long ago is compared with the ledger.
const COMPARED_AFTER_SECONDS: i64 = HOUR_SECONDS;

/// Older hours are not kept: somewhat less than what the file holds.
const HISTORY_SECONDS: i64 = 399 * 86_400;

/// Another program may have written a little later than this one looked.
const CLOCKS_AGREE_SECONDS: i64 = 600;

/// Rows of one account that are read at most.
const MOST_ROWS: usize = 100_000;

/// Rows to a page; the server names no upper bound.
const ROWS_PER_PAGE: u32 = 1_000;

/// No id of a chute is longer.
const LONGEST_ID: usize = 64;

/// What is known of an account's past.
#[derive(Debug)]
pub(super) struct Past {
    /// `None` if nothing could be read and nothing is kept.
    pub(super) usage: Option<HourlyUsage>,
    /// Whether the newest hours come from the file, since Chutes did not answer.
    pub(super) is_kept: bool,
    /// Where the billing month is anchored, if that was asked for and is known.
    pub(super) anchor: Option<Wall>,
    /// What the account pays otherwise than the list says, as far as it could be read.
    pub(super) prices: AccountPrices,
    /// Why something could not be read.
    pub(super) problem: Option<CommandError>,
}

/// What is wanted of it.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The first hour, which may hang on where the billing month is anchored.
    pub(super) from: &'a dyn Fn(Option<Wall>) -> Wall,
    /// The last moment; what comes after it is read all the same where hours are kept.
    pub(super) until: Wall,
    /// Whether the anchor is to be found out.
    pub(super) anchor: bool,
    /// Whether hours are kept.
    pub(super) keep: bool,
}

/// Reads an account's past: from Chutes only what is not kept or may have changed.
pub(super) async fn read(
    upstream: &Upstream,
    reading: &Reading,
    wanted: Wanted<'_>,
    context: &Context,
) -> Past {
    let now = context.now();
    let kept_from = now.as_unix_seconds() - HISTORY_SECONDS;
    let from = (wanted.from)(None);
    // Hours from before all that is kept are read by themselves.
    let is_kept_long = from.as_unix_seconds() >= kept_from;
    let file = file(reading, context).filter(|_| wanted.keep && is_kept_long);
    let kept = file.as_ref().and_then(|file| load(file, now, context));
    let mut past = Past {
        usage: None,
        is_kept: true,
        anchor: None,
        prices: AccountPrices::default(),
        problem: None,
    };
    if reading.snapshot.readable == Readable::Forbidden {
        // The reading has said why; asking once more would tell nothing new.
        past.usage = kept;
        return past;
    }
    let mut keys = Keys { upstream, keys: &reading.account.keys };
    if wanted.anchor {
        match keys.subscription().await {
            Ok(subscription) => past.anchor = anchor(&subscription),
            Err(error) => past.problem = Some(explain(&error).account(&reading.label)),
        }
    }
    let spans = if is_kept_long {
        spans(kept.as_ref(), (wanted.from)(past.anchor))
    } else {
        vec![(hour_of(from), Some(next_hour(wanted.until.min(now))))]
    };
    for (from, until) in spans {
        match keys.usage(from, until).await {
            Ok(history) => {
                let read_at = context.now();
                let hours =
                    hours(history, from, until.unwrap_or_else(|| next_hour(read_at)), read_at);
                past.usage =
                    Some(keep(hours, past.usage.take(), kept.as_ref(), file.as_ref(), context));
                past.is_kept = false;
            }
            Err(error) => {
                past.problem = Some(explain(&error).account(&reading.label));
                break;
            }
        }
    }
    if past.usage.is_some() {
        // With the key that could read the history first.
        past.prices = prices::own(upstream.public(), keys.keys).await;
    }
    past.usage = past.usage.or(kept);
    past
}

/// The spans to ask for, the newest first; one without an end goes on to the present.
fn spans(kept: Option<&HourlyUsage>, from: Wall) -> Vec<(i64, Option<i64>)> {
    let from = hour_of(from);
    let Some(kept) = kept else { return vec![(from, None)] };
    let settled = hour_of(Wall::from_unix_seconds(kept.read_at_unix_seconds - SETTLING_SECONDS));
    let settled = settled.min(kept.until_unix_seconds);
    if settled <= kept.from_unix_seconds {
        return vec![(from.min(kept.from_unix_seconds), None)];
    }
    let mut spans = vec![(settled, None)];
    if from < kept.from_unix_seconds {
        spans.push((from, Some(kept.from_unix_seconds)));
    }
    spans
}

/// An account's client, with whichever of its keys may read the account.
struct Keys<'a> {
    upstream: &'a Upstream,
    keys: &'a [Key],
}

impl Keys<'_> {
    async fn usage(&mut self, from: i64, until: Option<i64>) -> Result<UsageHistory, Error> {
        let query = UsageQuery {
            limit: Some(ROWS_PER_PAGE),
            per_chute: true,
            from: Some(Wall::from_unix_seconds(from)),
            // The last moment, not the one after it.
            until: until.map(|until| Wall::from_unix_seconds(until - 1)),
            ..UsageQuery::default()
        };
        self.first_that_may(async |chutes| chutes.usage_history(&query, MOST_ROWS).await).await
    }

    async fn subscription(&mut self) -> Result<SubscriptionUsage, Error> {
        self.first_that_may(async |chutes| {
            chutes.subscription_usage().await.map(|reply| reply.value)
        })
        .await
    }

    /// A key that is refused is not asked with again.
    async fn first_that_may<T>(
        &mut self,
        ask: impl AsyncFn(Chutes) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let public = self.upstream.public();
        loop {
            let chutes = match self.keys.first() {
                Some(key) => public.clone().with_key(key.clone()),
                None => public.clone(),
            };
            match ask(chutes).await {
                Err(error) if error.is_forbidden() && self.keys.len() > 1 => {
                    self.keys = self.keys.get(1..).unwrap_or_default();
                }
                answer => return answer,
            }
        }
    }
}

/// Where the hours of the account are kept. Another service at another address has other accounts.
fn file(reading: &Reading, context: &Context) -> Option<HistoryFile> {
    let directory = context.settings.gateway.state_directory.value.as_deref()?;
    let account = slot_tag(&reading.account.keys);
    let place = format!("{} {}", account.as_str(), context.settings.chutes.api_url.value);
    Some(HistoryFile::of(directory, &AccountTag::of(&place)))
}

fn load(file: &HistoryFile, now: Wall, context: &Context) -> Option<HourlyUsage> {
    match file.load() {
        Ok(Some(kept))
            if kept.read_at_unix_seconds > now.as_unix_seconds() + CLOCKS_AGREE_SECONDS =>
        {
            // A clock was wrong. What it says of hours that have not come would count for more than what is read now.
            if let Err(error) = file.forget() {
                context.printer.warn(&format!("{error}; its figures are from the future"));
            }
            None
        }
        Ok(kept) => kept,
        Err(error) => {
            let next = match &error {
                HistoryError::Damaged { .. } => "; its hours are asked for again",
                HistoryError::File { .. } => "; every hour is asked for",
            };
            context.printer.warn(&format!("{error}{next}"));
            None
        }
    }
}

/// Puts what was read to the rest, in the file where there is one.
fn keep(
    hours: Hours,
    read_before: Option<HourlyUsage>,
    kept: Option<&HourlyUsage>,
    file: Option<&HistoryFile>,
    context: &Context,
) -> HourlyUsage {
    let here = |usage: HourlyUsage| match read_before.clone().or_else(|| kept.cloned()) {
        Some(before) => before.merged(usage),
        None => usage,
    };
    if hours.unreadable > 0 {
        context.printer.warn(&format!(
            "{} rows of the history could not be read; the sums lack them",
            hours.unreadable
        ));
        return here(hours.usage);
    }
    match file.map(|file| file.add(hours.usage.clone())) {
        Some(Ok(all)) => all,
        Some(Err(error)) => {
            context.printer.warn(&format!("{error}; the hours are not kept"));
            here(hours.usage)
        }
        None => here(hours.usage),
    }
}

/// What was read of a span.
struct Hours {
    usage: HourlyUsage,
    unreadable: usize,
}

fn hours(history: UsageHistory, from: i64, until: i64, read_at: Wall) -> Hours {
    let rows = history.rows.len();
    let mut read: Vec<UsageHour> = history.rows.into_iter().filter_map(hour).collect();
    let unreadable = history.skipped + rows - read.len();
    read.retain(|row| (from..until).contains(&row.hour_unix_seconds));
    read.sort_by(|one, other| {
        let hours = one.hour_unix_seconds.cmp(&other.hour_unix_seconds);
        hours.then_with(|| one.chute_id.cmp(&other.chute_id))
    });
    let mut first = from;
    if !history.is_whole {
        // The newest come first, so the oldest hour that came may not be whole.
        let oldest = read.first().map_or(until, |row| row.hour_unix_seconds + HOUR_SECONDS);
        read.retain(|row| row.hour_unix_seconds >= oldest);
        first = oldest;
    }
    let usage = HourlyUsage {
        from_unix_seconds: first,
        until_unix_seconds: until,
        read_at_unix_seconds: read_at.as_unix_seconds(),
        rows: read,
    };
    Hours { usage, unreadable }
}

fn hour(row: UsageBucket) -> Option<UsageHour> {
    let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    let began = row.bucket.as_ref()?.unix_micros().map(Wall::from_unix_micros)?;
    let charged = row.amount.as_ref();
    let charged = charged.and_then(|amount| NanoUsd::from_decimal(amount.as_str(), Rounding::Up));
    Some(UsageHour {
        hour_unix_seconds: hour_of(began),
        chute_id: row.chute_id.map(|id| clean(&id, LONGEST_ID)),
        requests: count(row.count),
        prompt_tokens: count(row.input_tokens),
        completion_tokens: count(row.output_tokens),
        charged_nano_usd: charged.map(|charged| charged.0),
    })
}

fn anchor(subscription: &SubscriptionUsage) -> Option<Wall> {
    [&subscription.anchor_date, &subscription.effective_date, &subscription.updated_at]
        .into_iter()
        .find_map(|moment| moment.as_ref()?.unix_micros())
        .map(Wall::from_unix_micros)
}

/// Figures that were read then are compared up to this hour; those from it on may still lag. In Unix seconds.
pub(super) const fn compared_until(read_at_unix_seconds: i64) -> i64 {
    hour_of(Wall::from_unix_seconds(read_at_unix_seconds - COMPARED_AFTER_SECONDS))
}

/// The beginning of the hour of a moment, in Unix seconds.
pub(super) const fn hour_of(moment: Wall) -> i64 {
    moment.as_unix_seconds().div_euclid(HOUR_SECONDS) * HOUR_SECONDS
}

const fn next_hour(moment: Wall) -> i64 {
    hour_of(moment) + HOUR_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall::from_unix_seconds(1_000 * HOUR_SECONDS + 780);

    fn kept(from: i64, until: i64, read_at: i64) -> HourlyUsage {
        HourlyUsage {
            from_unix_seconds: from * HOUR_SECONDS,
            until_unix_seconds: until * HOUR_SECONDS,
            read_at_unix_seconds: read_at * HOUR_SECONDS,
            rows: Vec::new(),
        }
    }

    fn asked(kept: Option<HourlyUsage>, from: i64) -> Vec<(i64, Option<i64>)> {
        spans(kept.as_ref(), Wall::from_unix_seconds(from * HOUR_SECONDS + 5))
            .into_iter()
            .map(|(from, until)| (from / HOUR_SECONDS, until.map(|until| until / HOUR_SECONDS)))
            .collect()
    }

    #[test]
    fn hours_that_are_closed_and_kept_are_not_asked_for() {
        assert_eq!(asked(None, 800), [(800, None)]);
        // Read at 990 the figures up to 984 stand.
        assert_eq!(asked(Some(kept(700, 991, 990)), 800), [(984, None)]);
        assert_eq!(asked(Some(kept(900, 991, 990)), 800), [(984, None), (800, Some(900))]);
        // What is kept ends long before what is wanted begins: the gap is read, so that the hours stay one span.
        assert_eq!(asked(Some(kept(100, 201, 200)), 800), [(194, None)]);
    }

    #[test]
    fn a_file_that_is_young_is_read_anew() {
        assert_eq!(asked(Some(kept(998, 1_001, 1_000)), 900), [(900, None)]);
        assert_eq!(asked(Some(kept(998, 1_001, 1_000)), 999), [(998, None)]);
    }

    #[test]
    fn the_oldest_hour_of_a_history_that_is_cut_is_not_trusted() {
        let row = |hour: &str, chute: &str| -> UsageBucket {
            serde_json::from_value(serde_json::json!({
                "bucket": hour, "amount": 0.5, "count": 3, "input_tokens": -1, "chute_id": chute
            }))
            .unwrap()
        };
        let history = UsageHistory {
            rows: vec![row("2026-09-27T11:00:00", "a"), row("2026-09-27T10:00:00", "b")],
            total: Some(3),
            is_whole: false,
            skipped: 1,
        };
        let from = hour_of(Wall::from_unix_seconds(1_790_400_000));
        let read = hours(history, from, 1_790_510_400, NOW);
        assert_eq!(read.unreadable, 1);
        assert_eq!(read.usage.rows.len(), 1);
        assert_eq!(read.usage.from_unix_seconds, 1_790_506_800);
        let row = &read.usage.rows[0];
        assert_eq!(
            (row.requests, row.prompt_tokens, row.charged_nano_usd),
            (Some(3), None, Some(500_000_000))
        );
    }
}
