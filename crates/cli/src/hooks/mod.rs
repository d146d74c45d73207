//! Hooks: programs and addresses that are told of events.
//!
//! Each hook has a line of its own, bounded, so that one that hangs stops no other and nobody waits for it; what does not
//! fit into the line is lost, and told. A program runs one at a time, in order. A post that was not taken is sent again
//! while newer ones go out, as [`ripcord_rules::events::delivery`] says.

pub(crate) mod address;
mod command;
mod line;
mod post;
pub(crate) mod sign;

use std::sync::Arc;
use std::time::Duration;

use ripcord_client::transport::{Transport, TransportError, TransportSettings};
use ripcord_gateway::EventReport;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::error::CommandError;
use crate::settings::Settings;
use crate::settings::hooks::{HookAction, HookFilter, HookSettings};
use line::Line;

/// At the end, for what is under way.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Where trouble with hooks is told. It never holds a secret.
pub(crate) type Tell = Arc<dyn Fn(String) + Send + Sync>;

/// All hooks of a program that runs them.
pub(crate) struct Hooks {
    lines: Vec<Line>,
    tasks: TaskTracker,
    /// Nothing new is begun.
    stop: CancellationToken,
    /// Everything ends.
    abort: CancellationToken,
}

/// One hook, ready to be run.
#[derive(Clone)]
struct Hook {
    name: Arc<str>,
    filter: HookFilter,
    action: Action,
    timeout: Duration,
    clock: Clock,
}

#[derive(Clone)]
enum Action {
    Command(Arc<[String]>),
    Post(Arc<post::Target>),
}

/// What came of telling a hook once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Whether it took the event.
    pub(crate) taken: bool,
    /// What came back, in words.
    pub(crate) answer: String,
    /// The beginning of what it said, cleaned; empty if it said nothing.
    pub(crate) said: String,
}

// === impl Hooks ===

impl Hooks {
    /// Starts a line for each hook that is configured. The runtime has to be there.
    pub(crate) fn start(
        settings: &Settings,
        clock: Clock,
        tell: &Tell,
    ) -> Result<Self, CommandError> {
        let hooks = prepare(&settings.hooks, clock)?;
        let (tasks, stop, abort) =
            (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let lines = hooks
            .into_iter()
            .map(|hook| Line::start(hook, &tasks, stop.clone(), abort.clone(), Arc::clone(tell)))
            .collect();
        tasks.close();
        Ok(Self { lines, tasks, stop, abort })
    }

    /// Puts an event into the line of each hook that wants it. Never waits.
    pub(crate) fn tell(&self, event: &Arc<EventReport>) {
        self.lines.iter().for_each(|line| line.put(event));
    }

    /// Takes nothing more; gives what is under way a moment, then ends it, children included.
    pub(crate) async fn finish(mut self) {
        self.stop.cancel();
        self.lines.clear();
        if tokio::time::timeout(LAST_WORDS, self.tasks.wait()).await.is_err() {
            self.abort.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.abort.cancel();
    }
}

/// Tells one hook of a test, once.
pub(crate) async fn test(
    settings: &HookSettings,
    event: &EventReport,
    clock: Clock,
) -> Result<Told, CommandError> {
    let hooks = prepare(std::slice::from_ref(settings), clock)?;
    let Some(hook) = hooks.into_iter().next() else {
        return Err(CommandError::usage("there is no such hook"));
    };
    Ok(match &hook.action {
        Action::Command(words) => command::run(words, event, hook.timeout, clock).await,
        Action::Post(target) => target.post(event, hook.timeout, clock).await.1,
    })
}

/// Makes hooks of their settings; all that is wrong is told together.
fn prepare(settings: &[HookSettings], clock: Clock) -> Result<Vec<Hook>, CommandError> {
    let problems: Vec<_> = settings.iter().flat_map(HookSettings::problems).collect();
    if !problems.is_empty() {
        let mut error = CommandError::usage("a hook cannot be run")
            .hint("`ripcord config check` checks the whole configuration");
        error.details = problems.iter().map(ToString::to_string).collect();
        error.hints.extend(problems.iter().filter_map(|problem| problem.hint.clone()));
        return Err(error);
    }
    // Its own, so that a hook's address never shares a connection with Chutes.
    let transport = Transport::new(TransportSettings::default());
    settings.iter().map(|hook| hook_of(hook, &transport, clock)).collect()
}

fn hook_of(
    settings: &HookSettings,
    transport: &Transport,
    clock: Clock,
) -> Result<Hook, CommandError> {
    let name: Arc<str> = settings.name.value.as_str().into();
    let action = match &settings.action {
        HookAction::Command(words) => Action::Command(words.as_slice().into()),
        HookAction::Post { address, secret } => {
            let unusable = |message: String| {
                CommandError::usage(format!("the hook `{name}` cannot be run: {message}"))
            };
            let address = address.clone().map_err(|problem| unusable(problem.message))?;
            let secret = secret.clone().transpose().map_err(|problem| unusable(problem.message))?;
            let target = post::Target::new(transport, address, secret)
                .map_err(|error: TransportError| unusable(error.kind().to_string()))?;
            Action::Post(Arc::new(target))
        }
    };
    let (filter, timeout) = (settings.filter.clone(), settings.timeout);
    Ok(Hook { name, filter, action, timeout, clock })
}

// === impl HookFilter ===

impl HookFilter {
    /// Whether the hook wants to know.
    fn wants(&self, event: &EventReport) -> bool {
        let named = |wanted: &[String], name: Option<&String>| {
            wanted.is_empty() || name.is_some_and(|name| wanted.contains(name))
        };
        let window = event.window.as_deref();
        (self.on.is_empty() || event.event_kind().is_some_and(|kind| self.on.contains(&kind)))
            && named(&self.accounts, event.account.as_ref())
            && named(&self.models, event.model.as_ref())
            && (self.windows.is_empty()
                || self.windows.iter().any(|wanted| window == Some(wanted.name())))
    }
}

// === impl Told ===

impl Told {
    fn failed(answer: impl Into<String>) -> Self {
        Self { taken: false, answer: answer.into(), said: String::new() }
    }
}

/// The longest part of what a hook says that is kept, in bytes and in characters.
const SAID_BYTES: usize = 4096;
const SAID_CHARS: usize = 500;

fn said(bytes: &[u8]) -> String {
    ripcord_wire::text::clean_bytes(bytes, SAID_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_rules::events::EventKind;
    use ripcord_rules::quota::WindowKind;
    use ripcord_rules::time::Wall;

    fn event(
        kind: &str,
        account: Option<&str>,
        window: Option<&str>,
        model: Option<&str>,
    ) -> EventReport {
        let own = |text: Option<&str>| text.map(str::to_owned);
        EventReport {
            kind: kind.to_owned(),
            account: own(account),
            window: own(window),
            model: own(model),
            ..EventReport::test("evt_1", Wall::from_unix_seconds(0))
        }
    }

    #[test]
    fn a_hook_is_told_what_it_asked_for() {
        let low = event("low", Some("work"), Some("day"), None);
        let full = event("saturated", None, None, Some("acme/Writer"));
        let all = HookFilter::default();
        assert!(all.wants(&low) && all.wants(&full));
        let on = HookFilter { on: vec![EventKind::Low, EventKind::Reset], ..HookFilter::default() };
        assert!(on.wants(&low) && !on.wants(&full));
        let work = HookFilter { accounts: vec!["work".into()], ..HookFilter::default() };
        assert!(work.wants(&low) && !work.wants(&full), "a model is of no account");
        let month = HookFilter { windows: vec![WindowKind::Month], ..HookFilter::default() };
        assert!(!month.wants(&low) && !month.wants(&full));
        let model = HookFilter { models: vec!["acme/Writer".into()], ..HookFilter::default() };
        assert!(!model.wants(&low) && model.wants(&full));
    }
}
