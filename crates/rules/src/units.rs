//! Amounts as integers: thousandths of a request unit, billionths of a dollar.
//!
//! The server sends decimals that went through binary floating point (`0.30000000000000004`,
//! `chutes/api.md` 2.3). Here they become integers from their decimal *text*, so that no sum drifts, and the
//! caller says which way to round: caps down, usage up, so that an error never spends money.

use std::fmt;

/// Thousandths of a request unit, what the `day` window counts. A repeated body counts 100 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MilliUnits(pub i64);

/// Billionths of a US dollar. A balance may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NanoUsd(pub i64);

/// Which way a decimal that does not fit is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards minus infinity. For caps, and for money one has.
    Down,
    /// Towards plus infinity. For usage.
    Up,
}

/// `amount * by / of`, rounded up, bounded.
pub(crate) fn scaled(amount: i64, by: u64, of: u64) -> i64 {
    let product = i128::from(amount.max(0)) * i128::from(by);
    let of = i128::from(of.max(1));
    i64::try_from((product + of - 1) / of).unwrap_or(i64::MAX)
}

// === impl MilliUnits ===

impl MilliUnits {
    /// One request.
    pub const ONE: Self = Self(1_000);

    /// Whole units.
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self(units.saturating_mul(1_000))
    }

    /// Reads decimal text such as `1234.3`, `5e3` or `0.30000000000000004`. `None` if it is not a decimal
    /// number or does not fit.
    #[must_use]
    pub fn from_decimal(text: &str, rounding: Rounding) -> Option<Self> {
        scaled_decimal(text, 3, rounding).map(Self)
    }
}

impl fmt::Display for MilliUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        write!(f, "{sign}{}", magnitude / 1_000)?;
        match magnitude % 1_000 {
            0 => Ok(()),
            rest if rest % 100 == 0 => write!(f, ".{}", rest / 100),
            rest if rest % 10 == 0 => write!(f, ".{:02}", rest / 10),
            rest => write!(f, ".{rest:03}"),
        }
    }
}

// === impl NanoUsd ===

impl NanoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole cents.
    #[must_use]
    pub const fn from_cents(cents: i64) -> Self {
        Self(cents.saturating_mul(10_000_000))
    }

    /// Reads decimal text such as `8.333333333333332`, `7e-7` or `-0.059`. `None` if it is not a decimal
    /// number or does not fit.
    #[must_use]
    pub fn from_decimal(text: &str, rounding: Rounding) -> Option<Self> {
        scaled_decimal(text, 9, rounding).map(Self)
    }

    /// The cost of `tokens` at `per_million`, rounded up.
    #[must_use]
    pub fn for_tokens(per_million: Self, tokens: u64) -> Self {
        let product = i128::from(per_million.0) * i128::from(tokens);
        Self(saturate(-(-product).div_euclid(1_000_000)))
    }

    /// The sum, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for NanoUsd {
    /// Dollars with two decimals (`$8.33`), more where the amount is under a cent (`$0.0021`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        if magnitude != 0 && magnitude < 10_000_000 {
            let micros = magnitude.div_ceil(1_000);
            return write!(f, "{sign}$0.{}", format!("{micros:06}").trim_end_matches('0'));
        }
        // To the nearest cent: this is for people, sums use the integer.
        let cents = magnitude.saturating_add(5_000_000) / 10_000_000;
        write!(f, "{sign}${}.{:02}", cents / 100, cents % 100)
    }
}

/// The most decimals of a number that are taken seriously; what is beyond is noise of binary floating point.
const SIGNIFICANT_DECIMALS: i32 = 12;

/// Decimal text times ten to the `scale`, as an integer. Digits beyond [`SIGNIFICANT_DECIMALS`] are cut before
/// rounding, so that `0.30000000000000004` is 300 thousandths both ways.
fn scaled_decimal(text: &str, scale: i32, rounding: Rounding) -> Option<i64> {
    let text = text.trim();
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || !(-400..=400).contains(&exponent) {
        return None;
    }
    let digits = whole.bytes().chain(fraction.bytes());
    let point = i32::try_from(whole.len()).ok()? + exponent;
    let mut value: i128 = 0;
    let mut inexact = false;
    let mut consumed = 0;
    for (index, digit) in (0_i32..).zip(digits) {
        if !digit.is_ascii_digit() {
            return None;
        }
        let decimals = index + 1 - point;
        if decimals <= scale {
            value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
            consumed = decimals;
        } else if decimals <= SIGNIFICANT_DECIMALS {
            inexact |= digit != b'0';
        }
    }
    if value != 0 {
        for _ in consumed..scale {
            value = value.checked_mul(10)?;
        }
    }
    if negative {
        value = -value;
    }
    let away = match rounding {
        Rounding::Up => inexact && !negative,
        Rounding::Down => inexact && negative,
    };
    if away {
        value += if negative { -1 } else { 1 };
    }
    i64::try_from(value).ok()
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_become_integers_on_the_safe_side() {
        let usd = |text, rounding| NanoUsd::from_decimal(text, rounding).map(|amount| amount.0);
        assert_eq!(usd("8.333333333333332", Rounding::Down), Some(8_333_333_333));
        assert_eq!(usd("8.333333333333332", Rounding::Up), Some(8_333_333_334));
        assert_eq!(usd("7e-7", Rounding::Up), Some(700));
        assert_eq!(usd("7.000000000000001e-07", Rounding::Up), Some(700));
        assert_eq!(usd("-0.0590000001", Rounding::Down), Some(-59_000_001));
        assert_eq!(usd("-0.0590000001", Rounding::Up), Some(-59_000_000));
        assert_eq!(usd("100", Rounding::Down), Some(100_000_000_000));
        assert_eq!(usd("1e2", Rounding::Down), Some(100_000_000_000));
        assert_eq!(usd("0", Rounding::Up), Some(0));
        assert_eq!(usd("0.0", Rounding::Up), Some(0));
    }

    #[test]
    fn noise_of_binary_floating_point_is_not_usage() {
        assert_eq!(
            MilliUnits::from_decimal("0.30000000000000004", Rounding::Up),
            Some(MilliUnits(300))
        );
        assert_eq!(MilliUnits::from_decimal("1234.3", Rounding::Up), Some(MilliUnits(1_234_300)));
        assert_eq!(MilliUnits::from_decimal("5.6001", Rounding::Up), Some(MilliUnits(5_601)));
    }

    #[test]
    fn what_is_no_number_is_none_and_never_zero() {
        for text in [
            "",
            "-",
            "unlimited",
            "1.2.3",
            "1e",
            "0x10",
            "NaN",
            "inf",
            "1_000",
            "99999999999999999999",
        ] {
            assert_eq!(NanoUsd::from_decimal(text, Rounding::Up), None, "{text}");
        }
    }

    #[test]
    fn amounts_read_well() {
        assert_eq!(NanoUsd(8_333_333_333).to_string(), "$8.33");
        assert_eq!(NanoUsd(-59_000_000).to_string(), "-$0.06");
        assert_eq!(NanoUsd(2_100_000).to_string(), "$0.0021");
        assert_eq!(NanoUsd(0).to_string(), "$0.00");
        assert_eq!(NanoUsd(1).to_string(), "$0.000001");
        assert_eq!(MilliUnits(1_234_300).to_string(), "1234.3");
        assert_eq!(MilliUnits(5_000_000).to_string(), "5000");
        assert_eq!(MilliUnits(-50).to_string(), "-0.05");
    }

    #[test]
    fn token_costs_round_up() {
        assert_eq!(NanoUsd::for_tokens(NanoUsd(104_000_000), 1), NanoUsd(104));
        assert_eq!(NanoUsd::for_tokens(NanoUsd(1), 1), NanoUsd(1));
        assert_eq!(NanoUsd::for_tokens(NanoUsd(i64::MAX), u64::MAX), NanoUsd(i64::MAX));
    }

    proptest! {
        #[test]
        fn a_written_amount_is_read_back(value in -1_000_000_000_000_000_i64..1_000_000_000_000_000) {
            let sign = if value < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:09}", value.unsigned_abs() / 1_000_000_000, value.unsigned_abs() % 1_000_000_000);
            prop_assert_eq!(NanoUsd::from_decimal(&text, Rounding::Up), Some(NanoUsd(value)));
            prop_assert_eq!(NanoUsd::from_decimal(&text, Rounding::Down), Some(NanoUsd(value)));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,40}") {
            let _ = NanoUsd::from_decimal(&text, Rounding::Up);
        }

        #[test]
        fn down_never_exceeds_up(text in "-?[0-9]{1,6}\\.[0-9]{0,18}(e-?[0-9]{1,2})?") {
            let down = NanoUsd::from_decimal(&text, Rounding::Down);
            let up = NanoUsd::from_decimal(&text, Rounding::Up);
            if let (Some(down), Some(up)) = (down, up) {
                prop_assert!(down <= up && up.0 - down.0 <= 1);
            }
        }
    }
}
