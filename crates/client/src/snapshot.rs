//! One account's plan, windows and balance, read from the endpoints into [`ripcord_rules`] values.
//!
//! Every endpoint may fail by itself; what it would have told is then unknown, never zero. Figures become integers
//! on the safe side: caps are rounded down, usage up.

use std::time::Duration;

use ripcord_rules::quota::{AccountSnapshot, Readable, next_day_reset};
use ripcord_rules::time::Wall;
use ripcord_rules::units::{NanoUsd, Rounding};
use ripcord_wire::chutes::{
    Me, QuotaUsage, Quotas, ROLE_FREE_ACCOUNT, ROLE_INVOICE_BILLING, SubscriptionUsage,
};

use crate::chutes::{Chutes, Reply, UsageQuery};
use crate::error::Error;
use crate::key::{AccountId, Key};

mod windows;

use windows::Facts;

/// An account counts at most this many chutes with quotas of their own here; more are left out and told.
const MOST_CHUTE_WINDOWS: usize = 32;
const DAY: Duration = Duration::from_secs(86_400);
/// A day has 24 hours; a server that gives more says something else than was asked for.
const MOST_BUCKETS: usize = 1_000;

/// The keys of one account. Quota and caps are shared by all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKeys {
    /// The account, where its keys name it.
    pub account: Option<AccountId>,
    /// At least one key, in the order given.
    pub keys: Vec<Key>,
}

/// Groups keys by the account they name. A token of another form is an account of its own.
#[must_use]
pub fn group_by_account(keys: impl IntoIterator<Item = Key>) -> Vec<AccountKeys> {
    let mut groups: Vec<AccountKeys> = Vec::new();
    for key in keys {
        let account = key.account_id();
        match groups.iter_mut().find(|group| account.is_some() && group.account == account) {
            Some(group) if group.keys.contains(&key) => {}
            Some(group) => group.keys.push(key),
            None => groups.push(AccountKeys { account, keys: vec![key] }),
        }
    }
    groups
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// `GET /users/me`.
    Me,
    /// `GET /users/me/quotas`.
    Quotas,
    /// `GET /users/me/quota_usage/me`.
    QuotaUsage,
    /// `GET /users/me/subscription_usage`.
    SubscriptionUsage,
    /// `GET /users/me/quota_usage/{chute_id}`.
    ChuteUsage,
    /// `GET /users/me/usage`, since 00:00 UTC.
    PaidToday,
}

/// What could be read of an account.
#[derive(Debug)]
pub struct AccountReading {
    /// The account, from the answer or else from the key.
    pub account: Option<AccountId>,
    /// Its name.
    pub username: Option<String>,
    /// Where it is topped up in TAO.
    pub payment_address: Option<String>,
    /// Plan, windows and balance.
    pub snapshot: AccountSnapshot,
    /// The server's clock minus ours, in microseconds, from the `Date` headers: at least that, and less than a second more
    /// but for the way of the answers.
    pub clock_offset_micros: Option<i64>,
    /// What could not be read, and why.
    pub problems: Vec<(Question, Error)>,
    /// Whether chutes with quotas of their own were left out, because there are too many.
    pub chute_windows_left_out: usize,
}

/// Reads one account with the client's key. `now` is asked before each question, so that no figure looks younger than it is.
///
/// Never fails: what cannot be read is in [`AccountReading::problems`]. A 401 here means that the key may not read
/// the account ([`Readable::Forbidden`]); it may still call models.
pub async fn read_account(chutes: &Chutes, now: &(dyn Fn() -> Wall + Sync)) -> AccountReading {
    let mut reader = Reader { problems: Vec::new(), offset: None };
    // All four are asked at once, so they have one age: a figure is at least as old as its question. One that was asked
    // before a window turned is not of the window after it.
    let as_of = now();
    let (me, quotas, usage, subscription) = tokio::join!(
        timed(chutes.me(), now),
        timed(chutes.quotas(), now),
        timed(chutes.quota_usage(), now),
        timed(chutes.subscription_usage(), now)
    );
    let forbidden = [
        me.0.as_ref().is_err_and(Error::is_forbidden),
        quotas.0.as_ref().is_err_and(Error::is_forbidden),
        usage.0.as_ref().is_err_and(Error::is_forbidden),
    ];
    let me: Option<Me> = reader.take(Question::Me, me);
    let quotas: Option<Quotas> = reader.take(Question::Quotas, quotas);
    let usage: Option<QuotaUsage> = reader.take(Question::QuotaUsage, usage);
    let subscription: Option<SubscriptionUsage> =
        reader.take(Question::SubscriptionUsage, subscription);
    let has_unlimited_role = me.as_ref().is_some_and(|me| {
        [ROLE_FREE_ACCOUNT, ROLE_INVOICE_BILLING]
            .iter()
            .any(|role| me.has_role(*role) == Some(true))
    });
    let facts = Facts {
        quotas: quotas.as_ref(),
        usage: usage.as_ref(),
        subscription: subscription.as_ref(),
        has_unlimited_role,
        as_of,
    };
    let plan = facts.plan();
    let readable = if plan.is_some() {
        Readable::Yes
    } else if forbidden.contains(&true) {
        Readable::Forbidden
    } else {
        Readable::Failed
    };
    let mut snapshot = AccountSnapshot {
        plan,
        windows: facts.windows(plan),
        chute_windows: Vec::new(),
        balance: balance(me.as_ref()),
        balance_as_of: as_of,
        paid_today: None,
        paid_as_of: as_of,
        rows_read: quotas.is_some(),
        caps_read: subscription.is_some(),
        readable,
        as_of,
    };
    let mut chute_windows_left_out = 0;
    for (index, (chute_id, quota)) in quotas.iter().flat_map(Quotas::own_quotas).enumerate() {
        if index >= MOST_CHUTE_WINDOWS {
            chute_windows_left_out += 1;
            continue;
        }
        let as_of = now();
        let usage = timed(chutes.quota_usage_of(chute_id), now).await;
        let usage = reader.take(Question::ChuteUsage, usage);
        let window = windows::chute_window(quota, usage.as_ref(), as_of);
        snapshot.chute_windows.push((chute_id.to_owned(), window));
    }
    AccountReading {
        account: me
            .as_ref()
            .and_then(|me| AccountId::from_hex(me.user_id.as_deref()?))
            .or_else(|| chutes.key()?.account_id()),
        username: me.as_ref().and_then(|me| me.username.clone()),
        payment_address: me.and_then(|me| me.payment_address),
        snapshot,
        clock_offset_micros: reader.offset,
        problems: reader.problems,
        chute_windows_left_out,
    }
}

/// What the balance has paid since 00:00 UTC, rounded up: the buckets of the account's own history
/// (api.md 2.6). `None` if the answer does not tell.
///
/// # Errors
/// As every call: see [`Error`].
pub async fn read_paid_today(chutes: &Chutes, now: Wall) -> Result<Option<NanoUsd>, Error> {
    let midnight = next_day_reset(now).before(DAY);
    let query = UsageQuery { from: Some(midnight), ..UsageQuery::default() };
    let history = chutes.usage_history(&query, MOST_BUCKETS).await?;
    let paid = history.rows.iter().try_fold(NanoUsd::ZERO, |paid, row| {
        let began = row.bucket.as_ref()?.unix_micros().map(Wall::from_unix_micros)?;
        if began < midnight {
            return Some(paid);
        }
        // What a row does not say could be anything.
        let amount = NanoUsd::from_decimal(row.amount.as_ref()?.as_str(), Rounding::Up)?;
        Some(paid.plus(amount.max(NanoUsd::ZERO)))
    });
    Ok(paid.filter(|_| history.is_whole && history.skipped == 0))
}

/// [`read_paid_today`] into a reading, with the first of the account's keys that may read it. To be asked only where
/// somebody set a bound: it is one more call.
pub async fn add_paid_today(
    chutes: &Chutes,
    keys: &[Key],
    reading: &mut AccountReading,
    now: &(dyn Fn() -> Wall + Sync),
) {
    for key in keys {
        let as_of = now();
        match read_paid_today(&chutes.clone().with_key(key.clone()), as_of).await {
            Ok(paid) => {
                reading.snapshot.paid_today = paid;
                reading.snapshot.paid_as_of = as_of;
                return;
            }
            Err(error) if error.is_forbidden() => {}
            Err(error) => {
                reading.problems.push((Question::PaidToday, error));
                return;
            }
        }
    }
}

/// Reads one account with the first of its keys that may read it; without a single key the reading is empty.
pub async fn read_account_with(
    chutes: &Chutes,
    keys: &AccountKeys,
    now: &(dyn Fn() -> Wall + Sync),
) -> AccountReading {
    let mut best: Option<AccountReading> = None;
    for key in &keys.keys {
        let reading = read_account(&chutes.clone().with_key(key.clone()), now).await;
        if reading.snapshot.readable == Readable::Yes {
            return reading;
        }
        best.get_or_insert(reading);
    }
    best.unwrap_or_else(|| AccountReading {
        account: keys.account.clone(),
        username: None,
        payment_address: None,
        snapshot: AccountSnapshot::unknown(Readable::Failed, now()),
        clock_offset_micros: None,
        problems: Vec::new(),
        chute_windows_left_out: 0,
    })
}

fn balance(me: Option<&Me>) -> Option<NanoUsd> {
    NanoUsd::from_decimal(me?.balance.as_ref()?.as_str(), Rounding::Down)
}

/// An answer and when it came: what came later must not make its `Date` look old.
async fn timed<T>(
    call: impl Future<Output = Result<Reply<T>, Error>>,
    now: &(dyn Fn() -> Wall + Sync),
) -> (Result<Reply<T>, Error>, Wall) {
    let reply = call.await;
    (reply, now())
}

struct Reader {
    problems: Vec<(Question, Error)>,
    offset: Option<i64>,
}

impl Reader {
    fn take<T>(
        &mut self,
        question: Question,
        (reply, came): (Result<Reply<T>, Error>, Wall),
    ) -> Option<T> {
        match reply {
            Ok(reply) => {
                if let Some(date) = reply.limits.date {
                    // A `Date` is cut off and old when it comes: the greatest is the nearest.
                    let offset = date.saturating_sub(came.as_unix_micros());
                    self.offset = self.offset.max(Some(offset));
                }
                Some(reply.value)
            }
            Err(error) => {
                self.problems.push((question, error));
                None
            }
        }
    }
}
