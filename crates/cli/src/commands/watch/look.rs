//! Asks Chutes from time to time, and tells what is new.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ripcord_client::chutes::KeyStanding as Standing;
use ripcord_gateway::EventReport;
use ripcord_rules::events::{Event, KeyStanding, Watcher};
use ripcord_rules::quota::{AccountSnapshot, Readable, Readiness};
use ripcord_rules::time::Wall;

use crate::args::WatchArguments;
use crate::catalogue::Catalogue;
use crate::commands::model_health::not_found;
use crate::commands::serve;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::upstream::{Reading, Upstream};

/// The lists of models are large.
const LEAST_MODELS_GAP: Duration = Duration::from_secs(30);
/// A key that works is looked at this often, besides whenever an account cannot be read.
const KEYS_GAP: Duration = Duration::from_secs(900);

/// One watch.
pub(super) struct Look<'c> {
    context: &'c Context,
    upstream: Upstream,
    interval: Duration,
    models: Vec<String>,
    has_accounts: bool,
    watcher: Watcher,
    /// The accounts as far as they are known, by label.
    known: BTreeMap<String, AccountSnapshot>,
    /// When each was asked last.
    accounts_asked: Option<Wall>,
    models_asked: Option<Wall>,
    keys_asked: Option<Wall>,
    /// What could not be read at the last look, so that it is told once.
    troubles: BTreeSet<String>,
    is_first: bool,
    /// What is not told yet.
    news: VecDeque<EventReport>,
}

// === impl Look ===

impl<'c> Look<'c> {
    pub(super) fn new(
        arguments: &WatchArguments,
        context: &'c Context,
    ) -> Result<Self, CommandError> {
        let settings = &context.settings;
        let mut models = settings.models.watch.value.clone();
        models.extend(arguments.model.iter().cloned());
        let accounts = context.roster().usable();
        // Models can be watched without any key.
        if models.is_empty() || !context.selected.is_empty() {
            accounts.as_ref().map_err(Clone::clone)?;
        }
        if accounts.is_err() {
            context.printer.warn("no API key is configured; only models are watched");
        }
        Ok(Self {
            context,
            upstream: Upstream::new(context)?,
            interval: arguments.interval.map_or(settings.chutes.refresh.value, Duration::from_secs),
            models,
            has_accounts: accounts.is_ok(),
            watcher: Watcher::new(settings.events.watch()),
            known: BTreeMap::new(),
            accounts_asked: None,
            models_asked: None,
            keys_asked: None,
            troubles: BTreeSet::new(),
            is_first: true,
            news: VecDeque::new(),
        })
    }

    /// How `--once` ends: whether everything could be read.
    pub(super) fn exit(&self) -> Exit {
        if self.troubles.is_empty() { Exit::Done } else { Exit::Unknown }
    }

    /// Waits until it is time, looks, and gives what is new.
    pub(super) async fn next(&mut self) -> Result<VecDeque<EventReport>, CommandError> {
        let now = self.context.now();
        let wake = self.next_look();
        if wake > now {
            let turn = self.watcher.next_turn().filter(|turn| *turn < wake);
            self.context.clock.sleep(turn.unwrap_or(wake).since(now)).await;
            let now = self.context.now();
            let turned = self.watcher.turned(now);
            self.note(turned);
            if self.context.now() < wake {
                return Ok(std::mem::take(&mut self.news));
            }
        }
        if self.has_accounts && self.accounts_due() <= self.context.now() {
            self.look_at_accounts().await?;
        }
        if !self.models.is_empty() && self.models_due() <= self.context.now() {
            self.look_at_models().await?;
        }
        self.is_first = false;
        Ok(std::mem::take(&mut self.news))
    }

    /// When something is to be asked.
    fn next_look(&self) -> Wall {
        let accounts = self.has_accounts.then(|| self.accounts_due());
        let models = (!self.models.is_empty()).then(|| self.models_due());
        accounts.into_iter().chain(models).min().unwrap_or_default()
    }

    /// The interval, or soon after the next window turns.
    fn accounts_due(&self) -> Wall {
        let Some(asked) = self.accounts_asked else { return Wall::default() };
        let turns = self.known.values().flat_map(|account| account.windows_at(None, asked));
        let turns = turns.filter_map(|window| window.resets_at).filter(|turns| *turns > asked);
        let turns_in = turns.map(|turns| turns.since(asked)).min();
        asked.after(Readiness { turns_in, ..Readiness::default() }.pause(self.interval))
    }

    fn models_due(&self) -> Wall {
        let gap = self.interval.max(LEAST_MODELS_GAP);
        self.models_asked.map_or_else(Wall::default, |asked| asked.after(gap))
    }

    async fn look_at_accounts(&mut self) -> Result<(), CommandError> {
        let readings = self.upstream.selected_readings(self.context).await?;
        let now = self.context.now();
        self.accounts_asked = Some(now);
        let keys_due = self.keys_asked.is_none_or(|asked| now.since(asked) >= KEYS_GAP);
        for reading in &readings {
            let label = serve::label(&reading.account);
            self.tell_trouble(&format!("account {label}"), reading.problem.clone());
            let known = match self.known.remove(&label) {
                Some(known) => known.followed_by(reading.snapshot.clone()),
                None => reading.snapshot.clone(),
            };
            let events = self.watcher.account(&label, &known, &reading.account.policy, now);
            self.known.insert(label, known);
            self.note(events);
            if keys_due || reading.snapshot.readable == Readable::Forbidden {
                self.look_at_keys(reading).await;
            }
        }
        if keys_due {
            self.keys_asked = Some(now);
        }
        Ok(())
    }

    /// Whether the keys are dead. One whose standing cannot be found out is no news.
    async fn look_at_keys(&mut self, reading: &Reading) {
        let label = serve::label(&reading.account);
        for (place, key) in (1..).zip(&reading.account.keys) {
            let chutes = self.upstream.public().clone().with_key(key.clone());
            let standing = match chutes.key_standing().await {
                Ok(Standing::Dead) => KeyStanding::Dead,
                Ok(Standing::Alive { .. }) => KeyStanding::Works,
                Err(_) => KeyStanding::Unknown,
            };
            let place: u32 = place;
            let event = self.watcher.key(&label, &place.to_string(), standing, self.context.now());
            self.note(event);
        }
    }

    async fn look_at_models(&mut self) -> Result<(), CommandError> {
        let (lists, problems) = self.upstream.lists().await;
        let now = self.context.now();
        self.models_asked = Some(now);
        self.tell_trouble("list of models", problems.into_iter().next());
        let catalogue = Catalogue::join(lists, now);
        for wanted in self.models.clone() {
            match catalogue.find(&wanted) {
                Ok(entry) => {
                    let event = self.watcher.model(&entry.name, entry.state, now);
                    self.note(event);
                }
                // At the start it is a slip of the pen; later a model may well go.
                Err(miss) if self.is_first && catalogue.whole => {
                    return Err(not_found(&wanted, &miss));
                }
                Err(_) if catalogue.whole => {
                    let gone = ripcord_rules::model_state::ModelState::Down;
                    let event = self.watcher.model(&wanted, gone, now);
                    self.note(event);
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn note(&mut self, events: impl IntoIterator<Item = Event>) {
        self.news.extend(events.into_iter().map(|event| EventReport::of(&event)));
    }

    /// Trouble is told when it begins and when it is over.
    fn tell_trouble(&mut self, about: &str, problem: Option<CommandError>) {
        let printer = &self.context.printer;
        match problem {
            Some(problem) if self.troubles.insert(about.to_owned()) => printer.error(&problem),
            None if self.troubles.remove(about) => {
                printer.warn(&format!("the {about} can be read again"));
            }
            Some(_) | None => {}
        }
    }
}
