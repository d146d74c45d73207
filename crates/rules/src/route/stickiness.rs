//! Which account and model served the same beginning of a prompt: it is cached there, and cheaper and faster.

use crate::time::Mono;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Of the beginning of a prompt: what all requests of one conversation have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);

/// Who served it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The link, by its key.
    pub link: Arc<str>,
    /// The account.
    pub account: usize,
}

/// The beginnings that were served of late.
#[derive(Debug, Default)]
pub struct Stickiness {
    served: HashMap<Fingerprint, (Stuck, Mono)>,
}

/// Caches of prefixes do not last longer.
const REMEMBERED: Duration = Duration::from_secs(900);
/// So many conversations are known at once.
const MANY: usize = 4_096;

impl Stickiness {
    /// Who served this beginning last, if that is not long ago.
    #[must_use]
    pub fn of(&self, beginning: Fingerprint, now: Mono) -> Option<&Stuck> {
        let (stuck, at) = self.served.get(&beginning)?;
        (now.since(*at) <= REMEMBERED).then_some(stuck)
    }

    /// This beginning was served.
    pub fn served(&mut self, beginning: Fingerprint, stuck: Stuck, now: Mono) {
        if self.served.len() >= MANY && !self.served.contains_key(&beginning) {
            self.served.retain(|_, (_, at)| now.since(*at) <= REMEMBERED);
            if self.served.len() >= MANY {
                self.forget_older_half();
            }
        }
        self.served.insert(beginning, (stuck, now));
    }

    fn forget_older_half(&mut self) {
        let mut times: Vec<Mono> = self.served.values().map(|(_, at)| *at).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let (median, mut kept) = (*median, 0);
        self.served.retain(|_, (_, at)| {
            let stays = *at > median || (*at == median && kept < MANY / 2);
            kept += usize::from(stays);
            stays && kept <= MANY / 2
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    fn stuck(account: usize) -> Stuck {
        Stuck { link: "a/One".into(), account }
    }

    #[test]
    fn the_last_one_to_serve_is_known_for_a_while() {
        let mut book = Stickiness::default();
        book.served(Fingerprint(1), stuck(0), at(0));
        assert_eq!(book.of(Fingerprint(1), at(900)), Some(&stuck(0)));
        assert_eq!(book.of(Fingerprint(1), at(901)), None);
        assert_eq!(book.of(Fingerprint(2), at(0)), None);
        book.served(Fingerprint(1), stuck(1), at(800));
        assert_eq!(book.of(Fingerprint(1), at(1_000)), Some(&stuck(1)));
    }

    #[test]
    fn it_does_not_grow_and_keeps_the_newest() {
        let mut book = Stickiness::default();
        let many = u64::try_from(MANY).unwrap();
        for number in 0..3 * many {
            book.served(Fingerprint(number), stuck(0), at(number / 100));
            assert!(book.served.len() <= MANY);
        }
        assert!(book.of(Fingerprint(3 * many - 1), at(0)).is_some());
        // All at one moment.
        let mut book = Stickiness::default();
        for number in 0..2 * many {
            book.served(Fingerprint(number), stuck(0), at(0));
            assert!(book.served.len() <= MANY);
        }
        assert!(book.served.len() > MANY / 2);
    }
}
