//! What the upstream is to see, and what it saw.

use crate::world::World;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// What the upstream is to see.
#[derive(Clone, Debug)]
pub(crate) enum Upstream {
    /// These requests and no other, in this order.
    Steps(Vec<Step>),
    /// So many requests, all answered in the same way.
    Times(RangeInclusive<usize>, &'static str, &'static str),
}

/// A request that the upstream is to see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    gap: Gap,
    who: &'static str,
    played: &'static str,
}

/// How long after the request before it.
#[derive(Clone, Copy, Debug)]
enum Gap {
    /// Without waiting for anything.
    AtOnce,
    /// After a pause with full jitter, which may be none.
    Pause,
    /// No sooner than so many milliseconds after the one before came in.
    NotBefore(u64),
}

/// A request that the upstream saw.
#[derive(Debug)]
pub(crate) struct Call {
    at: Instant,
    who: String,
    played: String,
}

pub(crate) const fn at_once(who: &'static str, played: &'static str) -> Step {
    Step { gap: Gap::AtOnce, who, played }
}

pub(crate) const fn paused(who: &'static str, played: &'static str) -> Step {
    Step { gap: Gap::Pause, who, played }
}

pub(crate) const fn not_before(ms: u64, who: &'static str, played: &'static str) -> Step {
    Step { gap: Gap::NotBefore(ms), who, played }
}

/// No step that says `at once` may take as long; the pauses that it tells apart are longer.
const AT_ONCE: Duration = Duration::from_millis(2_500);
// === impl Call ===

impl Call {
    /// What the upstream saw, whichever plays it.
    pub(crate) fn all(world: &World) -> Vec<Self> {
        if let Some(provider) = &world.provider {
            let calls = provider.seen().into_iter();
            return calls
                .map(|seen| Self { at: seen.at, who: seen.who, played: seen.played })
                .collect();
        }
        let start = Instant::now();
        let calls = world.upstream_calls().into_iter();
        calls
            .map(|entry| Self {
                at: start + Duration::from_micros(entry.started_micros.unsigned_abs() % (1 << 40)),
                who: match &*entry.key {
                    "unknown" => "a key that Chutes does not know".to_owned(),
                    key => key.trim_end_matches("/0").to_owned(),
                },
                played: entry.status.map_or("nothing".to_owned(), |status| status.to_string()),
            })
            .collect()
    }
}

// === impl Upstream ===

impl Upstream {
    pub(crate) fn fits(&self, calls: &[Call]) -> Result<(), String> {
        match self {
            Self::Times(times, who, played) => {
                let fits = |call: &Call| call.who == *who && call.played == *played;
                match calls.iter().find(|call| !fits(call)) {
                    Some(other) => Err(format!("an unexpected call: {other:?}")),
                    None if times.contains(&calls.len()) => Ok(()),
                    None => Err(format!("{} calls instead of {times:?}", calls.len())),
                }
            }
            Self::Steps(steps) => {
                if steps.len() != calls.len() {
                    return Err(format!("{} calls instead of {}", calls.len(), steps.len()));
                }
                let mut before: Option<Instant> = None;
                for (step, call) in steps.iter().zip(calls) {
                    step.fits(call, before)?;
                    before = Some(call.at);
                }
                Ok(())
            }
        }
    }

    /// As a cell of a table.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Times(times, who, played) => {
                format!("{} to {} times, {who}: {played}", times.start(), times.end())
            }
            Self::Steps(steps) if steps.is_empty() => "nothing".to_owned(),
            Self::Steps(steps) => {
                let words = steps.iter().enumerate().map(|(number, step)| {
                    let gap = match step.gap {
                        _ if number == 0 => String::new(),
                        Gap::AtOnce => "at once ".to_owned(),
                        Gap::Pause => "after a pause ".to_owned(),
                        Gap::NotBefore(ms) => format!("no sooner than {ms} ms later "),
                    };
                    format!("{gap}{}: {}", step.who, step.played)
                });
                words.collect::<Vec<_>>().join("; ")
            }
        }
    }
}

// === impl Step ===

impl Step {
    fn fits(&self, call: &Call, before: Option<Instant>) -> Result<(), String> {
        if call.who != self.who || call.played != self.played {
            return Err(format!("{call:?} instead of {self:?}"));
        }
        let Some(before) = before else { return Ok(()) };
        let gap = call.at.saturating_duration_since(before);
        match self.gap {
            Gap::AtOnce if gap > AT_ONCE => Err(format!("{gap:?} before {self:?}")),
            Gap::NotBefore(ms) if gap < Duration::from_millis(ms) => {
                Err(format!("only {gap:?} before {self:?}"))
            }
            Gap::AtOnce | Gap::Pause | Gap::NotBefore(_) => Ok(()),
        }
    }
}
