//! Arguments of `report`.

use clap::Args;

use super::number;

#[derive(Args, Debug, Default)]
#[command(
    group(clap::ArgGroup::new("form").args(["monthly", "hourly", "spikes", "plan"])),
    after_help = super::examples::REPORT
)]
pub(crate) struct ReportArguments {
    /// A row for each of the last N days, today included (7 if nothing is said); with `--spikes`, the days to look at
    /// (30 if nothing is said)
    #[arg(long, value_name = "N", conflicts_with_all = ["monthly", "hourly", "plan", "calendar"],
        allow_negative_numbers = true, value_parser = number::<1, 400>)]
    pub(crate) days: Option<u64>,

    /// A row for each of the last 6 billing months
    #[arg(long)]
    pub(crate) monthly: bool,

    /// Months of the calendar instead of billing months
    #[arg(long, conflicts_with_all = ["hourly", "spikes", "plan"])]
    pub(crate) calendar: bool,

    /// A row for each hour of this day: `2026-09-27`, `today`, `yesterday`
    #[arg(long, value_name = "DATE")]
    pub(crate) hourly: Option<String>,

    /// The hours far above the usual, and what did it
    #[arg(long)]
    pub(crate) spikes: bool,

    /// Which plan would have been cheapest for the last full month and for the last 30 days
    #[arg(long)]
    pub(crate) plan: bool,

    /// Ask Chutes for every hour again, and keep nothing
    #[arg(long)]
    pub(crate) no_cache: bool,
}
