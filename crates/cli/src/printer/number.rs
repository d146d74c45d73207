//! Figures for people: thin groups of three, `128k` tokens.

use ripcord_rules::units::MilliUnits;

/// A whole number in groups of three: `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let mut output = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            output.push(' ');
        }
        output.push(digit);
    }
    output
}

/// Request units with at most one decimal, rounded up: `1234.3`.
pub(crate) fn units(amount: MilliUnits) -> String {
    let tenths = amount.0.div_euclid(100) + i64::from(amount.0.rem_euclid(100) != 0);
    MilliUnits(tenths.saturating_mul(100)).to_string()
}

/// A number of tokens: `512`, `33k`, `131k`, `1.0M`.
pub(crate) fn tokens(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", number / 1000),
        _ => format!("{}.{}M", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}

/// `1 call`, `3 calls`.
pub(crate) fn counted(number: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { singular } else { plural })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_from_five_digits_on() {
        assert_eq!(grouped(5000), "5000");
        assert_eq!(grouped(12_345), "12 345");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn units_are_never_rounded_to_less_use() {
        assert_eq!(units(MilliUnits(1_234_300)), "1234.3");
        assert_eq!(units(MilliUnits(1_234_301)), "1234.4");
        assert_eq!(units(MilliUnits(5_000_000)), "5000");
    }

    #[test]
    fn tokens_are_short() {
        assert_eq!(tokens(4096), "4096");
        assert_eq!(tokens(131_072), "131k");
        assert_eq!(tokens(1_048_576), "1.0M");
    }
}
