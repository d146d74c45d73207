//! Does someone else use the account too? The server's counter against what went through this machine's gateway.

use std::time::Duration;

use ripcord_rules::quota::{WindowKind, next_day_reset};
use ripcord_rules::time::Wall;
use ripcord_rules::units::MilliUnits;
use ripcord_store::{Ledger as _, SqliteLedger};

use crate::commands::serve;
use crate::context::Context;
use crate::upstream::Reading;

/// Fewer units than this may be a call that was just under way, or a retry.
const LEAST: MilliUnits = MilliUnits::from_units(5);

/// Request units of today that did not go through this machine's gateway, at the least. `None` where that cannot be
/// said: no ledger, no call of the account in it today, or no figure from the server.
pub(super) fn units(reading: &Reading, context: &Context, now: Wall) -> Option<MilliUnits> {
    let path = context.settings.gateway.state_directory.value.as_ref()?.join("ledger.sqlite");
    if !path.exists() {
        return None;
    }
    let used = reading.snapshot.window(WindowKind::Day, now)?.used?;
    let midnight = next_day_reset(now).before(Duration::from_secs(86_400));
    // A ledger that cannot be read is the gateway's matter; here it only means that nobody can tell.
    let ledger = SqliteLedger::open(&path).ok()?;
    let totals = ledger.totals_since(midnight.as_unix_micros()).ok()?;
    let label = serve::label(&reading.account);
    let attempts: u64 = totals
        .iter()
        .filter(|total| total.account.as_deref() == Some(label.as_str()))
        .map(|total| total.attempts)
        .sum();
    // No attempt costs more than one unit, so this is the most that can have come from here.
    let own =
        MilliUnits::from_units(i64::try_from(attempts).ok().filter(|attempts| *attempts > 0)?);
    Some(MilliUnits(used.saturating_sub(own.0).max(0)))
}

/// The warning, if there is enough to warn about.
pub(super) fn warning(units: Option<MilliUnits>) -> Option<String> {
    let units = units.filter(|units| *units >= LEAST)?;
    Some(format!(
        "At least {} of today's request units did not go through this machine's gateway, but another program or an earlier one.",
        crate::printer::number::units(units)
    ))
}
