//! What the commands that make one small call have in common: which model to ask, and who pays.

use std::cell::Cell;
use std::time::Duration;

use ripcord_rules::quota::{Verdict, may_spend};

use crate::catalogue::{Catalogue, Entry, StateWord};
use crate::commands::model_health::not_found;
use crate::context::Context;
use crate::error::CommandError;
use crate::upstream::Reading;
use crate::verdict::VerdictReport;

/// How long the questions of such a command may take together; each of them may take long for itself, and a server that
/// sends a blank now and then never ends.
const DEADLINE: Duration = Duration::from_secs(90);

/// The time that is left for the questions of one command. Waiting for a slot is not one of them.
pub(crate) struct Deadline<'c> {
    context: &'c Context,
    left: Cell<Duration>,
}

// === impl Deadline ===

impl<'c> Deadline<'c> {
    /// The whole time.
    pub(crate) const fn new(context: &'c Context) -> Self {
        Self { context, left: Cell::new(DEADLINE) }
    }

    /// The work, or the error that the time is up.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        let clock = self.context.clock;
        let stopwatch = clock.stopwatch();
        tokio::select! {
            done = work => {
                self.left.set(self.left.get().saturating_sub(clock.pace_of(stopwatch.elapsed())));
                done
            }
            () = clock.sleep(self.left.get()) => Err(CommandError::unknown(format!(
                "there was no whole answer within {} s",
                DEADLINE.as_secs()
            ))
            .hint("try again in a minute; `ripcord doctor` says what can be reached")
            .see("no-answer")),
        }
    }
}

/// The model to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) model: String,
    /// The configured one that it stands in for.
    pub(crate) instead_of: Option<String>,
}

// === impl Choice ===

impl Choice {
    /// The name as it was typed or configured.
    fn as_wanted(typed: Option<&str>, context: &Context) -> Self {
        let model = typed.unwrap_or(&context.settings.models.sanity.value).to_owned();
        Self { model, instead_of: None }
    }
}

/// Chooses where some of the lists may not have been read: what was not found may stand in those, so their problem is the
/// answer then.
pub(crate) fn choose_from(
    typed: Option<&str>,
    catalogue: &Catalogue,
    problems: Vec<CommandError>,
    context: &Context,
    choose: fn(Option<&str>, &Catalogue, &Context) -> Result<Choice, CommandError>,
) -> Result<Choice, CommandError> {
    match problems.into_iter().next() {
        // Without the catalogue the name is taken as it is: the call will tell.
        Some(_) if catalogue.entries.is_empty() => Ok(Choice::as_wanted(typed, context)),
        Some(problem) => choose(typed, catalogue, context).map_err(|_| problem),
        None => choose(typed, catalogue, context),
    }
}

/// The model that was typed, else the configured one, else one that is hot. A name the user typed is never replaced.
pub(crate) fn choose(
    typed: Option<&str>,
    catalogue: &Catalogue,
    context: &Context,
) -> Result<Choice, CommandError> {
    let Choice { model: wanted, .. } = Choice::as_wanted(typed, context);
    match catalogue.find(&wanted) {
        Ok(entry) => Ok(Choice { model: entry.name.clone(), instead_of: None }),
        Err(miss) if typed.is_some() => Err(not_found(&wanted, &miss)),
        Err(miss) => stand_in(&wanted, &miss.near, catalogue).ok_or_else(|| {
            CommandError::unknown(format!("the catalogue has no `{wanted}`, and no model is hot"))
                .hint("`ripcord status` shows what is up")
        }),
    }
}

/// As [`choose`], but never a model that is known not to run: asking one raises a bounty for starting it.
pub(crate) fn choose_running(
    typed: Option<&str>,
    catalogue: &Catalogue,
    context: &Context,
) -> Result<Choice, CommandError> {
    let choice = choose(typed, catalogue, context)?;
    let state = catalogue.find(&choice.model).map_or(StateWord::Unknown, Entry::state_word);
    let anchor = match state {
        StateWord::Hot | StateWord::Busy | StateWord::Unknown => return Ok(choice),
        StateWord::Cold => "model-cold",
        StateWord::Down => "model-off",
    };
    let running = match typed {
        Some(_) => None,
        None => stand_in(&choice.model, &[], catalogue),
    };
    running.ok_or_else(|| {
        CommandError::refused(format!("not asked: `{}` is {}", choice.model, state.word()))
            .hint("name a model that is up; `ripcord status` shows which are")
            .see(anchor)
    })
}

/// A hot model in place of one that cannot be asked: one with a like name, of the same maker, or the cheapest.
fn stand_in(wanted: &str, near: &[String], catalogue: &Catalogue) -> Option<Choice> {
    let hot = |entry: &&Entry| entry.state_word() == StateWord::Hot && entry.model.is_some();
    let maker = wanted.split('/').next().unwrap_or(wanted);
    let alike = near
        .iter()
        .find_map(|name| catalogue.entries.iter().find(|entry| entry.name == *name && hot(entry)));
    let same_maker = || {
        let mut running = catalogue.entries.iter().filter(hot);
        running.find(|entry| entry.name.split('/').next() == Some(maker))
    };
    let cheapest = || {
        let running = catalogue.entries.iter().filter(hot);
        running.min_by_key(|entry| (entry.price_out().is_none(), entry.price_out()))
    };
    let entry = alike.or_else(same_maker).or_else(cheapest)?;
    Some(Choice { model: entry.name.clone(), instead_of: Some(wanted.to_owned()) })
}

/// The account to ask with: one with budget, else one whose budget is unknown. Never one that would spend what it
/// may not.
pub(crate) fn payer<'r>(
    readings: &'r [Reading],
    context: &Context,
) -> Result<&'r Reading, CommandError> {
    let now = context.now();
    let verdict =
        |reading: &Reading| may_spend(&reading.snapshot, &reading.account.policy, None, now);
    let find =
        |wanted: fn(&Verdict) -> bool| readings.iter().find(|reading| wanted(&verdict(reading)));
    if let Some(reading) = find(|verdict| matches!(verdict, Verdict::Yes(_)))
        .or_else(|| find(|verdict| matches!(verdict, Verdict::Unknown(_))))
    {
        return Ok(reading);
    }
    let Some(reading) = readings.first() else {
        return Err(CommandError::usage("no account is configured").see("key-missing"));
    };
    let words = VerdictReport::new(
        &verdict(reading),
        &reading.snapshot,
        &reading.account.policy,
        &context.printer.moments,
        now,
    );
    let error = CommandError::refused(format!(
        "not asked, since it would not be covered: {}",
        words.explanation
    ))
    .account(reading.label.clone())
    .see(words.anchor(&reading.snapshot));
    Err(match words.remedy(&reading.snapshot, &reading.account.policy) {
        Some(remedy) => error.hint(remedy),
        None => error.hint("`ripcord wait-for-reset` returns as soon as there is budget"),
    })
}
