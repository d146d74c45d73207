//! How each model stands: what the lists said of it, how old that is by now, and what own calls met since.
//!
//! What it comes to is decided in [`crate::model_state`]. A model that does not stand well is asked behind a sibling that
//! does, before it fails; one of which nothing is known is asked as ever.

use crate::cause::Cause;
use crate::model_state::{
    Because, LISTING_FRESH, Listing, ModelEvidence, ModelState, OWN_FRESH, OwnTraffic,
    UTILIZATION_FRESH, decide,
};
use crate::time::Mono;
use std::collections::HashMap;
use std::time::Duration;

/// What is known of every model.
#[derive(Clone, Debug, Default)]
pub struct HealthBook {
    lists: HashMap<String, Listed>,
    own: HashMap<String, (OwnTraffic, Mono)>,
}

#[derive(Clone, Copy, Debug)]
struct Listed {
    /// With ages as they were at `at`.
    evidence: ModelEvidence,
    at: Mono,
}

/// How a model stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is good for.
    pub state: ModelState,
    /// What decided that.
    pub because: Because,
}

/// When the lists are looked at: often while somebody asks, hardly ever else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookSettings {
    /// Between two looks at the loads while requests come.
    pub loads: Duration,
    /// Between two looks at the list while requests come.
    pub list: Duration,
    /// Requests come as long as the last one is not older.
    pub quiet_after: Duration,
    /// Between two looks while none come; `None` if nobody watches.
    pub watched: Option<Duration>,
}

/// When the lists were looked at, and when they will be.
#[derive(Clone, Copy, Debug)]
pub struct Looks {
    settings: LookSettings,
    loads: Look,
    list: Look,
    asked_at: Option<Mono>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Look {
    at: Option<Mono>,
    failures: u32,
}

/// Own traffic of at most so many models is kept.
const MANY_OWN: usize = 512;
/// The lists have some hundred models; more than this nobody serves.
const MANY_LISTED: usize = 10_000;
/// A list that cannot be read is asked for ever more rarely, at least this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

// === impl HealthBook ===

impl HealthBook {
    /// Takes over what was just read of some models. What a look did not tell stays as it was, and ages.
    pub fn learn(&mut self, now: Mono, models: impl IntoIterator<Item = (String, ModelEvidence)>) {
        for (model, evidence) in models.into_iter().take(MANY_LISTED) {
            let evidence = match self.lists.get(&model) {
                Some(known) => evidence.or_older(known.evidence_at(now)),
                None => evidence,
            };
            self.lists.insert(model, Listed { evidence, at: now });
        }
        self.lists.retain(|_, listed| {
            let evidence = listed.evidence_at(now);
            evidence.listing_age.is_some_and(|age| age <= LISTING_FRESH)
                || evidence.utilization_age.is_some_and(|age| age <= UTILIZATION_FRESH)
        });
    }

    /// What an own call met.
    pub fn met(&mut self, now: Mono, model: &str, traffic: OwnTraffic) {
        if self.own.len() >= MANY_OWN && !self.own.contains_key(model) {
            self.own.retain(|_, (_, at)| now.since(*at) <= OWN_FRESH);
            if self.own.len() >= MANY_OWN {
                self.own.clear();
            }
        }
        match self.own.get_mut(model) {
            Some(own) => *own = (traffic, now),
            None => {
                self.own.insert(model.to_owned(), (traffic, now));
            }
        }
    }

    /// How the model stands.
    #[must_use]
    pub fn standing(&self, now: Mono, model: &str) -> Standing {
        let mut evidence =
            self.lists.get(model).map(|listed| listed.evidence_at(now)).unwrap_or_default();
        evidence.own = self.own.get(model).map(|(traffic, at)| (*traffic, now.since(*at)));
        let (state, because) = decide(&evidence);
        Standing { state, because }
    }

    /// What the lists said of a model, with its age; `None` if none that is believed showed it.
    #[must_use]
    pub fn listed(&self, now: Mono, model: &str) -> Option<ModelEvidence> {
        let evidence = self.lists.get(model)?.evidence_at(now);
        evidence.listing_age.is_some_and(|age| age <= LISTING_FRESH).then_some(evidence)
    }

    /// When a list was read that shows the model up; `None` if the newest does not.
    #[must_use]
    pub fn listed_up_at(&self, model: &str) -> Option<Mono> {
        let listed = self.lists.get(model)?;
        let is_up =
            matches!(listed.evidence.listing, Listing::Present { hot: true, disabled: false });
        let is_new = listed.evidence.listing_age == Some(Duration::ZERO);
        (is_up && is_new).then_some(listed.at)
    }
}

impl Listed {
    fn evidence_at(&self, now: Mono) -> ModelEvidence {
        let since = now.since(self.at);
        let aged = |age: Option<Duration>| age.map(|age| age.saturating_add(since));
        ModelEvidence {
            listing_age: aged(self.evidence.listing_age),
            utilization_age: aged(self.evidence.utilization_age),
            ..self.evidence
        }
    }
}

impl ModelEvidence {
    /// This, and what it lacks from an older one.
    fn or_older(self, older: Self) -> Self {
        let mut merged = self;
        if self.listing == Listing::Unknown {
            merged.listing = older.listing;
            merged.listing_age = older.listing_age;
        }
        if self.utilization_age.is_none() {
            merged.utilization_age = older.utilization_age;
            merged.active_instances = older.active_instances;
            merged.utilization_permille = older.utilization_permille;
            merged.refused_permille = older.refused_permille;
        }
        merged
    }
}

impl OwnTraffic {
    /// What a failed call says of its model.
    #[must_use]
    pub const fn of_cause(cause: Cause) -> Option<Self> {
        match cause {
            Cause::Capacity => Some(Self::Capacity),
            Cause::Cold => Some(Self::NoInstances),
            Cause::Disabled => Some(Self::Disabled),
            _ => None,
        }
    }
}

// === impl Looks ===

impl Looks {
    /// Nothing looked at yet.
    #[must_use]
    pub fn new(settings: LookSettings) -> Self {
        Self { settings, loads: Look::default(), list: Look::default(), asked_at: None }
    }

    /// A request came. True if nobody had asked for a while, so that what is known is old.
    pub fn asked(&mut self, now: Mono) -> bool {
        let was_quiet = self.is_quiet(now);
        self.asked_at = Some(now);
        was_quiet
    }

    /// Whether the loads are due.
    #[must_use]
    pub fn loads_due(&self, now: Mono) -> bool {
        self.loads_at(now).is_some_and(|at| at <= now)
    }

    /// Whether the list is due.
    #[must_use]
    pub fn list_due(&self, now: Mono) -> bool {
        self.list_at(now).is_some_and(|at| at <= now)
    }

    /// When something is due; `None` if only after a request.
    #[must_use]
    pub fn next(&self, now: Mono) -> Option<Mono> {
        self.loads_at(now).into_iter().chain(self.list_at(now)).min()
    }

    /// The loads were looked at, well or not.
    pub fn saw_loads(&mut self, now: Mono, is_read: bool) {
        self.loads.saw(now, is_read);
    }

    /// The list was looked at, well or not.
    pub fn saw_list(&mut self, now: Mono, is_read: bool) {
        self.list.saw(now, is_read);
    }

    fn is_quiet(&self, now: Mono) -> bool {
        self.asked_at.is_none_or(|at| now.since(at) > self.settings.quiet_after)
    }

    fn loads_at(&self, now: Mono) -> Option<Mono> {
        self.loads.next(self.pause(now, self.settings.loads)?)
    }

    fn list_at(&self, now: Mono) -> Option<Mono> {
        self.list.next(self.pause(now, self.settings.list)?)
    }

    fn pause(&self, now: Mono, while_asked: Duration) -> Option<Duration> {
        match self.settings.watched {
            _ if !self.is_quiet(now) => {
                Some(self.settings.watched.map_or(while_asked, |watched| watched.min(while_asked)))
            }
            watched => watched,
        }
    }
}

impl Look {
    fn saw(&mut self, now: Mono, is_read: bool) {
        self.at = Some(now);
        self.failures = if is_read { 0 } else { self.failures.saturating_add(1) };
    }

    fn next(&self, pause: Duration) -> Option<Mono> {
        let longer = pause.saturating_mul(2_u32.saturating_pow(self.failures.min(10)));
        let pause = longer.min(LONGEST_PAUSE.max(pause));
        Some(self.at.map_or(Mono::default(), |at| at.after(pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    fn listed(hot: bool) -> ModelEvidence {
        ModelEvidence {
            listing: Listing::Present { hot, disabled: false },
            listing_age: Some(Duration::ZERO),
            ..Default::default()
        }
    }

    fn loaded(refused_permille: u64) -> ModelEvidence {
        ModelEvidence {
            refused_permille: Some(refused_permille),
            utilization_age: Some(Duration::from_secs(10)),
            ..Default::default()
        }
    }

    fn book(now: u64, evidence: ModelEvidence) -> HealthBook {
        let mut book = HealthBook::default();
        book.learn(at(now), [("m".to_owned(), evidence)]);
        book
    }

    #[test]
    fn what_the_lists_said_ages_until_it_says_nothing() {
        let book = book(0, listed(false));
        assert_eq!(book.standing(at(300), "m").state, ModelState::Cold);
        assert_eq!(book.standing(at(301), "m").state, ModelState::Unknown);
        assert_eq!(book.standing(at(0), "other").state, ModelState::Unknown);
    }

    #[test]
    fn what_one_look_does_not_tell_stays_known_from_the_other() {
        let mut book = book(0, listed(true));
        book.learn(at(60), [("m".to_owned(), loaded(500))]);
        assert_eq!(book.standing(at(60), "m").because, Because::Refusals);
        book.learn(at(200), [("m".to_owned(), listed(true))]);
        assert_eq!(book.standing(at(200), "m").because, Because::Refusals);
        // The row is 10 s older than its reading.
        assert_eq!(book.standing(at(60 + 290), "m").because, Because::Refusals);
        assert_eq!(book.standing(at(60 + 291), "m").state, ModelState::Hot);
        // What nobody lists any more is forgotten.
        book.learn(at(900), []);
        assert!(book.lists.is_empty());
    }

    #[test]
    fn own_calls_are_newer_than_the_list() {
        let mut book = book(0, listed(true));
        book.met(at(10), "m", OwnTraffic::NoInstances);
        assert_eq!(book.standing(at(11), "m").state, ModelState::Cold);
        book.learn(at(20), [("m".to_owned(), listed(true))]);
        assert_eq!(book.standing(at(20), "m").state, ModelState::Hot);
        book.met(at(30), "m", OwnTraffic::Capacity);
        assert_eq!(book.standing(at(30), "m").state, ModelState::Busy);
        book.met(at(31), "m", OwnTraffic::Answered);
        assert_eq!(book.standing(at(31), "m").state, ModelState::Hot);
        // A list that lags behind does not make cold what has just answered.
        let mut book = self::book(40, listed(false));
        book.met(at(50), "m", OwnTraffic::Answered);
        assert_eq!(book.standing(at(50), "m").because, Because::OwnAnswered);
        book.learn(at(60), [("m".to_owned(), listed(false))]);
        assert_eq!(book.standing(at(60), "m").state, ModelState::Cold);
    }

    #[test]
    fn a_model_is_up_as_of_the_list_that_shows_it() {
        let mut book = book(5, listed(false));
        assert_eq!(book.listed_up_at("m"), None);
        book.learn(at(10), [("m".to_owned(), listed(true))]);
        assert_eq!(book.listed_up_at("m"), Some(at(10)));
        // A row of load is no newer list.
        book.learn(at(20), [("m".to_owned(), loaded(0))]);
        assert_eq!(book.listed_up_at("m"), None);
    }

    #[test]
    fn own_traffic_does_not_grow_with_names_from_outside() {
        let mut book = HealthBook::default();
        for name in 0..5_000_u64 {
            book.met(at(name / 10), &name.to_string(), OwnTraffic::Capacity);
            assert!(book.own.len() <= MANY_OWN);
        }
        assert_eq!(book.standing(at(499), "4999").state, ModelState::Busy);
    }

    const SETTINGS: LookSettings = LookSettings {
        loads: Duration::from_secs(30),
        list: Duration::from_secs(60),
        quiet_after: Duration::from_secs(300),
        watched: None,
    };

    #[test]
    fn lists_are_looked_at_while_somebody_asks() {
        let mut looks = Looks::new(SETTINGS);
        assert_eq!(looks.next(at(0)), None);
        assert!(looks.asked(at(100)) && !looks.asked(at(101)));
        assert!(looks.loads_due(at(101)) && looks.list_due(at(101)));
        looks.saw_loads(at(101), true);
        looks.saw_list(at(101), true);
        assert_eq!(looks.next(at(101)), Some(at(131)));
        assert!(looks.loads_due(at(131)) && !looks.list_due(at(131)));
        assert!(looks.list_due(at(161)));
        // Quiet.
        assert_eq!(looks.next(at(402)), None);
        assert!(looks.asked(at(500)));
    }

    #[test]
    fn watched_models_are_looked_at_all_the_time() {
        let watched = Some(Duration::from_secs(300));
        let mut looks = Looks::new(LookSettings { watched, ..SETTINGS });
        assert!(looks.list_due(at(0)));
        looks.saw_list(at(0), true);
        looks.saw_loads(at(0), true);
        assert_eq!(looks.next(at(1)), Some(at(300)));
        looks.asked(at(10));
        assert_eq!(looks.next(at(10)), Some(at(30)));
        // Who wants to look more often than that may.
        let often = Some(Duration::from_millis(50));
        let mut looks = Looks::new(LookSettings { watched: often, ..SETTINGS });
        looks.saw_list(at(1), true);
        looks.asked(at(1));
        assert!(looks.list_due(at(2)));
    }

    #[test]
    fn a_list_that_cannot_be_read_is_asked_for_more_and_more_rarely() {
        let mut looks = Looks::new(SETTINGS);
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..6 {
            looks.asked(at(now));
            looks.saw_list(at(now), false);
            looks.saw_loads(at(now + 1_000), true);
            let next = looks.list_at(at(now)).unwrap().since(at(now)).as_secs();
            pauses.push(next);
            now += next;
        }
        assert_eq!(pauses, [120, 240, 300, 300, 300, 300]);
        looks.saw_list(at(now), true);
        assert_eq!(looks.list_at(at(now)), Some(at(now + 60)));
    }
}
