//! Whether an event that was not taken is sent again, and when (Standard Webhooks 1.0.0, "Deliverability and
//! reliability" and "Delivery success and failure").

use std::time::Duration;

/// What came of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// A 2xx: taken.
    Taken,
    /// A 410: whoever is there wants no more events.
    Gone,
    /// A 3xx, which is not followed: the address has to be mended.
    Redirected,
    /// Another status, and how long it asks to be left alone.
    Refused(Option<Duration>),
    /// No answer.
    Silent,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextTry {
    /// Nothing: it was taken.
    Done,
    /// Send it again after this time.
    After(Duration),
    /// Let it be.
    GiveUp,
    /// Send nothing more at all.
    Stop,
}

/// How often an event is sent.
pub const MOST_TRIES: u32 = 5;
/// Whoever asks to be left alone for longer does not get this event: sooner would be rude, later is useless.
pub const LONGEST_WAIT: Duration = Duration::from_secs(900);

/// The pauses after the first try, the second and so on: five minutes in all.
const PAUSES_SECONDS: [u64; MOST_TRIES as usize - 1] = [5, 20, 75, 200];

/// What follows from the answer to try number `tried`, counted from 1. `jitter_permille` is a random number below 1000;
/// by it two who failed together do not come back together.
#[must_use]
pub fn next_try(tried: u32, answered: Answered, jitter_permille: u64) -> NextTry {
    let asked = match answered {
        Answered::Taken => return NextTry::Done,
        Answered::Gone => return NextTry::Stop,
        Answered::Redirected => return NextTry::GiveUp,
        Answered::Refused(asked) => asked.unwrap_or_default(),
        Answered::Silent => Duration::ZERO,
    };
    let place = usize::try_from(tried.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(&seconds) = PAUSES_SECONDS.get(place) else { return NextTry::GiveUp };
    if asked > LONGEST_WAIT {
        return NextTry::GiveUp;
    }
    // Up to a fifth longer, never shorter than what was asked for.
    let pause = Duration::from_millis(seconds * (1_000 + jitter_permille.min(999) / 5));
    NextTry::After(pause.max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_tries_in_about_five_minutes() {
        let mut waited = Duration::ZERO;
        let mut tried = 1;
        while let NextTry::After(pause) = next_try(tried, Answered::Silent, 500) {
            waited += pause;
            tried += 1;
        }
        assert_eq!(tried, MOST_TRIES);
        assert!((300..=360).contains(&waited.as_secs()), "{waited:?}");
    }

    #[test]
    fn the_answer_decides() {
        assert_eq!(next_try(1, Answered::Taken, 0), NextTry::Done);
        assert_eq!(next_try(5, Answered::Taken, 0), NextTry::Done);
        assert_eq!(next_try(1, Answered::Gone, 0), NextTry::Stop);
        assert_eq!(next_try(1, Answered::Redirected, 0), NextTry::GiveUp);
        assert_eq!(next_try(0, Answered::Refused(None), 0), NextTry::After(Duration::from_secs(5)));
    }

    #[test]
    fn who_asks_for_time_gets_it_within_reason() {
        let asked = |seconds| next_try(1, Answered::Refused(Some(Duration::from_secs(seconds))), 0);
        assert_eq!(asked(120), NextTry::After(Duration::from_secs(120)));
        assert_eq!(asked(1), NextTry::After(Duration::from_secs(5)), "our own pause is longer");
        assert_eq!(asked(901), NextTry::GiveUp);
    }
}
