//! Circuits: what fails again and again is left alone for a while, then tried by one attempt at a time, and used as
//! ever from the first one that works.
//!
//! A circuit says nothing of *why*; who may not pass waits in the queue or goes elsewhere. It never stays open for good:
//! every pause ends, and then somebody may try.

use crate::cause::{Cause, Failure, Origin, Phase, classify};
use crate::time::Mono;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitLimits {
    /// Failures in a row that open it.
    pub failures: u32,
    /// The first pause; it doubles with each probe that fails.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// A probe that has not been heard of for so long is lost, and another one may try.
    pub probe: Duration,
}

/// What an attempt says about a circuit that it passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It works.
    Works,
    /// It does not.
    Fails,
    /// Neither: the client left, or the answer was about something else.
    Nothing,
}

/// Leave to pass a circuit. What comes of it has to be told with [`Circuits::heard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The number of the probe, if it is one.
    probe: Option<u64>,
}

/// The circuits of one kind: those of models, or those of accounts.
#[derive(Clone, Debug)]
pub struct Circuits<K> {
    limits: CircuitLimits,
    /// Only those of which something bad was heard: a circuit that is not here is closed.
    circuits: HashMap<K, Circuit>,
    probes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    Closed { failures: u32, last: Mono },
    Open { until: Mono, pauses: u32 },
    Probing { since: Mono, pauses: u32, probe: u64 },
}

/// Failures that lie so far apart are not in a row.
const MEMORY: Duration = Duration::from_secs(60);
/// From this many circuits on, the closed ones are forgotten; and if that is not enough, those that open first.
const MANY_CIRCUITS: usize = 1_024;
/// Who finds a probe under way looks again after half the time that it has taken so far, within these.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

impl Default for CircuitLimits {
    fn default() -> Self {
        Self {
            failures: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            probe: Duration::from_secs(200),
        }
    }
}

impl Heard {
    /// What a failure says about the model that was asked for.
    #[must_use]
    pub fn of_model(failure: &Failure) -> Self {
        match classify(failure) {
            Cause::Capacity | Cause::Silent | Cause::BrokenStream => Self::Fails,
            Cause::Transient if failure.phase > Phase::Connect => Self::Fails,
            // The engine has looked at the request.
            Cause::ContextTooLong | Cause::ContentFilter | Cause::BadRequest => Self::Works,
            // Cold and disabled models rest, which says more. The rest is of accounts, keys and the way there.
            _ => Self::Nothing,
        }
    }

    /// What a failure says about the way to the service for an account.
    #[must_use]
    pub fn of_account(failure: &Failure) -> Self {
        match (classify(failure), failure.origin) {
            // Rests say more of these.
            (Cause::EdgeRateLimit | Cause::WindowUsedUp(_) | Cause::DeadKey, _) => Self::Nothing,
            (Cause::Unreachable, _) => Self::Fails,
            (_, Origin::Application) => Self::Works,
            (Cause::EdgeBlock, _) => Self::Fails,
            (Cause::Transient, Origin::Edge) => Self::Fails,
            (Cause::Transient, Origin::Transport) if failure.phase == Phase::Connect => Self::Fails,
            (_, Origin::Edge | Origin::Transport) => Self::Nothing,
        }
    }
}

// === impl Circuits ===

impl<K: Eq + Hash + Clone> Circuits<K> {
    /// All closed.
    #[must_use]
    pub fn new(limits: CircuitLimits) -> Self {
        Self { limits, circuits: HashMap::new(), probes: 0 }
    }

    /// From when on an attempt may pass; `None` if at once.
    pub fn not_before<Q>(&self, key: &Q, now: Mono) -> Option<Mono>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.circuits.get(key)?.not_before(&self.limits, now)
    }

    /// Whether others should be asked first: it is open, and nobody is wanted for a probe.
    pub fn is_open<Q>(&self, key: &Q, now: Mono) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.not_before(key, now).is_some()
    }

    /// An attempt wants to begin.
    ///
    /// # Errors
    /// If it may not: when to ask again.
    pub fn pass(&mut self, key: &K, now: Mono) -> Result<Passage, Mono> {
        let Some(circuit) = self.circuits.get_mut(key) else {
            return Ok(Passage { probe: None });
        };
        if let Some(at) = circuit.not_before(&self.limits, now) {
            return Err(at);
        }
        match *circuit {
            Circuit::Closed { .. } => Ok(Passage { probe: None }),
            Circuit::Open { pauses, .. } | Circuit::Probing { pauses, .. } => {
                self.probes += 1;
                *circuit = Circuit::Probing { since: now, pauses, probe: self.probes };
                Ok(Passage { probe: Some(self.probes) })
            }
        }
    }

    /// What came of an attempt that passed. Whether the circuit is closed by it, so that whoever waits for the probe may go.
    pub fn heard(&mut self, key: &K, passage: Passage, heard: Heard, now: Mono) -> bool {
        match heard {
            Heard::Works => {
                let circuit = self.circuits.remove(key);
                return circuit.is_some_and(|circuit| !matches!(circuit, Circuit::Closed { .. }));
            }
            Heard::Fails => {
                self.clear_out(now);
                let fresh = Circuit::Closed { failures: 0, last: now };
                let circuit = self.circuits.entry(key.clone()).or_insert(fresh);
                circuit.fail(&self.limits, passage, now);
            }
            Heard::Nothing => {
                if let Some(circuit) = self.circuits.get_mut(key)
                    && let Circuit::Probing { pauses, probe, .. } = *circuit
                    && passage.probe == Some(probe)
                {
                    *circuit = Circuit::Open { until: now, pauses };
                }
            }
        }
        false
    }

    /// Those that are not closed, in no order.
    pub fn open(&self) -> impl Iterator<Item = &K> {
        let is_open = |circuit: &Circuit| !matches!(circuit, Circuit::Closed { .. });
        self.circuits.iter().filter(move |(_, circuit)| is_open(circuit)).map(|(key, _)| key)
    }

    /// Names come from outside, so the circuits must not grow with them.
    fn clear_out(&mut self, now: Mono) {
        if self.circuits.len() < MANY_CIRCUITS {
            return;
        }
        self.circuits.retain(|_, circuit| match *circuit {
            Circuit::Closed { last, .. } => now.since(last) <= MEMORY,
            Circuit::Open { until, .. } => now.since(until) <= MEMORY,
            Circuit::Probing { .. } => true,
        });
        if self.circuits.len() >= MANY_CIRCUITS {
            self.circuits.retain(|_, circuit| matches!(circuit, Circuit::Probing { .. }));
        }
        if self.circuits.len() >= MANY_CIRCUITS {
            self.circuits.clear();
        }
    }
}

impl Circuit {
    fn not_before(&self, limits: &CircuitLimits, now: Mono) -> Option<Mono> {
        match *self {
            Self::Closed { .. } => None,
            Self::Open { until, .. } => (until > now).then_some(until),
            Self::Probing { since, .. } => {
                let lost = since.after(limits.probe);
                let (shortest, longest) = LOOK_AGAIN;
                let again = now.after((now.since(since) / 2).clamp(shortest, longest));
                (lost > now).then(|| again.min(lost))
            }
        }
    }

    fn fail(&mut self, limits: &CircuitLimits, passage: Passage, now: Mono) {
        *self = match *self {
            Self::Closed { failures, last } => {
                let failures =
                    if now.since(last) > MEMORY { 1 } else { failures.saturating_add(1) };
                if failures >= limits.failures {
                    Self::Open { until: now.after(limits.pause(0)), pauses: 1 }
                } else {
                    Self::Closed { failures, last: now }
                }
            }
            Self::Probing { pauses, probe, .. } if passage.probe == Some(probe) => Self::Open {
                until: now.after(limits.pause(pauses)),
                pauses: pauses.saturating_add(1),
            },
            // It was under way before the circuit opened: the same bad moment.
            unchanged => unchanged,
        };
    }
}

impl CircuitLimits {
    fn pause(&self, before: u32) -> Duration {
        self.first_pause
            .saturating_mul(2_u32.saturating_pow(before.min(20)))
            .min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Says;
    use crate::recover::samples::{edge_limit, failure, seconds};
    use proptest::prelude::*;

    const LIMITS: CircuitLimits = CircuitLimits {
        failures: 3,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(4),
        probe: Duration::from_secs(30),
    };

    fn failed(circuits: &mut Circuits<u8>, now: u64) {
        let passage = circuits.pass(&0, seconds(now)).unwrap();
        circuits.heard(&0, passage, Heard::Fails, seconds(now));
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_probe_through() {
        let mut circuits = Circuits::new(LIMITS);
        (0..3).for_each(|_| failed(&mut circuits, 0));
        assert_eq!(circuits.pass(&0, seconds(0)), Err(seconds(1)));
        assert!(circuits.is_open(&0, seconds(0)) && !circuits.is_open(&1, seconds(0)));
        assert!(!circuits.is_open(&0, seconds(1)), "somebody is wanted for a probe");
        let probe = circuits.pass(&0, seconds(1)).unwrap();
        assert!(circuits.pass(&0, seconds(1)).is_err(), "one at a time");
        circuits.heard(&0, probe, Heard::Works, seconds(2));
        assert!(circuits.pass(&0, seconds(2)).is_ok() && circuits.pass(&0, seconds(2)).is_ok());
        assert_eq!(circuits.open().count(), 0);
    }

    #[test]
    fn the_pause_doubles_with_each_probe_that_fails() {
        let mut circuits = Circuits::new(LIMITS);
        (0..3).for_each(|_| failed(&mut circuits, 0));
        for (probe, next) in [(1, 3), (3, 7), (7, 11), (11, 15)] {
            assert!(circuits.is_open(&0, seconds(probe - 1)));
            failed(&mut circuits, probe);
            assert_eq!(circuits.not_before(&0, seconds(probe)), Some(seconds(next)));
        }
    }

    #[test]
    fn a_success_between_or_a_long_time_is_no_row() {
        let mut circuits = Circuits::new(LIMITS);
        for _ in 0..9 {
            failed(&mut circuits, 0);
            failed(&mut circuits, 0);
            let passage = circuits.pass(&0, seconds(0)).unwrap();
            circuits.heard(&0, passage, Heard::Works, seconds(0));
        }
        for round in 0..9 {
            failed(&mut circuits, round * 61);
        }
        assert!(!circuits.is_open(&0, seconds(8 * 61)));
    }

    #[test]
    fn a_probe_that_says_nothing_or_is_lost_makes_room_for_the_next() {
        let mut circuits = Circuits::new(LIMITS);
        (0..3).for_each(|_| failed(&mut circuits, 0));
        let probe = circuits.pass(&0, seconds(1)).unwrap();
        circuits.heard(&0, probe, Heard::Nothing, seconds(2));
        let lost = circuits.pass(&0, seconds(2)).unwrap();
        assert!(circuits.pass(&0, seconds(31)).is_err());
        let next = circuits.pass(&0, seconds(32)).unwrap();
        circuits.heard(&0, next, Heard::Works, seconds(33));
        // The lost one is one failure of a closed circuit, no more.
        circuits.heard(&0, lost, Heard::Fails, seconds(33));
        assert!(circuits.pass(&0, seconds(33)).is_ok());
    }

    #[test]
    fn what_was_under_way_when_it_opened_changes_nothing_unless_it_works() {
        let mut circuits = Circuits::new(LIMITS);
        let early = circuits.pass(&0, seconds(0)).unwrap();
        (0..3).for_each(|_| failed(&mut circuits, 0));
        circuits.heard(&0, early, Heard::Fails, seconds(0));
        circuits.heard(&0, early, Heard::Nothing, seconds(0));
        assert_eq!(circuits.not_before(&0, seconds(0)), Some(seconds(1)));
        circuits.heard(&0, early, Heard::Works, seconds(0));
        assert!(!circuits.is_open(&0, seconds(0)));
    }

    #[test]
    fn what_failures_say() {
        use Heard::{Fails, Nothing, Works};
        use Origin::{Application, Edge, Transport};
        let transport =
            |phase, says| Failure { phase, status: None, ..failure(0, Transport, says) };
        let table = [
            (failure(429, Application, Says::Capacity), Fails, Works),
            (failure(500, Application, Says::Nothing), Fails, Works),
            (failure(502, Edge, Says::Nothing), Fails, Fails),
            (failure(403, Edge, Says::Nothing), Nothing, Fails),
            (edge_limit(), Nothing, Nothing),
            (failure(402, Application, Says::SubscriptionCap), Nothing, Nothing),
            (failure(401, Application, Says::Nothing), Nothing, Nothing),
            (failure(503, Application, Says::NoInstances), Nothing, Works),
            (failure(400, Application, Says::ContextTooLong), Works, Works),
            (transport(Phase::Connect, Says::Nothing), Nothing, Fails),
            (transport(Phase::Connect, Says::Unreachable), Nothing, Fails),
            (transport(Phase::AwaitHead, Says::Nothing), Fails, Nothing),
            (transport(Phase::FirstEvent, Says::TimedOut), Fails, Nothing),
        ];
        for (failure, model, account) in table {
            let says = (Heard::of_model(&failure), Heard::of_account(&failure));
            assert_eq!(says, (model, account), "{failure:?}");
        }
    }

    #[test]
    fn circuits_do_not_grow_with_names_from_outside() {
        let mut circuits = Circuits::new(CircuitLimits { failures: 1, ..LIMITS });
        for name in 0..5_000_u64 {
            let passage = circuits.pass(&name, seconds(name / 100)).unwrap();
            circuits.heard(&name, passage, Heard::Fails, seconds(name / 100));
            assert!(circuits.circuits.len() <= MANY_CIRCUITS);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Begin,
        End(usize, Heard),
        Advance(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let heard = prop_oneof![
            4 => Just(Heard::Fails),
            1 => Just(Heard::Works),
            1 => Just(Heard::Nothing),
        ];
        prop_oneof![
            3 => Just(Step::Begin),
            3 => (any::<usize>(), heard).prop_map(|(which, heard)| Step::End(which, heard)),
            1 => (0_u64..20_000_000).prop_map(Step::Advance),
        ]
    }

    proptest! {
        /// From any history: once the upstream works, everybody passes after the pause and one probe, and there is never
        /// more than one probe within the time that a probe has.
        #[test]
        fn it_always_closes_again(steps in prop::collection::vec(step(), 1..200)) {
            let mut circuits = Circuits::new(LIMITS);
            let mut now = Mono::default();
            let mut under_way: Vec<(Passage, Mono)> = Vec::new();
            for step in steps {
                match step {
                    Step::Begin => if let Ok(passage) = circuits.pass(&0, now) {
                        if passage.probe.is_some() {
                            let others = under_way.iter().filter(|(other, since)| {
                                other.probe.is_some() && now.since(*since) < LIMITS.probe
                            });
                            prop_assert_eq!(others.count(), 0);
                        }
                        under_way.push((passage, now));
                    },
                    Step::End(which, heard) => if !under_way.is_empty() {
                        let (passage, _) = under_way.swap_remove(which % under_way.len());
                        circuits.heard(&0, passage, heard, now);
                        if heard == Heard::Works {
                            // What was a probe is an attempt like any other: the circuit is closed.
                            under_way.iter_mut().for_each(|(passage, _)| passage.probe = None);
                        }
                    },
                    Step::Advance(micros) => now = now.after(Duration::from_micros(micros)),
                }
            }
            let mut asked = 0;
            let began = now;
            let passage = loop {
                match circuits.pass(&0, now) {
                    Ok(passage) => break passage,
                    Err(at) => { prop_assert!(at > now); now = at; asked += 1; }
                }
                prop_assert!(asked < 100);
            };
            // At the worst a probe that nobody hears of.
            prop_assert!(now.since(began) <= LIMITS.probe + LIMITS.longest_pause);
            circuits.heard(&0, passage, Heard::Works, now);
            prop_assert!(circuits.pass(&0, now).is_ok() && circuits.pass(&0, now).is_ok());
        }
    }
}
