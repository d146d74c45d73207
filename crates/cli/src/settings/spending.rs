//! The rules of spending as the file writes them: `paygo` and `reserve`.

use ripcord_rules::quota::Paygo;
use ripcord_rules::units::NanoUsd;
use serde_json::{Value as Json, json};

use super::document::{Value, read};

/// What `paygo` may be, for whoever wrote something else.
const PAYGO_CHOICES: &str =
    "expected \"by_plan\", \"never\", \"allow\" or { daily_usd = 2.0 } with an amount above 0";

/// `"by_plan"`, `"never"`, `"allow"` or `{ daily_usd = X }`.
pub(super) fn paygo(value: &Value<'_>) -> Result<Paygo, String> {
    match value {
        Value::String(text) => match text.trim() {
            "by_plan" => Ok(Paygo::ByPlan),
            "never" => Ok(Paygo::Never),
            "allow" => Ok(Paygo::Allow),
            _ => Err(PAYGO_CHOICES.to_owned()),
        },
        Value::Table(table) => {
            let only = table.len() == 1;
            let amount = table.get("daily_usd").filter(|_| only).ok_or(PAYGO_CHOICES)?;
            let amount = read::usd(amount.get_ref())?;
            daily(amount)
        }
        _ => Err(PAYGO_CHOICES.to_owned()),
    }
}

/// A bound for each day; one of nothing would be a roundabout `never`.
pub(crate) fn daily(amount: NanoUsd) -> Result<Paygo, String> {
    if amount > NanoUsd::ZERO {
        Ok(Paygo::Daily(amount))
    } else {
        Err("a daily amount must be above 0; for nothing at all write \"never\"".to_owned())
    }
}

/// `"10%"`, or a number of percent; in thousandths.
pub(super) fn reserve(value: &Value<'_>) -> Result<u64, String> {
    const EXPECTED: &str = "expected a share of each window such as \"10%\", from 0 to 90 percent";
    let text = match value {
        Value::String(text) => text.trim().trim_end_matches('%').trim_end().to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.as_str().to_owned(),
        _ => return Err(EXPECTED.to_owned()),
    };
    // A tenth of a percent is a thousandth, and dollars are read exactly.
    let percent = read::usd_text(&text).ok().filter(|_| !text.starts_with('$'));
    let permille = percent.map(|percent| (percent.0.unsigned_abs()).div_ceil(100_000_000));
    permille.filter(|permille| *permille <= 900).ok_or_else(|| EXPECTED.to_owned())
}

/// `paygo` as the file would hold it.
pub(crate) fn paygo_value(paygo: Paygo) -> Json {
    match paygo {
        Paygo::ByPlan => json!("by_plan"),
        Paygo::Never => json!("never"),
        Paygo::Allow => json!("allow"),
        Paygo::Daily(bound) => json!({ "daily_usd": crate::figures::usd(bound) }),
    }
}

/// `paygo` in one word.
pub(crate) const fn paygo_word(paygo: Paygo) -> &'static str {
    match paygo {
        Paygo::ByPlan => "by_plan",
        Paygo::Never => "never",
        Paygo::Allow => "allow",
        Paygo::Daily(_) => "daily",
    }
}

/// `reserve` as the file would hold it.
pub(crate) fn reserve_value(permille: u64) -> Json {
    json!(percent(permille))
}

/// Thousandths as people write a share: `10%`, `2.5%`.
pub(crate) fn percent(permille: u64) -> String {
    match (permille / 10, permille % 10) {
        (whole, 0) => format!("{whole}%"),
        (whole, tenth) => format!("{whole}.{tenth}%"),
    }
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    fn with<T>(text: &str, read: impl Fn(&Value<'_>) -> Result<T, String>) -> Result<T, String> {
        let text = format!("x = {text}");
        let (table, _) = DeTable::parse_recoverable(&text);
        read(table.get_ref().get("x").unwrap().get_ref())
    }

    #[test]
    fn a_daily_bound_is_a_table_with_one_amount() {
        assert_eq!(with("{ daily_usd = 2.0 }", paygo), Ok(Paygo::Daily(NanoUsd::from_cents(200))));
        assert_eq!(
            with("{ daily_usd = \"0.5\" }", paygo),
            Ok(Paygo::Daily(NanoUsd::from_cents(50)))
        );
        assert_eq!(with("\"allow\"", paygo), Ok(Paygo::Allow));
        for wrong in ["{ daily_usd = 0 }", "{ daily_usd = -1 }", "{ daily = 1 }", "{}", "true"] {
            assert!(with(wrong, paygo).is_err(), "{wrong}");
        }
        assert!(with("{ daily_usd = 1, x = 2 }", paygo).is_err());
        assert!(with("\"sometimes\"", paygo).unwrap_err().contains("daily_usd"));
    }

    #[test]
    fn a_reserve_is_a_share_in_percent() {
        for (text, permille) in
            [("\"10%\"", 100), ("10", 100), ("2.5", 25), ("\"2.5 %\"", 25), ("0", 0), ("0.01", 1)]
        {
            assert_eq!(with(text, reserve), Ok(permille), "{text}");
        }
        for wrong in ["\"ten\"", "91", "-1", "true", "\"$5\"", "\"\"", "\"%\""] {
            assert!(with(wrong, reserve).is_err(), "{wrong}");
        }
        assert_eq!((percent(100), percent(25)), ("10%".to_owned(), "2.5%".to_owned()));
    }
}
