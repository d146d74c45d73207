//! `ripcord watch --test-hook NAME`: one test event, and what came back.

use ripcord_gateway::EventReport;
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::hooks::{self, Told};
use crate::printer::Page;
use crate::printer::text::{Text, Tone};
use crate::settings::document::nearest;

/// What `ripcord watch --test-hook NAME --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HookTestReport {
    #[schemars(extend("const" = "ripcord/hook-test/1"))]
    schema: &'static str,
    /// The hook's name.
    hook: String,
    /// Whether it took the event: a 2xx, or exit code 0. Exit code 0, else 1.
    taken: bool,
    /// What came back, in words.
    answer: String,
    /// The beginning of what it said; empty if it said nothing.
    said: String,
    /// The event that was sent.
    event: EventReport,
}

/// Tries one hook, once.
pub(super) async fn run(name: &str, context: &Context) -> Result<Exit, CommandError> {
    let hooks = &context.settings.hooks;
    let Some(hook) = hooks.iter().find(|hook| hook.name.value == name) else {
        let error = CommandError::usage(format!("there is no hook `{name}` in the configuration"));
        let names: Vec<&str> = hooks.iter().map(|hook| hook.name.value.as_str()).collect();
        return Err(match nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None if names.is_empty() => {
                error.hint("docs/guide/events-and-hooks.md shows how to write one below [[hooks]]")
            }
            None => error.hint(format!("the hooks are: {}", names.join(", "))),
        });
    };
    let event = EventReport::test(&test_id(), context.now());
    let Told { taken, answer, said } = hooks::test(hook, &event, context.clock).await?;
    let report = HookTestReport {
        schema: "ripcord/hook-test/1",
        hook: name.to_owned(),
        taken,
        answer,
        said,
        event,
    };
    context.printer.answer(&report, || page(&report))?;
    Ok(if taken { Exit::Done } else { Exit::No })
}

fn page(report: &HookTestReport) -> Page {
    let mut page = Page::new();
    let (sign, tone, what) = if report.taken {
        ("✓", Tone::Good, "took the test event")
    } else {
        ("✗", Tone::Bad, "did not take the test event")
    };
    let line = Text::toned(tone, sign).plain(format!(" {} {what}: {}", report.hook, report.answer));
    page.paragraph_under(0, 2, line);
    if !report.said.is_empty() {
        page.paragraph_under(2, 2, Text::new().dim("it said: ").plain(report.said.as_str()));
    }
    page
}

/// Every test is another event, so that none is taken for one that was seen.
fn test_id() -> String {
    let mut random = [0; 16];
    // Without randomness two tests look alike, which harms nobody.
    let _ = getrandom::fill(&mut random);
    format!("evt_{:032x}", u128::from_be_bytes(random))
}
