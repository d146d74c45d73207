//! Every request of the platform as CSV (api.md 3.5). All of it is read without a key.

use std::borrow::Cow;

use bytes::Bytes;
use ripcord_wire::csv::Table;
use ripcord_wire::time::Day;

use super::call::Plan;
use super::path::Query;
use super::{Chutes, Reply};
use crate::error::Error;

/// A past hour of the calendar in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExportHour {
    day: Day,
    hour: u8,
}

/// What of an hour is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ExportKind {
    /// Requests.
    #[default]
    Invocations,
    /// Jobs.
    Jobs,
}

/// What of the last day is exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecentQuery {
    /// One miner.
    pub hotkey: Option<String>,
    /// How many rows, at most 10000. The server's default is 100.
    pub limit: Option<u32>,
}

/// An export as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The bytes of the CSV file.
    pub bytes: Bytes,
}

impl ExportHour {
    /// The hour (0 to 23) of a day, where there is one. The first there is was in December 2024.
    ///
    /// ```
    /// use ripcord_client::chutes::ExportHour;
    /// use ripcord_wire::time::Day;
    ///
    /// let day = Day::new(2026, 11, 20).unwrap();
    /// assert!(ExportHour::new(day, 23).is_some());
    /// assert!(ExportHour::new(day, 24).is_none());
    /// ```
    #[must_use]
    pub fn new(day: Day, hour: u8) -> Option<Self> {
        (hour < 24).then_some(Self { day, hour })
    }

    fn path(self, kind: ExportKind) -> String {
        let Self { day, hour } = self;
        let suffix = match kind {
            ExportKind::Invocations => "",
            ExportKind::Jobs => "-jobs",
        };
        let (year, month, day) = (day.year(), day.month(), day.day_of_month());
        format!("/invocations/exports/{year}/{month}/{day}/{hour:02}{suffix}.csv")
    }
}

impl Export {
    /// The text; what is not UTF-8 becomes a replacement character.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// The rows, by the names of their columns: `invocation_id`, `chute_id`, `chute_user_id`, `function_name`,
    /// `image_id`, `image_user_id`, `instance_id`, `miner_uid`, `miner_hotkey`, `started_at`, `completed_at` (UTC),
    /// `error_message`, `compute_multiplier`, and `metrics`, which is the text of a Python dictionary, not JSON.
    ///
    /// A copy of everything: an hour takes some times the memory of its bytes.
    #[must_use]
    pub fn table(&self) -> Table {
        Table::read(&self.text())
    }
}

impl Chutes {
    /// `GET /invocations/exports/{year}/{month}/{day}/{hour}.csv` (api.md 3.5): everybody's requests of one past hour.
    /// Read up to [`export_limit_bytes`](super::ChutesSettings::export_limit_bytes) within
    /// [`slow_deadline`](super::ChutesSettings::slow_deadline). Sent without a key.
    ///
    /// # Errors
    /// 404 `Invocations export not found …` for an hour that is not there (yet); else as every call: see [`Error`].
    pub async fn invocation_export(
        &self,
        hour: ExportHour,
        kind: ExportKind,
    ) -> Result<Reply<Export>, Error> {
        self.export("/invocations/exports/{year}/{month}/{day}/{hour}.csv", hour.path(kind)).await
    }

    /// `GET /invocations/exports/recent` (api.md 3.5): the newest successful requests of the last day, newest first.
    /// Sent without a key.
    ///
    /// # Errors
    /// As every call: see [`Error`].
    pub async fn recent_invocations(&self, query: &RecentQuery) -> Result<Reply<Export>, Error> {
        let template = "/invocations/exports/recent";
        let path = Query::new(template)
            .with("hotkey", query.hotkey.as_deref())
            .with("limit", query.limit)
            .path();
        self.export(template, path).await
    }

    async fn export(&self, template: &'static str, path: String) -> Result<Reply<Export>, Error> {
        let plan = self.slowly(self.list(&self.api, template).with_path(path));
        let limit_bytes = self.settings.export_limit_bytes;
        let reply = self.read_text(Plan { accept: "text/csv", limit_bytes, ..plan }).await?;
        Ok(reply.map(|bytes| Export { bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_have_two_digits_and_dates_none_too_many() {
        let hour = ExportHour::new(Day::new(2026, 3, 1).unwrap(), 4).unwrap();
        assert_eq!(hour.path(ExportKind::Invocations), "/invocations/exports/2026/3/1/04.csv");
        assert_eq!(hour.path(ExportKind::Jobs), "/invocations/exports/2026/3/1/04-jobs.csv");
    }
}
