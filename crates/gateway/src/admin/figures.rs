//! Amounts and times as the routes of the gateway write them.

use ripcord_rules::quota::{Source, Unit};
use ripcord_rules::time::Wall;
use ripcord_rules::units::{MilliUnits, NanoUsd};
use ripcord_wire::time::format_timestamp;

/// An amount as a JSON number.
pub(crate) fn decimal(unit: Unit, value: i64) -> f64 {
    let scale = match unit {
        Unit::Requests => 1e3,
        Unit::Usd => 1e9,
    };
    value as f64 / scale
}

pub(super) fn units(amount: MilliUnits) -> f64 {
    decimal(Unit::Requests, amount.0)
}

pub(super) fn usd(amount: NanoUsd) -> f64 {
    decimal(Unit::Usd, amount.0)
}

pub(super) const fn unit_word(unit: Unit) -> &'static str {
    match unit {
        Unit::Requests => "requests",
        Unit::Usd => "usd",
    }
}

pub(super) const fn source_word(source: Source) -> &'static str {
    match source {
        Source::Server => "server",
        Source::Header => "header",
        Source::Estimate => "estimate",
    }
}

pub(super) fn format_time(moment: Wall) -> String {
    format_timestamp(moment.as_unix_micros())
}

/// Seconds since the Unix epoch, with a fraction, as Python's `time.time()` gives them.
pub(super) fn unix_seconds(moment: Wall) -> f64 {
    moment.as_unix_micros() as f64 / 1e6
}
