//! The state of the emulated service behind one lock.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accounts::Account,
    clock::{self, Clock},
    credentials::{Key, Token},
    identity::Code,
    ids,
    log::Log,
    models::Model,
    scenario::{Lag, Scenario},
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
    pub(crate) generation: u64,
    random: u64,
    ids: u64,
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

    /// Back to the scenario, the clock too.
    pub(crate) fn reset(&self) {
        let mut state = self.state();
        let generation = state.generation + 1;
        self.clock.restart();
        *state = State::new(&self.scenario, self.now(), generation);
    }

    /// A fresh identifier of 32 hex digits, the same in every run.
    pub(crate) fn next_id(&self) -> String {
        let mut state = self.state();
        state.ids += 1;
        ids::hex32("fresh", &format!("{}/{}/{}", self.scenario.seed, state.generation, state.ids))
    }
}
