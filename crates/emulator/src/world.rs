//! The state of the emulated service behind one lock, and the guards that account for calls.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use parking_lot::{Mutex, MutexGuard};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accounts::{Account, Coverage, nano},
    catalogue::micros,
    clock::{self, Clock},
    credentials::{Key, Token},
    faults::{FaultKind, FaultList},
    identity::Code,
    ids,
    instances::Instance,
    log::{Ended, Log, LogEntry},
    quota::Tokens,
    scenario::{Lag, Scenario},
    specs::{ModelSpec, StateSpec},
};

/// The whole service.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) clock: Clock,
    state: Mutex<State>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) accounts: Vec<Account>,
    pub(crate) models: Vec<Model>,
    pub(crate) log: Log,
    keys: HashMap<String, (usize, usize)>,
    /// Where each model is, by name and by chute id.
    model_places: HashMap<String, usize>,
    pub(crate) tokens: Vec<Token>,
    /// Codes between `/idp/authorize` and `/idp/token`.
    pub(crate) codes: Vec<Code>,
    /// The minute, and the evidence calls of the whole platform in it.
    pub(crate) evidence_calls: (i64, u32),
    pub(crate) instance_evidence_calls: (i64, u32),
    /// Nonce, instance, account, and the Unix second at which it ends.
    pub(crate) end_to_end_nonces: Vec<(String, String, usize, i64)>,
    pub(crate) lag: Lag,
    pub(crate) seed: u64,
    /// Which reset this state belongs to: a call that outlives a reset books nothing.
    generation: u64,
    random: u64,
    ids: u64,
}

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
    asked_for: bool,
    /// The state before the last change, and when that was.
    changed: Option<(StateSpec, i64)>,
}

/// What a bounty starts at.
const FIRST_BOUNTY: u64 = 100;

fn fresh_instances(count: u32) -> Vec<Instance> {
    (0..count).map(|_| Instance::default()).collect()
}

impl Model {
    fn new(spec: &ModelSpec, now: i64) -> Self {
        Self {
            chute_id: ids::chute_id(&spec.name),
            faults: FaultList::new(&spec.faults, now),
            in_flight: 0,
            max_in_flight: 0,
            served: 0,
            refused: 0,
            instances: fresh_instances(spec.instances),
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
        self.instances = fresh_instances(count);
    }

    pub(crate) fn change_state(&mut self, state: StateSpec, now: i64) {
        if self.spec.state != state {
            self.changed = Some((self.spec.state, now));
            self.spec.state = state;
            if state == StateSpec::Hot {
                self.instances = fresh_instances(self.spec.instances);
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
    fn settle(&mut self, now: i64) {
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

impl State {
    fn new(scenario: &Scenario, now: i64, generation: u64) -> Self {
        let accounts: Vec<Account> =
            scenario.accounts.iter().map(|spec| Account::new(scenario, spec, now)).collect();
        let mut keys = HashMap::new();
        for (at, account) in accounts.iter().enumerate() {
            for index in 0..account.keys.len() {
                keys.insert(ids::api_key(&account.spec.name, index), (at, index));
            }
        }
        let tokens = accounts
            .iter()
            .enumerate()
            .flat_map(|(at, account)| {
                let name = account.spec.name.as_str();
                let tokens = account.spec.tokens.iter().enumerate();
                tokens.map(move |(index, spec)| Token::of_spec((at, name), index, spec, now))
            })
            .collect();
        let models: Vec<Model> = scenario.models.iter().map(|spec| Model::new(spec, now)).collect();
        let mut model_places = HashMap::new();
        for (at, model) in models.iter().enumerate() {
            model_places.insert(model.chute_id.clone(), at);
            model_places.insert(model.spec.name.clone(), at);
        }
        Self {
            accounts,
            tokens,
            model_places,
            lag: scenario.lag,
            seed: scenario.seed,
            codes: Vec::new(),
            evidence_calls: (0, 0),
            instance_evidence_calls: (0, 0),
            end_to_end_nonces: Vec::new(),
            models,
            log: Log::new(scenario.log_entries),
            keys,
            generation,
            random: scenario.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            ids: 0,
        }
    }

    /// The account and key number of a whole key that still counts.
    pub(crate) fn find_key(&self, key: &str, now: i64, lag_micros: i64) -> Option<(usize, usize)> {
        let (account, index) = *self.keys.get(key)?;
        self.accounts[account].keys[index].is_alive(now, lag_micros).then_some((account, index))
    }

    /// Gives an account another key and returns its whole text.
    pub(crate) fn add_key(&mut self, account: usize, key: Key) -> String {
        let index = self.accounts[account].keys.len();
        let text = ids::api_key(&self.accounts[account].spec.name, index);
        self.accounts[account].keys.push(key);
        self.keys.insert(text.clone(), (account, index));
        text
    }

    /// The place of an access token, whether or not it is still good.
    pub(crate) fn find_token(&self, access: &str) -> Option<usize> {
        self.tokens.iter().position(|token| token.access == access)
    }

    pub(crate) fn find_account(&self, name_or_id: &str) -> Option<usize> {
        self.accounts.iter().position(|a| a.spec.name == name_or_id || a.user_id == name_or_id)
    }

    pub(crate) fn find_model(&self, name_or_id: &str) -> Option<usize> {
        self.model_places.get(name_or_id).copied()
    }

    /// Whatever happens by itself as time goes on.
    pub(crate) fn settle(&mut self, now: i64) {
        for model in &mut self.models {
            if model.asked_for {
                model.settle(now);
            }
        }
    }

    /// A number that was not given before.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// A number below one million, from the seed.
    pub(crate) fn draw(&mut self) -> u64 {
        draw(&mut self.random)
    }

    /// The fault that hits a call: the account's before the model's.
    pub(crate) fn model_fault(&mut self, model: usize, now: i64) -> Option<crate::faults::Fault> {
        let random = &mut self.random;
        self.models[model].faults.hit(now, true, &mut || draw(random))
    }

    pub(crate) fn account_fault(
        &mut self,
        account: usize,
        inference: bool,
        now: i64,
    ) -> Option<crate::faults::Fault> {
        let random = &mut self.random;
        self.accounts[account].faults.hit(now, inference, &mut || draw(random))
    }
}

fn draw(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random % 1_000_000
}

impl World {
    pub(crate) fn new(mut scenario: Scenario) -> Arc<Self> {
        let given: HashSet<&str> = scenario.models.iter().map(|m| m.name.as_str()).collect();
        let mut made_up = scenario.catalogue.models(scenario.seed);
        made_up.retain(|model| !given.contains(model.name.as_str()));
        scenario.models.extend(made_up);
        let start = scenario.starts_at.as_deref().and_then(clock::parse_timestamp);
        let clock = Clock::starting_at(start.map(|(at, _)| at), scenario.clock_speed);
        let state = Mutex::new(State::new(&scenario, clock.now_micros(), 0));
        Arc::new(Self {
            scenario,
            clock,
            state,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now_micros()
    }

    /// Back to the scenario; the clock stays where it is.
    pub(crate) fn reset(&self) {
        let mut state = self.state();
        let generation = state.generation + 1;
        *state = State::new(&self.scenario, self.now(), generation);
    }

    /// A fresh identifier of 32 hex digits, the same in every run.
    pub(crate) fn next_id(&self) -> String {
        let mut state = self.state();
        state.ids += 1;
        ids::hex32("fresh", &format!("{}/{}/{}", self.scenario.seed, state.generation, state.ids))
    }
}

/// A request in the log; ends as `client_left` unless told otherwise.
#[derive(Debug)]
pub(crate) struct LogTicket {
    world: Arc<World>,
    id: u64,
    generation: u64,
    began: Instant,
    ended: bool,
}

impl LogTicket {
    pub(crate) fn open(world: &Arc<World>, entry: LogEntry) -> Self {
        let mut state = world.state();
        let (id, generation) = (state.log.push(entry), state.generation);
        drop(state);
        Self {
            world: Arc::clone(world),
            id,
            generation,
            began: clock::real_instant(),
            ended: false,
        }
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Changes the entry, if it is still there.
    pub(crate) fn note(&self, change: impl FnOnce(&mut LogEntry)) {
        let mut state = self.world.state();
        if state.generation == self.generation
            && let Some(entry) = state.log.get_mut(self.id)
        {
            change(entry);
        }
    }

    pub(crate) fn reference(&self) -> TicketReference {
        TicketReference { id: self.id, generation: self.generation }
    }

    /// Closes the entry.
    pub(crate) fn end(&mut self, ended: Ended) {
        if self.ended {
            return;
        }
        self.ended = true;
        let now = self.world.now();
        let took = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.note(|entry| {
            entry.ended = Some(ended);
            entry.ended_micros = Some(now);
            entry.took_micros = Some(took);
        });
    }
}

impl Drop for LogTicket {
    fn drop(&mut self) {
        self.end(Ended::ClientLeft);
    }
}

/// Which entry of the log a call belongs to, for who books it after the client has left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TicketReference {
    id: u64,
    generation: u64,
}

/// A call of a model by an account. Dropped without [`CallGuard::book`] it costs nothing.
#[derive(Debug)]
pub(crate) struct CallGuard {
    world: Arc<World>,
    generation: u64,
    account: usize,
    model: usize,
    coverage: Coverage,
    body_sha256: String,
    booked: bool,
}

impl CallGuard {
    /// Counts the call as running; with the state locked, as a part of admission.
    pub(crate) fn begin(
        world: &Arc<World>,
        state: &mut State,
        (account, model): (usize, usize),
        coverage: Coverage,
        body_sha256: &str,
    ) -> Self {
        let running = &mut state.accounts[account];
        running.in_flight += 1;
        running.max_in_flight = running.max_in_flight.max(running.in_flight);
        let running = &mut state.models[model];
        running.in_flight += 1;
        running.max_in_flight = running.max_in_flight.max(running.in_flight);
        Self {
            world: Arc::clone(world),
            generation: state.generation,
            account,
            model,
            coverage,
            body_sha256: body_sha256.to_owned(),
            booked: false,
        }
    }

    /// Books the call as a success at this moment, once.
    pub(crate) fn book(&mut self, tokens: Tokens, ticket: TicketReference) {
        if self.booked {
            return;
        }
        self.booked = true;
        let now = self.world.now();
        let mut state = self.world.state();
        if state.generation != self.generation {
            return;
        }
        let lag = self.world.scenario.lag;
        let State { accounts, models, .. } = &mut *state;
        let model = &mut models[self.model];
        model.served += 1;
        let charge = accounts[self.account].settle(
            &model.spec,
            &self.coverage,
            &self.body_sha256,
            tokens,
            now,
            lag,
        );
        if let Some(entry) = state.log.get_mut(ticket.id)
            && ticket.generation == self.generation
        {
            entry.milli_units = charge.milli_units;
            entry.paid_nano_usd = nano(charge.cost_pico);
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let mut state = self.world.state();
        if state.generation == self.generation {
            let account = &mut state.accounts[self.account];
            account.in_flight = account.in_flight.saturating_sub(1);
            let model = &mut state.models[self.model];
            model.in_flight = model.in_flight.saturating_sub(1);
        }
    }
}

/// A request as far as the log is concerned.
pub(crate) fn log_entry(started_micros: i64, method: &str, path: &str) -> LogEntry {
    LogEntry {
        id: 0,
        started_micros,
        ended_micros: None,
        took_micros: None,
        key: "none".to_owned(),
        account: None,
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body_sha256: None,
        body_bytes: 0,
        model: None,
        stream: false,
        status: None,
        ended: None,
        fault: None::<FaultKind>,
        side_effect: None,
        coverage: None,
        milli_units: 0,
        paid_nano_usd: 0,
        account_in_flight: 0,
        model_in_flight: 0,
    }
}
