//! What the whole platform did: figures of everybody's requests. All of them are read without a key.

use ripcord_wire::chutes::{LlmStats, LlmStatsList};
use ripcord_wire::time::Day;

use super::path::Query;
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
    fn wants(&self, row: &LlmStats) -> bool {
        let day = row.date.as_ref().and_then(|date| Day::parse(date.text()));
        let not_before = self.first_day.zip(day).is_none_or(|(first, day)| day >= first);
        let not_after = self.last_day.zip(day).is_none_or(|(last, day)| day <= last);
        let chutes = self.chute_id.as_ref().zip(row.chute_id.as_ref());
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
        reply.value.items.retain(|row| query.wants(row));
        Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_what_they_say() {
        let row = |json: &str| -> LlmStats { serde_json::from_str(json).unwrap() };
        let query = StatisticsQuery {
            first_day: Day::new(2026, 11, 19),
            last_day: Day::new(2026, 11, 20),
            chute_id: Some("a".to_owned()),
        };
        let path = query.path("/x");
        assert_eq!(path, "/x?start_date=2026-11-19&end_date=2026-11-20&chute_id=a");
        assert!(query.wants(&row(r#"{"date":"2026-11-19","chute_id":"a"}"#)));
        assert!(query.wants(&row(r#"{"date":"2026-11-20T10:00:00"}"#)));
        assert!(query.wants(&row(r#"{"date":"lately"}"#)));
        assert!(!query.wants(&row(r#"{"date":"2026-11-18"}"#)));
        assert!(!query.wants(&row(r#"{"date":"2026-11-21"}"#)));
        assert!(!query.wants(&row(r#"{"date":"2026-11-20","chute_id":"b"}"#)));
    }
}
