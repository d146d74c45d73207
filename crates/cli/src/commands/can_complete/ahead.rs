//! The windows ahead: how many calls fit into each.

use ripcord_rules::quota::{Limit, Outlook, Slice};
use ripcord_rules::time::Wall;
use schemars::JsonSchema;
use serde::Serialize;

use crate::printer::moment::{self, Moments};
use crate::printer::number;
use crate::printer::table::{Column, Table};
use crate::printer::text::{Text, Tone};
use crate::verdict::window_words;

/// The time between two turns of windows. Those into which nothing fits are taken together.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SliceReport {
    /// From here, UTC,
    from: String,
    /// until the next turn that changes something, UTC; null if none is known.
    until: Option<String>,
    /// So many calls fit, if everything that fitted before was used; null if nothing limits them.
    fits: Option<u64>,
    /// Of these, the balance would pay for so many.
    paid: u64,
    /// What the next one would meet: `day`, `four_hour`, `month`, `chute`, `balance`; null if nothing.
    short: Option<&'static str>,
    /// Whether it rests on a month that turns when Chutes bills, which may be later than its date.
    waits_for_billing: bool,
}

impl From<&Slice> for SliceReport {
    fn from(slice: &Slice) -> Self {
        Self {
            from: moment::utc(slice.from),
            until: slice.until.map(moment::utc),
            fits: (slice.fits < u64::MAX).then_some(slice.fits),
            paid: slice.paid,
            short: slice.short.map(|limit| match limit {
                Limit::Window(kind) => kind.name(),
                Limit::Balance => "balance",
                Limit::Slots => "slots",
            }),
            waits_for_billing: slice.waits_for_billing,
        }
    }
}

/// The next windows of an account.
pub(super) fn slices(outlook: Option<&Outlook>, count: Option<u64>) -> Vec<Slice> {
    let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    outlook.map(|outlook| outlook.clone().slices(count)).unwrap_or_default()
}

/// The same as a table.
pub(super) fn table(slices: &[Slice], moments: &Moments, now: Wall) -> Table {
    let mut table = Table::new(
        4,
        vec![
            Column::left("from"),
            Column::left(format!("until ({})", moments.zone_name(now))),
            Column::right("calls that fit"),
            Column::left("short is").leaves(1),
        ],
    );
    for slice in slices {
        let from =
            if slice.from <= now { "now".to_owned() } else { moments.short(slice.from, now) };
        let until = slice.until.map_or_else(|| "–".to_owned(), |until| moments.short(until, now));
        let fits = match slice.fits {
            u64::MAX => Text::from("no limit"),
            0 => Text::toned(Tone::Bad, "0"),
            fits => Text::from(number::grouped(fits)),
        };
        let mut short = match slice.short {
            None => String::new(),
            Some(Limit::Window(kind)) => format!("the {}", window_words(kind)),
            Some(Limit::Balance) => "the balance".to_owned(),
            Some(Limit::Slots) => "the slots".to_owned(),
        };
        if slice.paid > 0 {
            short.push_str(&format!("; {} paid from the balance", number::grouped(slice.paid)));
        }
        if slice.waits_for_billing {
            short.push_str("; once the month is billed");
        }
        table.row(vec![Text::from(from), Text::from(until), fits, Text::new().dim(short)]);
    }
    table
}
