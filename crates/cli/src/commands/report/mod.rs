//! `ripcord report`: what was used over time, from the account's own history and from the ledger of this machine.

mod history;
mod page;
mod periods;
mod plans;
mod rows;
mod spikes;
mod sums;
mod words;

use std::time::Duration;

use jiff::civil::Date;
use ripcord_rules::time::Wall;
use ripcord_store::{Ledger as _, SqliteLedger};
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::ReportArguments;
use crate::catalogue::Catalogue;
use crate::commands::serve;
use crate::commands::usage::{ErrorReport, PlanReport};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::printer::moment;
use crate::upstream::{Reading, Upstream};
use history::{Past, Wanted};
use periods::{Calendar, MONTHS, Period};
use plans::PlanMonthReport;
use rows::RowReport;
use spikes::SpikesReport;
use sums::{Facts, Own, PriceList, Row};

/// How many days are shown if nobody says.
const USUAL_DAYS: u64 = 7;
/// How many are looked at for what is usual.
const USUAL_DAYS_OF_SPIKES: u64 = 30;
/// A month, where plans are compared over the last days.
const LAST_DAYS: u64 = 30;

/// What `ripcord report --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReportReport {
    #[schemars(extend("const" = "ripcord/report/1"))]
    schema: &'static str,
    /// When the report was made, UTC.
    generated_at: String,
    /// What was asked for: `days`, `billing_months`, `calendar_months`, `hours`, `spikes`, `plans`.
    form: &'static str,
    /// The zone whose days and months are shown: that of people, or UTC where no hour of UTC begins its days.
    zone: String,
    /// The accounts, in the order of the configuration.
    accounts: Vec<AccountReport>,
    /// The rows of all accounts together; empty with one account, or where the rows are not the same.
    together: Vec<RowReport>,
}

/// One account.
#[derive(Debug, Serialize, JsonSchema)]
struct AccountReport {
    /// What the account is called.
    account: String,
    /// The plan; null if not known.
    plan: Option<PlanReport>,
    /// Where the figures come from; null if nothing could be read and nothing is kept.
    history: Option<HistoryReport>,
    /// The rows, oldest first; empty for `spikes` and `plans`.
    rows: Vec<RowReport>,
    /// For `spikes`.
    spikes: Option<SpikesReport>,
    /// For `plans`: the last full month, and the last 30 days.
    plans: Vec<PlanMonthReport>,
    /// Why something could not be read; null if all of it was.
    error: Option<ErrorReport>,
}

/// Where an account's figures come from.
#[derive(Debug, Serialize, JsonSchema)]
struct HistoryReport {
    /// `server`, or `cache` where Chutes did not answer.
    source: &'static str,
    /// When the newest figures were read, UTC.
    as_of: String,
    /// Their age in seconds.
    age_seconds: u64,
    /// The first hour of which anything is known, UTC.
    from: String,
    /// Figures from this hour on may still change, UTC; they are not compared.
    settled_until: String,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Days(u64),
    BillingMonths,
    CalendarMonths,
    Hours(Date),
    Spikes(u64),
    Plans,
}

/// One account with all that is known of it.
struct Chapter {
    reading: Reading,
    past: Past,
    own: Option<Own>,
    rows: Vec<Row>,
}

/// Reads, sums up and shows.
pub(crate) async fn run(
    arguments: &ReportArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let form = Form::of(arguments, &calendar(arguments, context))?;
    let upstream = Upstream::new(context)?;
    let (readings, (lists, list_problems)) =
        tokio::join!(upstream.selected_readings(context), upstream.lists());
    let readings = readings?;
    let calendar = calendar(arguments, context);
    let is_read = lists.models.is_some();
    let prices = PriceList::of(&Catalogue::join(lists, context.now()), is_read);
    let ledger = open_ledger(context);
    let mut chapters = Vec::new();
    for reading in readings {
        let from = |anchor| form.from(&calendar, anchor, context.now());
        let until = match form {
            Form::Hours(day) => calendar.hours(day).last().map(|hour| hour.from),
            _ => None,
        };
        let wanted = Wanted {
            from: &from,
            until: until.unwrap_or(context.now()),
            anchor: form.needs_anchor(),
            keep: !arguments.no_cache,
        };
        let past = history::read(&upstream, &reading, wanted, context).await;
        let own =
            ledger.as_ref().and_then(|ledger| own(ledger, &reading, from(past.anchor), context));
        chapters.push(Chapter { reading, past, own, rows: Vec::new() });
    }
    let now = context.now();
    for chapter in &mut chapters {
        let periods = form.periods(&calendar, chapter.past.anchor, now);
        let facts = chapter.facts(&prices);
        chapter.rows = periods.into_iter().map(|period| facts.row(period, now)).collect();
    }
    let report = ReportReport {
        schema: "ripcord/report/1",
        generated_at: moment::utc(now),
        form: form.code(&chapters),
        zone: calendar.zone_name(),
        accounts: chapters
            .iter()
            .map(|chapter| chapter.report(form, &calendar, &prices, now))
            .collect(),
        together: together(&chapters).iter().map(RowReport::from).collect(),
    };
    context
        .printer
        .answer(&report, || page::of(&report, &chapters, form, &calendar, &prices, context))?;
    let problems: Vec<&CommandError> = chapters.iter().filter_map(Chapter::problem).collect();
    for problem in &problems {
        context.printer.error(problem);
    }
    // A host that is down is one problem, not two.
    let unpriced = list_problems.first().filter(|_| problems.is_empty() && !is_read);
    if let Some(problem) = unpriced {
        context.printer.error(problem);
    }
    let unread = !problems.is_empty() || unpriced.is_some();
    Ok(if unread { Exit::Unknown } else { Exit::Done })
}

fn calendar(arguments: &ReportArguments, context: &Context) -> Calendar {
    let days = arguments.days.unwrap_or(MONTHS as u64 * 31);
    Calendar::of(context.printer.moments.zone(), days, context.now())
}

/// The rows of all accounts, where each has the same.
fn together(chapters: &[Chapter]) -> Vec<Row> {
    let Some((first, others)) = chapters.split_first().filter(|(_, others)| !others.is_empty())
    else {
        return Vec::new();
    };
    let same = |other: &Chapter| {
        let periods = |chapter: &Chapter| -> Vec<Period> {
            chapter.rows.iter().map(|row| row.period.clone()).collect()
        };
        periods(other) == periods(first)
    };
    if !others.iter().all(same) {
        return Vec::new();
    }
    (0..first.rows.len())
        .filter_map(|index| {
            let rows: Vec<&Row> =
                chapters.iter().filter_map(|chapter| chapter.rows.get(index)).collect();
            Row::together(&rows)
        })
        .collect()
}

fn open_ledger(context: &Context) -> Option<SqliteLedger> {
    let path = context.settings.gateway.state_directory.value.as_ref()?.join("ledger.sqlite");
    if !path.exists() {
        return None;
    }
    match SqliteLedger::open(&path) {
        Ok(ledger) => Some(ledger),
        Err(error) => {
            context.printer.warn(&format!("{error}; nothing is compared with it"));
            None
        }
    }
}

/// What the ledger knows of an account; `None` if it knows nothing of anybody.
fn own(ledger: &SqliteLedger, reading: &Reading, from: Wall, context: &Context) -> Option<Own> {
    let hour = Duration::from_secs(3_600);
    let label = serve::label(&reading.account);
    let read = ledger.begins_at().and_then(|begins| {
        let spent = ledger.spent_since(from.as_unix_micros(), hour)?;
        Ok((begins, spent))
    });
    match read {
        Ok((begins, spent)) => Some(Own {
            begins: Wall::from_unix_micros(begins?).as_unix_seconds(),
            spent: spent
                .into_iter()
                .filter(|spent| spent.account.as_deref() == Some(label.as_str()))
                .collect(),
        }),
        Err(error) => {
            context.printer.warn(&format!("{error}; nothing is compared with it"));
            None
        }
    }
}

// === impl Form ===

impl Form {
    fn of(arguments: &ReportArguments, calendar: &Calendar) -> Result<Self, CommandError> {
        Ok(if let Some(day) = &arguments.hourly {
            Self::Hours(calendar.day_of(day)?)
        } else if arguments.spikes {
            Self::Spikes(arguments.days.unwrap_or(USUAL_DAYS_OF_SPIKES))
        } else if arguments.plan {
            Self::Plans
        } else if arguments.calendar {
            Self::CalendarMonths
        } else if arguments.monthly {
            Self::BillingMonths
        } else {
            Self::Days(arguments.days.unwrap_or(USUAL_DAYS))
        })
    }

    fn code(self, chapters: &[Chapter]) -> &'static str {
        match self {
            Self::Days(_) => "days",
            Self::BillingMonths if chapters.iter().all(|chapter| chapter.past.anchor.is_none()) => {
                "calendar_months"
            }
            Self::BillingMonths => "billing_months",
            Self::CalendarMonths => "calendar_months",
            Self::Hours(_) => "hours",
            Self::Spikes(_) => "spikes",
            Self::Plans => "plans",
        }
    }

    const fn needs_anchor(self) -> bool {
        matches!(self, Self::BillingMonths | Self::Plans)
    }

    /// The rows to show. Without an anchor there is no billing month: then months of the calendar.
    fn periods(self, calendar: &Calendar, anchor: Option<Wall>, now: Wall) -> Vec<Period> {
        match (self, anchor) {
            (Self::Days(count), _) => calendar.days(count),
            (Self::Hours(day), _) => calendar.hours(day),
            (Self::BillingMonths, Some(anchor)) => calendar.billing_months(anchor, MONTHS, now),
            (Self::BillingMonths | Self::CalendarMonths, _) => calendar.months(),
            (Self::Spikes(_) | Self::Plans, _) => Vec::new(),
        }
    }

    /// The first moment of which anything has to be known.
    fn from(self, calendar: &Calendar, anchor: Option<Wall>, now: Wall) -> Wall {
        match self {
            Self::Spikes(days) => days_before(now, days),
            Self::Plans => {
                let (_, month) = last_month(calendar, anchor, now);
                month.map_or(days_before(now, LAST_DAYS), |month| {
                    month.from.min(days_before(now, LAST_DAYS))
                })
            }
            Self::Days(_) | Self::BillingMonths | Self::CalendarMonths | Self::Hours(_) => {
                let periods = self.periods(calendar, anchor, now);
                periods.first().map_or(now, |period| period.from)
            }
        }
    }
}

/// Whole hours, so that a day is as long as 24 of them.
fn days_before(now: Wall, days: u64) -> Wall {
    let hour = Wall::from_unix_seconds(history::hour_of(now));
    hour.before(Duration::from_secs(days * 86_400))
}

/// The last month that is over, and what kind of month it is.
fn last_month(
    calendar: &Calendar,
    anchor: Option<Wall>,
    now: Wall,
) -> (&'static str, Option<Period>) {
    let (kind, months) = match anchor {
        Some(anchor) => ("billing_month", calendar.billing_months(anchor, 2, now)),
        None => ("calendar_month", calendar.months()),
    };
    let before = months.len().checked_sub(2);
    (kind, before.and_then(|index| months.get(index).cloned()))
}

// === impl Chapter ===

impl Chapter {
    fn facts<'a>(&'a self, prices: &'a PriceList) -> Facts<'a> {
        Facts {
            usage: self.past.usage.as_ref(),
            own: self.own.as_ref(),
            prices,
            own_prices: &self.past.prices,
            plan: self.reading.snapshot.plan,
        }
    }

    fn problem(&self) -> Option<&CommandError> {
        self.reading.problem.as_ref().or(self.past.problem.as_ref())
    }

    fn report(
        &self,
        form: Form,
        calendar: &Calendar,
        prices: &PriceList,
        now: Wall,
    ) -> AccountReport {
        let facts = self.facts(prices);
        AccountReport {
            account: self.reading.label.clone(),
            plan: self.reading.snapshot.plan.map(PlanReport::from),
            history: self.history(&facts, now),
            rows: self.rows.iter().map(RowReport::from).collect(),
            spikes: match form {
                Form::Spikes(days) if self.past.usage.is_some() => {
                    Some(spikes::find(&facts, days_before(now, days), now))
                }
                _ => None,
            },
            plans: if form == Form::Plans { self.plans(&facts, calendar, now) } else { Vec::new() },
            error: self.problem().map(ErrorReport::from),
        }
    }

    fn history(&self, facts: &Facts<'_>, now: Wall) -> Option<HistoryReport> {
        let usage = self.past.usage.as_ref()?;
        let as_of = Wall::from_unix_seconds(usage.read_at_unix_seconds);
        Some(HistoryReport {
            source: if self.past.is_kept { "cache" } else { "server" },
            as_of: moment::utc(as_of),
            age_seconds: now.since(as_of).as_secs(),
            from: moment::utc(Wall::from_unix_seconds(usage.from_unix_seconds)),
            settled_until: moment::utc(Wall::from_unix_seconds(facts.settled_until()?)),
        })
    }

    fn plans(&self, facts: &Facts<'_>, calendar: &Calendar, now: Wall) -> Vec<PlanMonthReport> {
        let (kind, month) = last_month(calendar, self.past.anchor, now);
        let title = match kind {
            "billing_month" => "The last full billing month",
            _ => "The last month of the calendar",
        };
        let last_days = Period {
            label: format!("until {}", calendar.hour_of(now)),
            from: days_before(now, LAST_DAYS),
            until: Wall::from_unix_seconds(history::hour_of(now)),
        };
        let month = month.map(|month| plans::replay(facts, kind, title, &month));
        let days = plans::replay(facts, "last_30_days", "The last 30 days", &last_days);
        month.into_iter().chain([days]).collect()
    }
}
