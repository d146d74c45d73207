//! A model as it is: its state, its instances, and what it was asked.

use crate::{
    catalogue::micros,
    faults::FaultList,
    ids,
    instances::Instance,
    scenario::Lag,
    specs::{ModelSpec, StateSpec},
};

/// A model as it is.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) spec: ModelSpec,
    pub(crate) chute_id: String,
    pub(crate) faults: FaultList,
    pub(crate) in_flight: u32,
    pub(crate) max_in_flight: u32,
    pub(crate) served: u64,
    pub(crate) refused: u64,
    pub(crate) instances: Vec<Instance>,
    /// What miners are offered for the first instance, and since when.
    pub(crate) bounty: Option<(u64, i64)>,
    /// Whether somebody asked for it while it was cold.
    pub(crate) asked_for: bool,
    /// The state before the last change, and when that was.
    changed: Option<(StateSpec, i64)>,
}

/// What a bounty starts at.
const FIRST_BOUNTY: u64 = 100;

fn fresh_instances(model: &str, count: u32) -> Vec<Instance> {
    (0..count)
        .map(|index| Instance {
            id: ids::uuid("instance", &format!("{model}/{index}")),
            ..Instance::default()
        })
        .collect()
}

impl Model {
    pub(crate) fn new(spec: &ModelSpec, now: i64) -> Self {
        Self {
            chute_id: ids::chute_id(&spec.name),
            faults: FaultList::new(&spec.faults, now),
            in_flight: 0,
            max_in_flight: 0,
            served: 0,
            refused: 0,
            instances: fresh_instances(&spec.name, spec.instances),
            bounty: (spec.state == StateSpec::Cold).then_some((FIRST_BOUNTY, now)),
            asked_for: false,
            changed: None,
            spec: spec.clone(),
        }
    }

    pub(crate) fn is_hot(&self) -> bool {
        matches!(self.spec.state, StateSpec::Hot | StateSpec::Busy) && self.running_instances() > 0
    }

    /// Instances that run, as the lists show them; a model that is switched off may have some.
    pub(crate) fn running_instances(&self) -> u32 {
        if self.spec.state == StateSpec::Cold || self.spec.unverified {
            return 0;
        }
        let standing = self.instances.iter().filter(|instance| !instance.deleted).count();
        u32::try_from(standing).unwrap_or(u32::MAX)
    }

    /// So many new instances.
    pub(crate) fn change_instances(&mut self, count: u32) {
        self.spec.instances = count;
        self.instances = fresh_instances(&self.spec.name, count);
    }

    pub(crate) fn change_state(&mut self, state: StateSpec, now: i64) {
        if self.spec.state != state {
            self.changed = Some((self.spec.state, now));
            self.spec.state = state;
            if state == StateSpec::Hot {
                self.instances = fresh_instances(&self.spec.name, self.spec.instances);
            }
            self.bounty = (state == StateSpec::Cold).then_some((FIRST_BOUNTY, now));
        }
    }

    /// The state as inference believes it: some changes show late.
    pub(crate) fn seen_state(&self, now: i64, lag: Lag) -> StateSpec {
        let state = self.spec.state;
        if self.running_instances() == 0 && state != StateSpec::Disabled {
            return StateSpec::Cold;
        }
        let Some((before, at)) = self.changed else { return state };
        let seconds = match (before, state) {
            (_, StateSpec::Disabled) | (StateSpec::Disabled, _) => lag.disabled_seconds,
            (StateSpec::Cold, _) => lag.cold_to_hot_seconds,
            _ => 0.0,
        };
        if (0..micros(seconds)).contains(&(now - at)) { before } else { state }
    }

    /// Asks for instances of a cold model; false when it has some.
    pub(crate) fn raise_bounty(&mut self, now: i64) -> bool {
        if self.spec.state != StateSpec::Cold {
            return false;
        }
        let (amount, since) = self.bounty.unwrap_or((0, now));
        // The first request after the start begins the wait for an instance.
        let since = if self.asked_for { since } else { now };
        self.asked_for = true;
        self.bounty = Some((amount + FIRST_BOUNTY / 10, since));
        true
    }

    /// Turns hot when its miners have had their time.
    pub(crate) fn settle(&mut self, now: i64) {
        let (Some(seconds), Some((_, since))) = (self.spec.warms_up_after_seconds, self.bounty)
        else {
            return;
        };
        let is_due = self.asked_for && now - since >= micros(seconds);
        if self.spec.state == StateSpec::Cold && is_due {
            self.asked_for = false;
            self.change_state(StateSpec::Hot, now);
        }
    }
}
