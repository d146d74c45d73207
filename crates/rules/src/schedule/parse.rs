//! Reads an expression, and says where and why it cannot.

use std::fmt;
use std::str::FromStr;

use super::expression::{
    Amount, Comparison, Condition, DAYS, Expression, Figure, TimeOfDay, Weekdays,
};
use crate::quota::WindowKind;
use crate::units::{MilliUnits, NanoUsd, Rounding};

/// A longer text is no condition that somebody wrote.
pub const LONGEST_TEXT: usize = 1_000;
/// Parentheses and `not`s inside of one another.
const DEEPEST: usize = 50;

/// What cannot be read, where, and what may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The position in the text, counted in characters from 1.
    pub position: usize,
    /// What is wrong there: a fragment without a final period.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.position, self.message)
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Expression {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        if text.chars().count() > LONGEST_TEXT {
            let message = format!("that is longer than {LONGEST_TEXT} characters");
            return Err(ParseError { position: LONGEST_TEXT, message });
        }
        let expression = parser.expression()?;
        parser.skip_blanks();
        match parser.rest().chars().next() {
            None => Ok(expression),
            Some(')') => Err(parser.error("this `)` has no `(` before it")),
            Some(_) => Err(parser.error("write `and` or `or` between two conditions")),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    /// In bytes, always between two characters.
    at: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn expression(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.term()?;
        while self.keyword("or") {
            left = Expression::Or(Box::new(left), Box::new(self.term()?));
        }
        Ok(left)
    }

    fn term(&mut self) -> Result<Expression, ParseError> {
        let mut left = self.factor()?;
        while self.keyword("and") {
            left = Expression::And(Box::new(left), Box::new(self.factor()?));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expression, ParseError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error("too many parentheses inside of one another"));
        }
        let factor = if self.keyword("not") {
            Expression::Not(Box::new(self.factor()?))
        } else if self.sign("(") {
            let inner = self.expression()?;
            if !self.sign(")") {
                return Err(self.error("a `)` is missing here, or `and` or `or`"));
            }
            inner
        } else {
            Expression::Is(self.condition()?)
        };
        self.depth -= 1;
        Ok(factor)
    }

    fn condition(&mut self) -> Result<Condition, ParseError> {
        self.skip_blanks();
        let start = self.at;
        let word = self.word().to_ascii_lowercase();
        let figure = match word.as_str() {
            "before" => return Ok(Condition::Before(self.equal_to(&word)?.time()?)),
            "after" => return Ok(Condition::After(self.equal_to(&word)?.time()?)),
            "weekday" => return Ok(Condition::Weekday(self.equal_to(&word)?.days()?)),
            "balance" => Figure::Balance,
            _ => match WindowKind::from_name(&word) {
                Some(kind) if kind != WindowKind::Chute => Figure::Window(kind),
                _ => return Err(self.no_condition(start, &word)),
            },
        };
        let comparison = self.comparison(figure)?;
        Ok(Condition::Remains(figure, comparison, self.amount(figure)?))
    }

    fn comparison(&mut self, figure: Figure) -> Result<Comparison, ParseError> {
        for (sign, comparison) in [
            (">=", Comparison::AtLeast),
            ("<=", Comparison::AtMost),
            (">", Comparison::More),
            ("<", Comparison::Less),
        ] {
            if self.sign(sign) {
                return Ok(comparison);
            }
        }
        Err(self.error(format!("write `>`, `>=`, `<` or `<=` after `{figure}`")))
    }

    fn amount(&mut self, figure: Figure) -> Result<Amount, ParseError> {
        self.skip_blanks();
        let start = self.at;
        let with_sign = self.sign("$");
        self.skip_blanks();
        let length =
            self.rest().find(|character: char| !character.is_ascii_digit() && character != '.');
        let (number, _) = self.rest().split_at(length.unwrap_or(self.rest().len()));
        self.at += number.len();
        if number.is_empty() {
            return Err(self.error_at(start, missing_amount(figure)));
        }
        let wrong = |parser: &Self| {
            parser.error_at(start, format!("`{number}` is no number that can be meant here"))
        };
        if number.matches('.').count() > 1
            || number.starts_with('.')
            || number.ends_with('.')
            || number.len() > 15
        {
            return Err(wrong(self));
        }
        let in_percent = !with_sign && self.sign("%");
        let in_dollars = with_sign || (!in_percent && self.keyword("usd"));
        match figure {
            Figure::Balance if in_percent => Err(self
                .error_at(start, "a balance has no cap to take percents of; write dollars: `$2`")),
            Figure::Window(_) if in_percent => {
                let permille = permille(number).ok_or_else(|| {
                    self.error_at(start, "write percents from 0 to 100, with at most one decimal")
                })?;
                Ok(Amount::Permille(permille))
            }
            Figure::Window(WindowKind::Day) if in_dollars => Err(self.error_at(
                start,
                "`day` is counted in request units, not in dollars; write `500` or `20%`",
            )),
            Figure::Window(WindowKind::Day) => MilliUnits::from_decimal(number, Rounding::Up)
                .map(|units| Amount::Units(units.0))
                .ok_or_else(|| wrong(self)),
            _ if in_dollars => NanoUsd::from_decimal(number, Rounding::Up)
                .map(|dollars| Amount::Usd(dollars.0))
                .ok_or_else(|| wrong(self)),
            Figure::Balance => Err(self.error_at(start, format!("write dollars: `${number}`"))),
            Figure::Window(_) => Err(self.error_at(
                start,
                format!("write `${number}` for dollars or `{number}%` for a share of the cap"),
            )),
        }
    }

    fn equal_to(&mut self, word: &str) -> Result<&mut Self, ParseError> {
        if self.sign("=") { Ok(self) } else { Err(self.error(format!("write `=` after `{word}`"))) }
    }

    fn time(&mut self) -> Result<TimeOfDay, ParseError> {
        self.skip_blanks();
        let start = self.at;
        let length =
            self.rest().find(|character: char| !character.is_ascii_digit() && character != ':');
        let (written, _) = self.rest().split_at(length.unwrap_or(self.rest().len()));
        self.at += written.len();
        let two_digits =
            |text: &str| (1..=2).contains(&text.len()).then(|| text.parse::<u16>().ok()).flatten();
        let read = written.split_once(':').and_then(|(hours, minutes)| {
            let minutes = two_digits(minutes).filter(|value| minutes.len() == 2 && *value < 60)?;
            Some(two_digits(hours)? * 60 + minutes).filter(|time| *time <= 24 * 60)
        });
        read.map(TimeOfDay)
            .ok_or_else(|| self.error_at(start, "write a time of day such as `16:00`, of 24 hours"))
    }

    fn days(&mut self) -> Result<Weekdays, ParseError> {
        let mut days = 0_u8;
        loop {
            let first = self.day()?;
            let last = if self.sign("-") { self.day()? } else { first };
            let mut day = first;
            // `fri-mon` goes over the weekend.
            loop {
                days |= 1 << day;
                if day == last {
                    break;
                }
                day = (day + 1) % 7;
            }
            if !self.sign(",") {
                return Ok(Weekdays(days));
            }
        }
    }

    fn day(&mut self) -> Result<usize, ParseError> {
        self.skip_blanks();
        let start = self.at;
        let word = self.word().to_ascii_lowercase();
        let is_it = |name: &str| word.starts_with(name) && is_a_day(&word);
        DAYS.iter()
            .position(|name| is_it(name))
            .ok_or_else(|| self.error_at(start, "write days as `mon-fri` or `sat,sun`"))
    }

    /// Letters, digits and underlines; a hyphen only inside of `four-hour`.
    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let mut length = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        if rest.get(..length).is_some_and(|word| word.eq_ignore_ascii_case("four"))
            && rest.get(length..length + 5).is_some_and(|more| more.eq_ignore_ascii_case("-hour"))
        {
            length += 5;
        }
        let (word, _) = rest.split_at(length);
        self.at += length;
        word
    }

    /// Whether this word is next, and nothing that only begins with it.
    fn keyword(&mut self, keyword: &str) -> bool {
        self.skip_blanks();
        let before = self.at;
        if self.word().eq_ignore_ascii_case(keyword) {
            return true;
        }
        self.at = before;
        false
    }

    fn sign(&mut self, sign: &str) -> bool {
        self.skip_blanks();
        let is_next = self.rest().starts_with(sign);
        if is_next {
            self.at += sign.len();
        }
        is_next
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn no_condition(&self, start: usize, word: &str) -> ParseError {
        let known = "`day`, `four_hour`, `month`, `balance`, `before`, `after` or `weekday`";
        let message = match word {
            "" if self.rest().is_empty() => {
                format!("a condition is missing here: it begins with {known}")
            }
            "" => format!("a condition begins with {known}"),
            "chute" => "a chute's own quota cannot be asked for here".to_owned(),
            word => format!("`{word}` is unknown here: a condition begins with {known}"),
        };
        self.error_at(start, message)
    }

    fn error(&mut self, message: impl Into<String>) -> ParseError {
        self.skip_blanks();
        self.error_at(self.at, message)
    }

    fn error_at(&self, at: usize, message: impl Into<String>) -> ParseError {
        let before = self.text.get(..at).unwrap_or(self.text);
        ParseError { position: before.chars().count() + 1, message: message.into() }
    }
}

fn missing_amount(figure: Figure) -> &'static str {
    match figure {
        Figure::Window(WindowKind::Day | WindowKind::Chute) => {
            "an amount is missing here, such as `500` or `20%`"
        }
        // In double quotes a shell takes `$2` for its own.
        Figure::Window(_) => {
            "an amount is missing here, such as `20%` or `$2`; a `$` needs single quotes around the whole, or write `2usd`"
        }
        Figure::Balance => {
            "an amount is missing here, such as `$2`; a `$` needs single quotes around the whole, or write `2usd`"
        }
    }
}

fn permille(number: &str) -> Option<u32> {
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let tenth = (tenth.len() == 1).then(|| tenth.parse::<u32>().ok()).flatten()?;
    let permille = whole.parse::<u32>().ok()?.checked_mul(10)?.checked_add(tenth)?;
    (permille <= 1_000).then_some(permille)
}

fn is_a_day(word: &str) -> bool {
    const WHOLE: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    word.len() >= 3 && WHOLE.iter().any(|whole| whole.starts_with(word))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Expression, ParseError> {
        text.parse()
    }

    #[test]
    fn what_is_written_is_read_and_written_again() {
        for text in [
            "day>20% and before=16:00",
            "day>500",
            "day>=0.1",
            "balance>=$2",
            "four_hour>20.5%",
            "month<$12.345678901",
            "weekday=mon-fri",
            "weekday=mon,tue",
            "weekday=mon-wed,fri,sun",
            "not day<10% or after=22:00 and balance>$0",
            "(day>1 or day<1) and not (before=24:00 and after=00:00)",
            "day>1 and (day>2 and day>3)",
        ] {
            assert_eq!(read(text).map(|read| read.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn there_are_other_ways_to_write_it() {
        for (text, same) in [
            ("DAY > 20 %  AND  before = 9:05", "day>20% and before=09:05"),
            ("4h>=2usd", "four_hour>=$2"),
            ("four-hour<$ 0.50", "four_hour<$0.5"),
            ("weekday=Friday-mon", "weekday=mon,fri-sun"),
            ("((day>1))", "day>1"),
            ("not(day>1)", "not day>1"),
        ] {
            assert_eq!(read(text).map(|read| read.to_string()), Ok(same.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, position, told) in [
            ("", 1, "a condition is missing"),
            ("day", 4, "`>=`"),
            ("day>", 5, "`500` or `20%`"),
            ("balance>=", 10, "single quotes"),
            ("balance>=2", 10, "`$2`"),
            ("balance>20%", 9, "no cap"),
            ("four_hour>2", 11, "`$2` for dollars or `2%`"),
            ("day>$2", 5, "request units"),
            ("day>120%", 5, "0 to 100"),
            ("day>1.2.3", 5, "no number"),
            ("day>20% und day>1", 9, "`and` or `or`"),
            ("day>20% and", 12, "a condition is missing"),
            ("(day>20%", 9, "`)`"),
            ("day>20%)", 8, "no `(`"),
            ("before=25:00", 8, "`16:00`"),
            ("before 16:00", 8, "`=`"),
            ("weekday=funday", 9, "`mon-fri`"),
            ("week>1", 1, "`week` is unknown here"),
            ("chute>1", 1, "own quota"),
            ("é>1", 1, "a condition begins with"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.position, position, "{text}: {error}");
            assert!(error.message.contains(told), "{text}: {error}");
        }
        assert!(read(&"(".repeat(500)).unwrap_err().message.contains("too many"));
        assert!(read(&"not ".repeat(240)).unwrap_err().message.contains("too many"));
        assert!(read(&"x".repeat(5_000)).unwrap_err().message.contains("longer"));
    }

    fn any_condition() -> impl Strategy<Value = Condition> {
        let comparison = prop_oneof![
            Just(Comparison::More),
            Just(Comparison::AtLeast),
            Just(Comparison::Less),
            Just(Comparison::AtMost)
        ];
        let window =
            prop_oneof![Just(WindowKind::Day), Just(WindowKind::FourHour), Just(WindowKind::Month)];
        let amount = 0_i64..100_000_000_000;
        let figure = (window, any::<bool>(), amount.clone(), 0_u32..=1_000).prop_map(
            |(kind, share, amount, permille)| {
                let absolute = match kind {
                    WindowKind::Day => Amount::Units(amount),
                    _ => Amount::Usd(amount),
                };
                let amount = if share { Amount::Permille(permille) } else { absolute };
                (Figure::Window(kind), amount)
            },
        );
        let balance = amount.prop_map(|amount| (Figure::Balance, Amount::Usd(amount)));
        let remains = (comparison, prop_oneof![figure, balance]).prop_map(
            |(comparison, (figure, amount))| Condition::Remains(figure, comparison, amount),
        );
        let time = (0_u16..=24 * 60).prop_map(TimeOfDay);
        prop_oneof![
            remains,
            time.clone().prop_map(Condition::Before),
            time.prop_map(Condition::After),
            (1_u8..128).prop_map(|days| Condition::Weekday(Weekdays(days))),
        ]
    }

    pub(in crate::schedule) fn any_expression() -> impl Strategy<Value = Expression> {
        any_condition().prop_map(Expression::Is).prop_recursive(4, 16, 2, |inner| {
            let pair = (inner.clone(), inner.clone());
            prop_oneof![
                inner.prop_map(|inner| Expression::Not(Box::new(inner))),
                pair.clone().prop_map(|(left, right)| Expression::And(left.into(), right.into())),
                pair.prop_map(|(left, right)| Expression::Or(left.into(), right.into())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".{0,200}") {
            let _ = read(&text);
        }

        #[test]
        fn nothing_made_of_its_own_words_breaks_the_reader(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "day", "four_hour", "four-", "4h", "month", "balance", "before", "after", "weekday", "=", ">", ">=",
                    "<", "$", "%", "20", "1.5", "16:00", ":", "mon", "-", ",", "fri", "and", "or", "not", "(", ")", " ", "usd", "é",
                ]),
                0..40,
            )
        ) {
            let text = words.concat();
            if let Ok(expression) = read(&text) {
                prop_assert_eq!(read(&expression.to_string()), Ok(expression));
            }
        }

        #[test]
        fn every_expression_is_read_as_it_was_written(expression in any_expression()) {
            prop_assert_eq!(read(&expression.to_string()), Ok(expression));
        }
    }
}
