//! The account of the key: who it is, what its plan gives, what it used.

use std::collections::HashSet;

use ripcord_rules::time::Wall;
use ripcord_wire::chutes::{
    Discount, LoginNonce, Me, NameCheck, PriceOverride, QuotaUsage, Quotas, SubscriptionUsage,
    UsageBucket, UsagePage,
};
use ripcord_wire::items::Items;
use ripcord_wire::time::format_naive_utc;

use super::path::{Query, quota_path};
use super::shape::AnyJson;
use super::{Chutes, Reply};
use crate::error::Error;

/// What `GET /users/me/usage` is asked for. Unset fields are left to the server; the default is the newest 24 hours in
/// which there was use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// Which page, from 0, the newest hours first.
    pub page: Option<u32>,
    /// How many rows to a page. The server's default is 24; it names no upper bound.
    pub limit: Option<u32>,
    /// A row for each chute and hour, instead of one for each hour.
    pub per_chute: bool,
    /// One chute, by its id.
    pub chute_id: Option<String>,
    /// The first moment. Sent to the second and without an offset: with one the server fails (recordings 131, 132).
    pub from: Option<Wall>,
    /// The last moment, sent likewise.
    pub until: Option<Wall>,
}

/// The use of many hours, gathered from several pages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageHistory {
    /// The hours, newest first.
    pub rows: Vec<UsageBucket>,
    /// How many rows the server said there are.
    pub total: Option<i64>,
    /// Whether these are all of them: false if the bound was reached.
    pub is_whole: bool,
    /// How many rows could not be read.
    pub skipped: usize,
}

/// How many rows a page of a walk has, unless the query says.
const ROWS_PER_PAGE: u32 = 500;

impl UsageQuery {
    fn path(&self) -> String {
        let moment = |wall: Wall| format_naive_utc(wall.as_unix_micros());
        Query::new("/users/me/usage")
            .with("page", self.page)
            .with("limit", self.limit)
            .with("per_chute", self.per_chute.then_some(true))
            .with("chute_id", self.chute_id.as_deref())
            .with("start_date", self.from.map(moment))
            .with("end_date", self.until.map(moment))
            .path()
    }
}

impl Chutes {
    /// `GET /users/me` (api.md 2.1): name, id, roles, and the balance in US dollars. Many keys may not read it: see
    /// [`Chutes::key_standing`].
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn me(&self) -> Result<Reply<Me>, Error> {
        self.read(self.account("/users/me")).await
    }

    /// `GET /users/me/quotas` (api.md 2.2): requests a day, in the answer's three shapes. The number of the wildcard
    /// row is the only sign of the plan (api.md 6.1); 0 is pay-as-you-go, not "unlimited".
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn quotas(&self) -> Result<Reply<Quotas>, Error> {
        self.read(self.account("/users/me/quotas")).await
    }

    /// `GET /users/me/quota_usage/me` (api.md 2.3): the counter of the day, which turns at 00:00 UTC, in request units
    /// with fractions. Never asked as `*`, which always answers 0 (recordings, D17).
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn quota_usage(&self) -> Result<Reply<QuotaUsage>, Error> {
        self.read(self.account("/users/me/quota_usage/me")).await
    }

    /// `GET /users/me/quota_usage/{chute_id}`: the counter of a chute with a quota of its own. For any other chute it
    /// is the counter of [`Chutes::quota_usage`].
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn quota_usage_of(&self, chute_id: &str) -> Result<Reply<QuotaUsage>, Error> {
        let plan = self.account("/users/me/quota_usage/{chute_id}").with_path(quota_path(chute_id));
        self.read(plan).await
    }

    /// `GET /users/me/subscription_usage` (api.md 2.4): the caps of four hours and of a month, in US dollars of what
    /// pay-as-you-go would have cost. It lags by up to a minute.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn subscription_usage(&self) -> Result<Reply<SubscriptionUsage>, Error> {
        self.read(self.account("/users/me/subscription_usage")).await
    }

    /// `GET /users/me/discounts` (api.md 2.5): fractions off the prices of chutes; usually none.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn discounts(&self) -> Result<Reply<Items<Discount>>, Error> {
        self.read(self.account("/users/me/discounts")).await
    }

    /// `GET /users/me/price_overrides` (api.md 2.5): the account's own prices in US dollars; usually none.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn price_overrides(&self) -> Result<Reply<Items<PriceOverride>>, Error> {
        self.read(self.account("/users/me/price_overrides")).await
    }

    /// `GET /users/me/usage` (api.md 2.6): one page of use by the hour (UTC), newest first. Its amounts are US dollars
    /// taken from the balance: 0 for what a subscription covered.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn usage(&self, query: &UsageQuery) -> Result<Reply<UsagePage>, Error> {
        self.read(self.account("/users/me/usage").with_path(query.path())).await
    }

    /// All pages of [`Chutes::usage`] from the query's page on, until `max_rows` rows are there.
    ///
    /// An hour that begins while the pages are read moves the rows; one that comes twice is kept once.
    ///
    /// ```no_run
    /// # async fn example(chutes: ripcord_client::chutes::Chutes) -> Result<(), ripcord_client::error::Error> {
    /// use ripcord_client::chutes::UsageQuery;
    /// use ripcord_rules::time::Wall;
    ///
    /// let query = UsageQuery {
    ///     per_chute: true,
    ///     from: Some(Wall::from_unix_seconds(1_795_132_800)),
    ///     ..UsageQuery::default()
    /// };
    /// let history = chutes.usage_history(&query, 10_000).await?;
    /// let requests: i64 = history.rows.iter().filter_map(|row| row.count).sum();
    /// println!("{requests} requests, whole: {}", history.is_whole);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// That of the first page that could not be read; what was read before is lost.
    pub async fn usage_history(
        &self,
        query: &UsageQuery,
        max_rows: usize,
    ) -> Result<UsageHistory, Error> {
        let per_page = query.limit.unwrap_or(ROWS_PER_PAGE).max(1);
        let mut page = UsageQuery { limit: Some(per_page), ..query.clone() };
        let mut history = UsageHistory::default();
        let mut known = HashSet::new();
        for number in query.page.unwrap_or(0).. {
            page.page = Some(number);
            let answer = self.usage(&page).await?.value;
            let received = answer.items.len() + answer.items.skipped;
            // A server may give less to a page than it was asked for, and says so.
            let given = answer.limit.and_then(|limit| u32::try_from(limit).ok());
            let full = given.filter(|given| *given > 0).unwrap_or(per_page).min(per_page);
            history.total = answer.total.or(history.total);
            history.skipped += answer.items.skipped;
            let before = history.rows.len();
            history.rows.extend(answer.items.into_iter().filter(|row| {
                let hour = row.bucket.as_ref().map(|bucket| bucket.text().to_owned());
                known.insert((hour, row.chute_id.clone()))
            }));
            // A server that gives the same page again and again would never end.
            let is_last = received < full as usize || history.rows.len() == before;
            if is_last || history.rows.len() >= max_rows {
                history.is_whole = is_last && history.rows.len() <= max_rows;
                break;
            }
        }
        history.rows.truncate(max_rows);
        Ok(history)
    }

    /// `GET /users/me/shares` (api.md 2.8), as JSON: what others share with the account. Its form is not known.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn shares(&self) -> Result<Reply<ripcord_wire::Value>, Error> {
        let reply: Reply<AnyJson> = self.read(self.account("/users/me/shares")).await?;
        Ok(reply.map(|json| json.0))
    }

    /// `GET /users/name_check` (api.md 2.8): whether a user name may be had. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn name_check(&self, username: &str) -> Result<Reply<NameCheck>, Error> {
        let path = "/users/name_check";
        let query = Query::new(path).with("username", Some(username)).path();
        self.read(self.list(&self.api, path).with_path(query)).await
    }

    /// `GET /users/login/nonce` (api.md 2.8): what a wallet signs to log in; good for five minutes. Sent without a
    /// key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn login_nonce(&self) -> Result<Reply<LoginNonce>, Error> {
        self.read(self.list(&self.api, "/users/login/nonce")).await
    }
}
