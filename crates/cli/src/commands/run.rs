//! `ripcord run -- COMMAND`: waits for budget, then for a slot if one is wanted, and runs a command.

use std::cell::Cell;
use std::time::Duration;

use ripcord_rules::quota::{CallCost, Verdict, WindowKind};
use ripcord_rules::schedule::{Ahead, Demand, Expression};
use ripcord_rules::units::{MilliUnits, NanoUsd};
use tokio::sync::watch;

use crate::accounts::Account;
use crate::allowance::{Allowance, View};
use crate::args::RunArguments;
use crate::child::paused::{self, Order};
use crate::commands::acquire::ACCOUNT;
use crate::commands::can_complete;
use crate::commands::serve::label;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::prices::PricedCall;
use crate::printer::{moment, number};
use crate::slots::Held;
use crate::upstream::{Reading, Upstream};
use crate::verdict::{VerdictReport, window_words};
use crate::waiting::{Goal, Outcome, Wait};
use crate::{child, slots};

/// Waits, runs the command, and ends as it did.
pub(crate) async fn run(arguments: &RunArguments, context: &Context) -> Result<Exit, CommandError> {
    let mut upstream = Upstream::new(context)?.for_work(arguments.priority.work());
    if let Some(condition) = &arguments.when {
        check_times(condition, context)?;
    }
    let (demand, call) = demand(arguments, &upstream, context).await?;
    if call.is_some() {
        upstream = upstream.with_prices();
    }
    let goal = Goal { demand, call, condition: arguments.when.clone(), is_patient: true };
    let mut wait = Wait::new(context, arguments.timeout.map(Duration::from_secs));
    let mut readings = Vec::new();
    loop {
        let outcome = wait.until_open(&goal, &upstream, readings).await?;
        wait.clear_bar();
        let Ahead::Open(index) = outcome.ahead else {
            return Err(not_started(&outcome, &goal, arguments, context));
        };
        readings = outcome.readings;
        let open = open_accounts(&wait, &goal, &readings, index, context);
        if !arguments.slot {
            let Some(account) = open.first() else { continue };
            let account = account.clone();
            return start(&account, readings, wait, arguments, &upstream, context).await;
        }
        let Some(held) = slots::hold(&open, "run", wait.left(), context).await? else {
            let seconds = arguments.timeout.unwrap_or_default();
            return Err(slots::none_within(seconds));
        };
        // It may have taken hours.
        wait.look_again(&mut readings, &upstream).await?;
        if is_open(&wait, &goal, &readings, held.account, context) {
            let exit = start(held.account, readings, wait, arguments, &upstream, context).await;
            drop::<Held<'_>>(held);
            return exit;
        }
        context.printer.warn("there is a slot, but the budget is used up meanwhile; waiting again");
    }
}

async fn start(
    account: &Account,
    readings: Vec<Reading>,
    wait: Wait<'_>,
    arguments: &RunArguments,
    upstream: &Upstream,
    context: &Context,
) -> Result<Exit, CommandError> {
    let label = label(account);
    let environment = [(ACCOUNT, label.as_str())];
    let own = readings.into_iter().find(|reading| reading.account.keys == account.keys);
    let (Some(how), Some(own)) = (arguments.pause, own) else {
        return child::run(&arguments.command, &environment, &context.printer).await;
    };
    let order = Order { command: &arguments.command, environment: &environment, how };
    let closely = Cell::new(false);
    let (tell, told) = watch::channel(View::default());
    let wait = wait.without_deadline();
    let allowance = Allowance::new(own, wait, upstream, &closely, arguments.priority, context);
    paused::run(order, allowance.follow(tell), told, &closely, context).await
}

/// The accounts that can take it now, the one that was found first.
fn open_accounts(
    wait: &Wait<'_>,
    goal: &Goal,
    readings: &[Reading],
    found: usize,
    context: &Context,
) -> Vec<Account> {
    let first = readings.get(found).map(|reading| &reading.account);
    let others = readings.iter().enumerate().filter(|(index, _)| *index != found);
    let others = others
        .map(|(_, reading)| &reading.account)
        .filter(|account| is_open(wait, goal, readings, account, context));
    first.into_iter().chain(others).cloned().collect()
}

fn is_open(
    wait: &Wait<'_>,
    goal: &Goal,
    readings: &[Reading],
    account: &Account,
    context: &Context,
) -> bool {
    let own = readings.iter().position(|reading| reading.account.keys == account.keys);
    let own = own.and_then(|index| readings.get(index..=index)).unwrap_or_default();
    matches!(wait.ahead(goal, own, context.now()), Ahead::Open(_))
}

/// A condition that no time of the week satisfies is a mistake.
fn check_times(condition: &Expression, context: &Context) -> Result<(), CommandError> {
    let zone = |moment| context.printer.moments.offset_seconds(moment);
    if condition.next_possible(context.now(), &zone).is_some() {
        return Ok(());
    }
    Err(CommandError::usage(format!("`{condition}` never holds: its times exclude one another"))
        .hint("a span over midnight is `after=22:00 or before=06:00`"))
}

/// What has to fit, at list price, and the call by which each account's own price is found.
async fn demand(
    arguments: &RunArguments,
    upstream: &Upstream,
    context: &Context,
) -> Result<(Demand, Option<PricedCall>), CommandError> {
    if let Some(dollars) = arguments.usd {
        return Ok((Demand::Usd(dollars), None));
    }
    let Some(count) = arguments.needs else { return Ok((Demand::OneCall, None)) };
    if arguments.model.is_none() {
        let cost = CallCost { units: MilliUnits::ONE, usd: None };
        return Ok((Demand::Calls { count, cost, chute_id: None }, None));
    }
    let call = can_complete::Call {
        model: arguments.model.as_deref(),
        tokens_in: arguments.tokens.tokens_in,
        tokens_out: arguments.tokens.tokens_out,
    };
    let target = can_complete::Target::find(call, upstream, context).await?;
    let cost = CallCost { units: MilliUnits::ONE, usd: target.listed() };
    Ok((Demand::Calls { count, cost, chute_id: target.chute_id }, target.call))
}

/// Why the command was not started.
fn not_started(
    outcome: &Outcome,
    goal: &Goal,
    arguments: &RunArguments,
    context: &Context,
) -> CommandError {
    let error = match outcome.ahead {
        Ahead::NeedsPrice => {
            return CommandError::usage("the balance pays, so the price of a call is needed")
                .hint("add --model, --tokens-in and --tokens-out");
        }
        Ahead::Never { most, window } => never(&goal.demand, most, window),
        Ahead::Nothing => nothing_turns(outcome, &goal.demand, context),
        Ahead::Unreadable => unreadable(outcome, context),
        Ahead::Open(_) | Ahead::Turn(..) | Ahead::Condition(_) | Ahead::Sometime => {
            late(outcome, goal, arguments, context)
        }
    };
    CommandError { exit: Exit::NotStarted, ..error }
}

fn never(demand: &Demand, most: u64, window: Option<WindowKind>) -> CommandError {
    let window = window.map_or("window", window_words);
    match demand {
        Demand::Usd(dollars) => {
            let most = NanoUsd(i64::try_from(most).unwrap_or(i64::MAX));
            CommandError::refused(format!("{dollars} never fit: an empty {window} has room for {most}"))
                .hint("split the work into runs that fit")
        }
        Demand::OneCall | Demand::Calls { .. } => CommandError::refused(format!(
            "so many calls never fit at once: an empty {window} has room for {}",
            number::grouped(most)
        ))
        .hint("split the work into runs that fit, or let the gateway spread it: it waits where a window is used up"),
    }
}

/// What is missing, in words.
fn room(demand: &Demand) -> String {
    match demand {
        Demand::OneCall => "budget".to_owned(),
        Demand::Calls { count, .. } => {
            format!("room for {}", number::counted(*count, "call", "calls"))
        }
        Demand::Usd(dollars) => format!("room for {dollars}"),
    }
}

fn nothing_turns(outcome: &Outcome, demand: &Demand, context: &Context) -> CommandError {
    let now = context.now();
    let has_some = |reading: &Reading| {
        let policy = &reading.account.policy;
        let verdict = ripcord_rules::quota::may_spend(&reading.snapshot, policy, None, now);
        matches!(verdict, Verdict::Yes(_))
    };
    if outcome.readings.iter().any(has_some) {
        // There is some budget, but no turn makes it enough.
        return CommandError::refused(format!(
            "there is no {}, and no turn of a window makes it: it does not fit into what the windows and the balance have together",
            room(demand)
        ))
        .hint("split the work into runs that fit, or top up the balance at https://chutes.ai");
    }
    let mut error =
        CommandError::refused("nothing to wait for: no window that turns by itself would help");
    for reading in &outcome.readings {
        let policy = &reading.account.policy;
        let verdict = ripcord_rules::quota::may_spend(&reading.snapshot, policy, None, now);
        let moments = &context.printer.moments;
        let told = VerdictReport::new(&verdict, &reading.snapshot, policy, moments, now);
        error.hints.push(format!("{}: {}", reading.label, told.explanation));
    }
    error.hint("the balance is topped up at https://chutes.ai")
}

fn unreadable(outcome: &Outcome, context: &Context) -> CommandError {
    let mut problems = outcome.readings.iter().filter_map(|reading| reading.problem.clone());
    let Some(first) = problems.next() else {
        return CommandError::unknown("whether there is budget could not be found out")
            .hint("`ripcord usage` shows what is known");
    };
    problems.for_each(|problem| context.printer.error(&problem));
    first
}

fn late(
    outcome: &Outcome,
    goal: &Goal,
    arguments: &RunArguments,
    context: &Context,
) -> CommandError {
    let error = CommandError::refused(match (&goal.condition, outcome.ahead, arguments.timeout) {
        (Some(condition), Ahead::Condition(_), Some(0)) => {
            format!("`{condition}` does not hold now")
        }
        (Some(condition), Ahead::Condition(_), seconds) => {
            format!("`{condition}` did not hold within {} s", seconds.unwrap_or_default())
        }
        (_, _, Some(0)) => format!("there is no {} now", room(&goal.demand)),
        (_, _, seconds) => {
            format!("there was no {} within {} s", room(&goal.demand), seconds.unwrap_or_default())
        }
    });
    let now = context.now();
    match outcome.next.filter(|next| *next > now) {
        Some(next) => error.hint(format!(
            "it may be {}, at {}",
            moment::until(next, now),
            context.printer.moments.at(next, now)
        )),
        None => error,
    }
}
