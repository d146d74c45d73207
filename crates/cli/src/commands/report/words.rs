//! How the figures of a report are put.

use ripcord_rules::history::{Drift, UsdSpan};
use ripcord_rules::units::NanoUsd;

use super::sums::Difference;
use crate::printer::number;
use crate::printer::text::{Text, Tone};

/// Less than this is not worth its digits here.
const CENT: NanoUsd = NanoUsd::from_cents(1);

/// Dollars and cents: `$1.20`, `<$0.01`.
pub(super) fn cents(amount: NanoUsd) -> String {
    if amount > NanoUsd::ZERO && amount < CENT { "<$0.01".to_owned() } else { amount.to_string() }
}

/// An amount that is known, or its ends: `$1.20 – $2.40`.
pub(super) fn span(span: UsdSpan) -> String {
    let (least, most) = (cents(span.least), cents(span.most));
    if least == most { most } else { format!("{least} – {most}") }
}

/// Dollars, with nothing standing back.
pub(super) fn dollars(amount: NanoUsd) -> Text {
    if amount == NanoUsd::ZERO { Text::new().dim("$0.00") } else { cents(amount).into() }
}

/// How a row's two records differ, short.
pub(super) fn difference(difference: Difference) -> Text {
    match difference {
        Difference::NotYet => Text::new().dim("not yet"),
        Difference::Settled(Drift::Unknown) => Text::new(),
        Difference::Settled(Drift::None) => Text::new().dim("none"),
        Difference::Settled(Drift::Elsewhere(count)) => {
            Text::toned(Tone::Warn, format!("{} elsewhere", number::grouped(count)))
        }
        Difference::Settled(Drift::Missing(count)) => {
            Text::toned(Tone::Warn, format!("{} missing", number::grouped(count)))
        }
    }
}
