//! `docs/reference/situations.md`: what each command prints and exits with in each situation of an account, written by
//! running all of them.

use std::fmt::Write as _;
use std::path::Path;

use chutes_emulator::{AccountSpec, PlanSpec, Scenario};

use crate::situations::{Situation, situations};
use crate::world::{Outcome, World, catalogue, pro};

/// A model that is up in every situation.
const MODEL: &str = "deepseek-ai/DeepSeek-R1-TEE";

/// A command, and which of its lines says it all.
struct Row {
    arguments: &'static [&'static str],
    essence: Essence,
}

/// The line to show of a command that found its answer; of one that did not, it is the error.
#[derive(Clone, Copy)]
enum Essence {
    /// The first one with a sign.
    Verdict,
    First,
    /// The one below the account's name.
    Second,
    Last,
    /// The kind and the text of the first event.
    Event,
    /// The first of the worst: what fails, what deserves attention, or that all is well.
    Worst,
}

const fn row(arguments: &'static [&'static str], essence: Essence) -> Row {
    Row { arguments, essence }
}

/// The commands, as they are typed, and in the order in which they run: those that spend something come after those whose
/// figures would show it.
const COMMANDS: &[Row] = &[
    row(&["usage"], Essence::Verdict),
    row(&["budget-check"], Essence::Verdict),
    row(&["budget-check", "--require-balance"], Essence::Verdict),
    row(&["can-complete", "100"], Essence::Verdict),
    row(&["wait-for-reset", "--timeout", "0"], Essence::Verdict),
    row(&["run", "--timeout", "0", "--", "true"], Essence::First),
    row(&["report"], Essence::Second),
    row(&["watch", "--once"], Essence::Event),
    row(&["status"], Essence::First),
    row(&["models"], Essence::Last),
    row(&["model-health", MODEL], Essence::First),
    row(&["recommend", MODEL], Essence::First),
    row(&["sanity"], Essence::First),
    row(&["probe"], Essence::First),
    row(&["slots"], Essence::First),
    row(&["acquire", "--timeout", "0", "--", "true"], Essence::First),
    row(&["doctor"], Essence::Worst),
    row(&["config", "check"], Essence::First),
    row(&["keys", "list"], Essence::First),
];

/// All situations, those of an account that can be read first.
fn all_situations() -> Vec<Situation> {
    let mut all = situations();
    let month_spent: Situation = ("Pro, month spent, balance 5 dollars", || {
        World::with(pro().used_usd(0.4, 100.5).balance_usd(5.0))
    });
    let custom: Situation = ("custom plan with room", || {
        let account = AccountSpec::new("dave", PlanSpec::CustomPro).anchor("2026-09-14T08:12:45");
        World::with(account.used_units(700.0).used_usd(2.5, 180.0))
    });
    let dead_key: Situation =
        ("a dead key", || World::of(catalogue().account(pro())).key(&Scenario::key("nobody", 0)));
    let no_key: Situation = ("no key", || World::of(catalogue().account(pro())));
    let before = |name: &str| all.iter().position(|(other, _)| *other == name).unwrap();
    let places = [
        (before("pay-as-you-go with balance"), month_spent),
        (before("a key without account scope"), custom),
        (before("API down"), dead_key),
        (before("API down"), no_key),
    ];
    for (shift, (place, situation)) in places.into_iter().enumerate() {
        all.insert(place + shift, situation);
    }
    all
}

#[test]
fn the_table_of_situations_has_not_drifted() {
    let situations = all_situations();
    let outcomes: Vec<Vec<Outcome>> = std::thread::scope(|scope| {
        let columns: Vec<_> = situations
            .iter()
            .map(|(_, world)| {
                scope.spawn(move || {
                    let world = world().variable("COLUMNS", "140");
                    COMMANDS.iter().map(|command| world.run(command.arguments)).collect()
                })
            })
            .collect();
        columns.into_iter().map(|column| column.join().unwrap()).collect()
    });
    let names: Vec<&str> = situations.iter().map(|(name, _)| *name).collect();
    let page = page(&names, &outcomes);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/situations.md");
    if std::fs::read_to_string(&kept).unwrap_or_default() != page {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("situations.md");
        std::fs::write(&new, page).unwrap();
        panic!(
            "docs/reference/situations.md has drifted; if it should, run: cp {} docs/reference/situations.md",
            new.display()
        );
    }
}

fn page(names: &[&str], outcomes: &[Vec<Outcome>]) -> String {
    let mut page = String::from(
        "# What each command says in each situation\n\n\
         <!-- Written by the test `the_table_of_situations_has_not_drifted`, which says how to write it anew. -->\n\n\
         Every command ran against the emulator in every situation; it was Sunday, 27 September 2026, 11:13 UTC. The codes:\n\
         0 yes or done, 1 the verdict is no, 2 wrong usage, 3 it could not be found out, 75 the command behind `--` was not\n\
         started. `(nothing)`: what stands behind `--` ran and printed nothing, or `watch` has nothing to tell. Nothing is configured but the key, so a\n\
         subscription never slides into pay-as-you-go.\n\n",
    );
    let _ = write!(page, "| exit code of `ripcord …` |");
    for number in 1..=names.len() {
        let _ = write!(page, " [{number}](#situation-{number}) |");
    }
    let _ = writeln!(page, "\n|---|{}", "---|".repeat(names.len()));
    for (index, command) in COMMANDS.iter().enumerate() {
        let _ = write!(page, "| `{}` |", command.typed());
        for column in outcomes {
            let _ = write!(page, " {} |", column[index].code);
        }
        page.push('\n');
    }
    page.push('\n');
    for (number, name) in (1..).zip(names) {
        let _ = writeln!(page, "{number}. {name}");
    }
    for (number, (name, column)) in (1..).zip(names.iter().zip(outcomes)) {
        let _ = write!(
            page,
            "\n## Situation {number}\n\n{name}\n\n| `ripcord …` | exit | the line that says it |\n|---|---|---|\n"
        );
        for (command, outcome) in COMMANDS.iter().zip(column) {
            let line = essence(outcome, command.essence).replace('|', "\\|");
            let _ = writeln!(page, "| `{}` | {} | {line} |", command.typed(), outcome.code);
        }
    }
    page
}

impl Row {
    fn typed(&self) -> String {
        self.arguments.join(" ")
    }
}

/// The line that says it all.
fn essence(outcome: &Outcome, essence: Essence) -> String {
    let error = outcome.stderr.lines().find(|line| line.starts_with("error: "));
    if let Some(error) = error.filter(|_| outcome.code > 1 || outcome.stdout.is_empty()) {
        return error.to_owned();
    }
    let lines: Vec<&str> =
        outcome.stdout.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let with = |signs: &[char]| lines.iter().copied().find(|line| line.starts_with(signs));
    let line = match essence {
        Essence::Verdict => with(&['✓', '✗', '?']),
        Essence::First => lines.first().copied(),
        Essence::Second => lines.get(1).copied(),
        Essence::Event => return lines.first().map_or_else(|| "(nothing)".to_owned(), event),
        Essence::Last => lines.last().copied(),
        Essence::Worst => with(&['✗']).or_else(|| with(&['!', '?'])).or(lines.last().copied()),
    };
    line.unwrap_or("(nothing)").to_owned()
}

fn event(line: &&str) -> String {
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    format!("{}: {}", event["kind"].as_str().unwrap(), event["text"].as_str().unwrap())
}
