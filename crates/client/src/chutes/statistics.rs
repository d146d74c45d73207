//! What the whole platform did: figures of everybody's requests. All of them are read without a key.

use ripcord_wire::Value;
use ripcord_wire::chutes::{
    Bounty, CurrencyPrices, DailyRevenue, DiffusionStats, LlmStatsList, Page, Payment,
    PlatformUsage, TaoPayments, UserGrowth,
};
use ripcord_wire::items::Items;
use ripcord_wire::time::{Day, Timestamp};

use super::path::{PageQuery, Query, segment};
use super::{Chutes, Reply};
use crate::error::Error;

/// Which rows of the daily statistics are wanted. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatisticsQuery {
    /// The first day (UTC).
    pub first_day: Option<Day>,
    /// The last day (UTC), which is included.
    pub last_day: Option<Day>,
    /// One chute, by its id.
    pub chute_id: Option<String>,
}

impl StatisticsQuery {
    fn path(&self, path: &str) -> String {
        Query::new(path)
            .with("start_date", self.first_day)
            .with("end_date", self.last_day)
            .with("chute_id", self.chute_id.as_deref())
            .path()
    }

    /// What a row does not say cannot exclude it.
    fn wants(&self, date: Option<&Timestamp>, chute_id: Option<&str>) -> bool {
        let day = date.and_then(|date| Day::parse(date.text()));
        let not_before = self.first_day.zip(day).is_none_or(|(first, day)| day >= first);
        let not_after = self.last_day.zip(day).is_none_or(|(last, day)| day <= last);
        let chutes = self.chute_id.as_deref().zip(chute_id);
        not_before && not_after && chutes.is_none_or(|(wanted, chute)| wanted == chute)
    }
}

impl Chutes {
    /// `GET /invocations/stats/llm` (api.md 3.5): how fast each language model was on each day, over everybody's
    /// requests. The only public figures of time to the first token (seconds) and tokens per second.
    ///
    /// The server keeps them for five minutes. The one that was recorded ignores the parameters (recording 263), so
    /// the rows are chosen here as well; a row without a readable day or chute is kept. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn llm_statistics(
        &self,
        query: &StatisticsQuery,
    ) -> Result<Reply<LlmStatsList>, Error> {
        let path = "/invocations/stats/llm";
        let plan = self.list(&self.api, path).with_path(query.path(path));
        let mut reply: Reply<LlmStatsList> = self.read(plan).await?;
        reply.value.items.retain(|row| query.wants(row.date.as_ref(), row.chute_id.as_deref()));
        Ok(reply)
    }

    /// `GET /invocations/stats/diffusion` (api.md 3.5): as [`Chutes::llm_statistics`], for models that make images.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn diffusion_statistics(
        &self,
        query: &StatisticsQuery,
    ) -> Result<Reply<Items<DiffusionStats>>, Error> {
        let path = "/invocations/stats/diffusion";
        let plan = self.list(&self.api, path).with_path(query.path(path));
        let mut reply: Reply<Items<DiffusionStats>> = self.read(plan).await?;
        reply.value.items.retain(|row| query.wants(row.date.as_ref(), row.chute_id.as_deref()));
        Ok(reply)
    }

    /// `GET /invocations/usage` (api.md 3.5): what everybody's requests of the last eleven days were worth in US
    /// dollars, by chute and day, newest first. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn platform_usage(&self) -> Result<Reply<Items<PlatformUsage>>, Error> {
        self.read(self.list(&self.api, "/invocations/usage")).await
    }

    /// `GET /payments` (api.md 2.8): everybody's payments, newest first. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn payments(&self, page: PageQuery) -> Result<Reply<Page<Payment>>, Error> {
        let path = "/payments";
        self.read(self.list(&self.api, path).with_path(page.path(path))).await
    }

    /// `GET /payments/summary/tao` (api.md 2.8): the sums of those, in US dollars. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn tao_payments(&self) -> Result<Reply<TaoPayments>, Error> {
        self.read(self.list(&self.api, "/payments/summary/tao")).await
    }

    /// `GET /daily_revenue_summary` (api.md 2.8): the platform's revenue by day in US dollars, newest first, for so
    /// many days: 3 to 365, else 90, and always 90 on older servers. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn daily_revenue(
        &self,
        days: Option<u32>,
    ) -> Result<Reply<Items<DailyRevenue>>, Error> {
        let path = "/daily_revenue_summary";
        let query = Query::new(path).with("days", days).path();
        self.read(self.list(&self.api, path).with_path(query)).await
    }

    /// `GET /fmv` (api.md 2.8): US dollars for a TAO. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn currency_prices(&self) -> Result<Reply<CurrencyPrices>, Error> {
        self.read(self.list(&self.api, "/fmv")).await
    }

    /// `GET /users/growth` (api.md 2.8): new accounts by day, newest first. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn user_growth(&self) -> Result<Reply<Items<UserGrowth>>, Error> {
        self.read(self.list(&self.api, "/users/growth")).await
    }

    /// `GET /bounties/` (api.md 2.8): chutes that somebody waits for, with what miners get for starting them. A sign
    /// that a model is cold, and wished for. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn bounties(&self) -> Result<Reply<Items<Bounty>>, Error> {
        self.read(self.list(&self.api, "/bounties/")).await
    }

    /// `GET /chutes/boosted` (api.md 3.5): chutes for which miners are paid more, as JSON. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn boosted_chutes(&self) -> Result<Reply<Items<Value>>, Error> {
        self.read(self.list(&self.api, "/chutes/boosted")).await
    }

    /// `GET /chutes/affine_available` (api.md 3.5): chutes of the subnet of that name, as JSON. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn affine_chutes(&self) -> Result<Reply<Items<Value>>, Error> {
        self.read(self.list(&self.api, "/chutes/affine_available")).await
    }

    /// `GET /chutes/rolling_updates` (api.md 3.5): chutes whose instances are being replaced, as JSON. Sent without a
    /// key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn rolling_updates(&self) -> Result<Reply<Items<Value>>, Error> {
        self.read(self.list(&self.api, "/chutes/rolling_updates")).await
    }

    /// `GET /chutes/gpu_count_history` (api.md 3.5): how many GPUs an instance of each chute has, as JSON. Sent
    /// without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn gpu_counts(&self) -> Result<Reply<Items<Value>>, Error> {
        self.read(self.list(&self.api, "/chutes/gpu_count_history")).await
    }

    /// `GET /chutes/miner_means/{id}.json` (api.md 3.5): the mean speed and length of answers of each instance of a
    /// chute, as JSON. Without `.json`, and without an id, the server answers with a page. Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn miner_means(&self, chute_id: &str) -> Result<Reply<Items<Value>>, Error> {
        let path = format!("/chutes/miner_means/{}.json", segment(chute_id));
        self.read(self.list(&self.api, "/chutes/miner_means/{id}.json").with_path(path)).await
    }
}

#[cfg(test)]
mod tests {
    use ripcord_wire::chutes::LlmStats;

    use super::*;

    #[test]
    fn rows_are_chosen_by_what_they_say() {
        let row = |json: &str| -> LlmStats { serde_json::from_str(json).unwrap() };
        let query = StatisticsQuery {
            first_day: Day::new(2026, 11, 19),
            last_day: Day::new(2026, 11, 20),
            chute_id: Some("a".to_owned()),
        };
        let wants = |row: &LlmStats| query.wants(row.date.as_ref(), row.chute_id.as_deref());
        let path = query.path("/x");
        assert_eq!(path, "/x?start_date=2026-11-19&end_date=2026-11-20&chute_id=a");
        assert!(wants(&row(r#"{"date":"2026-11-19","chute_id":"a"}"#)));
        assert!(wants(&row(r#"{"date":"2026-11-20T10:00:00"}"#)));
        assert!(wants(&row(r#"{"date":"lately"}"#)));
        assert!(!wants(&row(r#"{"date":"2026-11-18"}"#)));
        assert!(!wants(&row(r#"{"date":"2026-11-21"}"#)));
        assert!(!wants(&row(r#"{"date":"2026-11-20","chute_id":"b"}"#)));
    }
}
