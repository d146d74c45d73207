//! `ripcord watch`: a line for each change, until it is told to stop.

mod follow;
mod look;
mod test_hook;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ripcord_gateway::EventReport;
use ripcord_rules::events::EventKind;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::args::WatchArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::hooks::{Hooks, Tell};
use crate::printer::text::{Text, Tone};
use crate::printer::{Page, moment};
pub(crate) use test_hook::HookTestReport;

/// Where lines are read by a program that has gone, it is noticed this soon.
const READER_LOOKED_AT: Duration = Duration::from_secs(1);

/// Where events come from.
enum Source<'c> {
    Chutes(Box<look::Look<'c>>),
    Gateway(Box<follow::Follow<'c>>),
}

/// Where events go.
struct Sink<'c> {
    context: &'c Context,
    /// Whether lines are JSON: also where nobody looks.
    json: bool,
    hooks: Option<Hooks>,
    /// What the hooks have to say.
    troubles: mpsc::Receiver<String>,
}

/// Whether there is somebody to go on for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    There,
    Gone,
}

/// Watches as the arguments say.
pub(crate) async fn run(
    arguments: &WatchArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    if let Some(name) = &arguments.test_hook {
        return test_hook::run(name, context).await;
    }
    let (troubles_in, troubles) = mpsc::channel(64);
    let hooks = if arguments.hooks { Some(start_hooks(context, troubles_in)?) } else { None };
    let json = context.printer.is_json() || !context.printer.device().terminal;
    let mut sink = Sink { context, json, hooks, troubles };
    let source = if arguments.gateway {
        Source::Gateway(Box::new(follow::Follow::new(context)?))
    } else {
        Source::Chutes(Box::new(look::Look::new(arguments, context)?))
    };
    // What is well is silent, which looks like nothing at all.
    if !arguments.once {
        sink.say("watching; what changes is told here, Ctrl-C ends it");
    }
    let watched = tokio::select! {
        watched = watch(source, &mut sink, arguments.once) => watched,
        stopped = stopped() => stopped.map(|()| Exit::Done),
    };
    sink.end().await;
    watched
}

async fn watch(
    mut source: Source<'_>,
    sink: &mut Sink<'_>,
    once: bool,
) -> Result<Exit, CommandError> {
    loop {
        // Kept until it is done: a look that is begun anew every second would ask too often and never end.
        let mut next = Box::pin(source.next());
        let events = loop {
            tokio::select! {
                events = &mut next => break events?,
                reader = sink.attend() => {
                    if reader == Reader::Gone {
                        return Ok(Exit::Done);
                    }
                }
            }
        };
        drop(next);
        let is_silent = events.is_empty();
        for event in events {
            if sink.write(&Arc::new(event))? == Reader::Gone {
                return Ok(Exit::Done);
            }
        }
        if once && let Source::Chutes(look) = &source {
            if is_silent && look.exit() == Exit::Done {
                sink.say("nothing is wrong");
            }
            return Ok(look.exit());
        }
    }
}

fn start_hooks(context: &Context, troubles: mpsc::Sender<String>) -> Result<Hooks, CommandError> {
    if context.settings.hooks.is_empty() {
        return Err(CommandError::usage("there is no hook in the configuration")
            .hint("docs/guide/events-and-hooks.md shows how to write one below [[hooks]]"));
    }
    // What does not fit would be the same trouble over again.
    let tell: Tell = Arc::new(move |text| drop(troubles.try_send(text)));
    Hooks::start(&context.settings, context.clock, &tell)
}

/// Ctrl-C, or a polite request to end: both are how a watch ends.
async fn stopped() -> Result<(), CommandError> {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| CommandError::unknown(format!("cannot listen for signals: {error}")))
    };
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

// === impl Source ===

impl Source<'_> {
    /// The next changes, which may be none after a look.
    async fn next(&mut self) -> Result<VecDeque<EventReport>, CommandError> {
        match self {
            Self::Chutes(look) => look.next().await,
            Self::Gateway(follow) => follow.next().await,
        }
    }
}

// === impl Sink ===

impl Sink<'_> {
    /// Tells of one event, whole and at once.
    fn write(&self, event: &Arc<EventReport>) -> Result<Reader, CommandError> {
        if let Some(hooks) = &self.hooks {
            hooks.tell(event);
        }
        let printer = &self.context.printer;
        let is_there = if self.json {
            printer.stream_json(&**event)?
        } else {
            printer.stream(&line(event, self.context).render(printer.device()))?
        };
        Ok(if is_there { Reader::There } else { Reader::Gone })
    }

    /// Something for a person who looks, and for nobody else.
    fn say(&self, text: &'static str) {
        if !self.json && self.context.printer.talks_to_a_person() {
            self.context.printer.talk(Text::new().dim(text));
        }
    }

    /// Passes on what the hooks have to say, and looks whether somebody reads.
    async fn attend(&mut self) -> Reader {
        tokio::select! {
            Some(trouble) = self.troubles.recv() => self.context.printer.warn(&trouble),
            () = tokio::time::sleep(READER_LOOKED_AT) => {}
        }
        if self.context.printer.has_reader() { Reader::There } else { Reader::Gone }
    }

    async fn end(mut self) {
        if let Some(hooks) = self.hooks.take() {
            hooks.finish().await;
        }
        while let Ok(trouble) = self.troubles.try_recv() {
            self.context.printer.warn(&trouble);
        }
    }
}

/// An event for a person: when, what, and when it goes on.
fn line(event: &EventReport, context: &Context) -> Page {
    let now = context.now();
    let (sign, tone) = match event.event_kind() {
        Some(EventKind::Low) => ("!", Tone::Warn),
        Some(EventKind::Exhausted | EventKind::KeyDead) => ("✗", Tone::Bad),
        Some(EventKind::Saturated) => ("◐", Tone::Warn),
        Some(EventKind::Reset | EventKind::Recovered) => ("✓", Tone::Good),
        None => ("·", Tone::Plain),
    };
    let moment = |text: &str| {
        ripcord_wire::time::parse_timestamp(text).map(ripcord_rules::time::Wall::from_unix_micros)
    };
    let at = moment(&event.at).unwrap_or(now);
    let mut text = Text::new()
        .dim(format!("{}  ", context.printer.moments.at(at, now)))
        .then(tone, format!("{sign} "))
        .plain(event.sentence());
    let turns = event.resets_at.as_deref().and_then(moment).filter(|turns| *turns > now);
    if let Some(turns) = turns {
        text = text.dim(format!(
            "; resets {}, at {}",
            moment::until(turns, now),
            context.printer.moments.at(turns, now)
        ));
    }
    let mut page = Page::new();
    page.paragraph_under(0, 2, text);
    page
}
