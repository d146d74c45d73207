//! Hot, busy, cold, down or unknown (`chutes/api.md` 7).

use std::time::Duration;

/// What a model is good for right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelState {
    /// Instances are up and have room.
    Hot,
    /// Instances are up and full.
    Busy,
    /// Known, switched on, and nothing runs it.
    Cold,
    /// Switched off, or gone.
    Down,
    /// Not known. A look-up that failed is this, never [`ModelState::Down`].
    Unknown,
}

/// What a look-up of the chute list said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Listing {
    /// The look-up failed or is too old.
    #[default]
    Unknown,
    /// The list was read and the model is not in it.
    Absent,
    /// It is in the list.
    Present {
        /// Any instance active and verified.
        hot: bool,
        /// The operator's switch.
        disabled: bool,
    },
}

/// What an own call met, the newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnTraffic {
    /// A whole answer.
    Answered,
    /// 429 capacity.
    Capacity,
    /// 503 no instances.
    NoInstances,
    /// 503 disabled.
    Disabled,
}

/// Everything known about a model, each with its age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModelEvidence {
    /// The chute list.
    pub listing: Listing,
    /// The age of the chute list.
    pub listing_age: Option<Duration>,
    /// Active instances in the utilization table.
    pub active_instances: Option<u64>,
    /// Share of slots busy, in thousandths. `None` means no figure, not health.
    pub utilization_permille: Option<u64>,
    /// Share of calls refused for capacity over five minutes, in thousandths.
    pub refused_permille: Option<u64>,
    /// The age of the utilization row.
    pub utilization_age: Option<Duration>,
    /// What an own call met, and how long ago.
    pub own: Option<(OwnTraffic, Duration)>,
}

/// The reason for a state, in the order in which they decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The operator switched it off.
    Disabled,
    /// It is not in the catalogue.
    NotListed,
    /// An own call was refused for lack of instances.
    OwnNoInstances,
    /// An own call was refused for lack of capacity.
    OwnCapacity,
    /// An own call was answered.
    OwnAnswered,
    /// The list shows no instance active and verified.
    NoInstances,
    /// Many calls are refused for lack of capacity.
    Refusals,
    /// Nearly every slot is busy.
    Utilization,
    /// Instances are up.
    InstancesUp,
    /// Nothing fresh is known.
    NothingKnown,
}

/// A refusal rate above this is busy, in thousandths (`chutes/api.md` 7.2, a suggestion).
pub const BUSY_REFUSED_PERMILLE: u64 = 200;
/// A utilization above this is busy, in thousandths (`chutes/api.md` 7.2, a suggestion).
pub const BUSY_UTILIZATION_PERMILLE: u64 = 900;
/// A list older than this says nothing.
pub const LISTING_FRESH: Duration = Duration::from_secs(300);
/// A utilization row older than this says nothing.
pub const UTILIZATION_FRESH: Duration = Duration::from_secs(300);
/// An own refusal for capacity counts this long.
pub const OWN_CAPACITY_FRESH: Duration = Duration::from_secs(60);
/// An own 503, or an own answer, counts this long.
pub const OWN_FRESH: Duration = Duration::from_secs(120);

/// The state of a model, and what decided it.
#[must_use]
pub fn decide(evidence: &ModelEvidence) -> (ModelState, Because) {
    let fresh = |age: Option<Duration>, limit| age.is_some_and(|age| age <= limit);
    let mut listing = if fresh(evidence.listing_age, LISTING_FRESH) {
        evidence.listing
    } else {
        Listing::Unknown
    };
    // Own traffic beats a list that is older than it.
    if let Some((own, age)) = evidence.own
        && evidence.listing_age.is_none_or(|listing_age| age <= listing_age)
        && age <= OWN_FRESH
    {
        match own {
            OwnTraffic::Disabled => return (ModelState::Down, Because::Disabled),
            OwnTraffic::NoInstances => return (ModelState::Cold, Because::OwnNoInstances),
            OwnTraffic::Capacity | OwnTraffic::Answered => {
                // It answers, if only that it is full: a list that shows it down lags behind.
                if !matches!(listing, Listing::Present { hot: true, disabled: false }) {
                    listing = Listing::Unknown;
                }
            }
        }
    }
    match listing {
        Listing::Absent => return (ModelState::Down, Because::NotListed),
        Listing::Present { disabled: true, .. } => return (ModelState::Down, Because::Disabled),
        Listing::Present { hot: false, .. } => return (ModelState::Cold, Because::NoInstances),
        Listing::Present { hot: true, .. } | Listing::Unknown => {}
    }
    if let Some((OwnTraffic::Capacity, age)) = evidence.own
        && age <= OWN_CAPACITY_FRESH
    {
        return (ModelState::Busy, Because::OwnCapacity);
    }
    let row_is_fresh = fresh(evidence.utilization_age, UTILIZATION_FRESH);
    if row_is_fresh && evidence.refused_permille.is_some_and(|share| share > BUSY_REFUSED_PERMILLE)
    {
        return (ModelState::Busy, Because::Refusals);
    }
    if row_is_fresh
        && evidence.utilization_permille.is_some_and(|share| share > BUSY_UTILIZATION_PERMILLE)
    {
        return (ModelState::Busy, Because::Utilization);
    }
    if matches!(listing, Listing::Present { .. })
        || (row_is_fresh && evidence.active_instances > Some(0))
    {
        return (ModelState::Hot, Because::InstancesUp);
    }
    match evidence.own {
        Some((OwnTraffic::Answered, age)) if age <= OWN_FRESH => {
            (ModelState::Hot, Because::OwnAnswered)
        }
        _ => (ModelState::Unknown, Because::NothingKnown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Option<Duration> = Some(Duration::from_secs(1));

    fn listed(hot: bool, disabled: bool) -> ModelEvidence {
        ModelEvidence {
            listing: Listing::Present { hot, disabled },
            listing_age: NEW,
            ..Default::default()
        }
    }

    fn state(evidence: ModelEvidence) -> ModelState {
        decide(&evidence).0
    }

    #[test]
    fn the_list_decides_what_is_up() {
        assert_eq!(state(listed(true, false)), ModelState::Hot);
        assert_eq!(state(listed(false, false)), ModelState::Cold);
        // A disabled chute with instances shows `hot: true` (recordings, D22).
        assert_eq!(state(listed(true, true)), ModelState::Down);
    }

    #[test]
    fn a_failed_look_up_is_unknown_never_down() {
        assert_eq!(state(ModelEvidence::default()), ModelState::Unknown);
        let stale =
            ModelEvidence { listing_age: Some(Duration::from_secs(3_600)), ..listed(false, false) };
        assert_eq!(state(stale), ModelState::Unknown);
        let absent =
            ModelEvidence { listing: Listing::Absent, listing_age: NEW, ..Default::default() };
        assert_eq!(state(absent), ModelState::Down);
    }

    #[test]
    fn load_makes_it_busy_only_while_the_row_is_fresh() {
        let busy = ModelEvidence {
            refused_permille: Some(420),
            utilization_age: NEW,
            ..listed(true, false)
        };
        assert_eq!(decide(&busy), (ModelState::Busy, Because::Refusals));
        let old = ModelEvidence { utilization_age: Some(Duration::from_secs(900)), ..busy };
        assert_eq!(state(old), ModelState::Hot);
        let no_traffic = ModelEvidence { refused_permille: None, ..busy };
        assert_eq!(state(no_traffic), ModelState::Hot, "null ratios are no sign of trouble");
    }

    #[test]
    fn a_fresh_row_shows_instances_when_the_list_failed() {
        let row =
            ModelEvidence { active_instances: Some(2), utilization_age: NEW, ..Default::default() };
        assert_eq!(state(row), ModelState::Hot);
        assert_eq!(state(ModelEvidence { active_instances: Some(0), ..row }), ModelState::Unknown);
    }

    #[test]
    fn own_traffic_is_the_fastest_witness() {
        let own = |traffic, seconds| ModelEvidence {
            own: Some((traffic, Duration::from_secs(seconds))),
            listing_age: Some(Duration::from_secs(30)),
            ..listed(true, false)
        };
        assert_eq!(state(own(OwnTraffic::NoInstances, 5)), ModelState::Cold);
        assert_eq!(state(own(OwnTraffic::NoInstances, 31)), ModelState::Hot, "the list is newer");
        assert_eq!(state(own(OwnTraffic::Capacity, 5)), ModelState::Busy);
        assert_eq!(state(own(OwnTraffic::Capacity, 61)), ModelState::Hot);
        assert_eq!(state(own(OwnTraffic::Disabled, 5)), ModelState::Down);
    }
}
