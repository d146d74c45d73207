//! What the user typed, and nothing else: no files, no environment, no defaults that are settings.

mod can_complete;
mod examples;
mod explain;
mod keys;
mod priority;
mod report;
mod run;
mod setup;
mod watch;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::child;

pub(crate) use can_complete::CanCompleteArguments;
pub(crate) use explain::ExplainArguments;
pub(crate) use keys::{KeyName, KeysAddArguments, KeysArguments, KeysCommand, Unknown, YesNo};
pub(crate) use priority::Priority;
pub(crate) use report::ReportArguments;
pub(crate) use run::RunArguments;
pub(crate) use setup::{
    ClientArguments, CompletionsArguments, ConfigArguments, ConfigCommand, InitArguments,
    LONGEST_NAME, ManArguments,
};
pub(crate) use watch::WatchArguments;

/// Keeps work running on Chutes.ai: what is left, what is up, can this batch finish, when may it go on.
#[derive(Parser, Debug)]
#[command(
    name = "ripcord",
    version,
    about,
    after_help = "Alone, `ripcord` shows usage and the next step.\n\
        Exit codes: 0 yes or done, 1 the verdict is no, 2 wrong usage, 3 it could not be found out."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct GlobalArguments {
    /// Print one JSON document with a documented, stable schema
    #[arg(long, global = true, help_heading = "Options of every command")]
    pub(crate) json: bool,

    /// Read this configuration file instead of `$XDG_CONFIG_HOME/ripcord/config.toml`
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Show times in this zone: `local`, `UTC`, `Europe/Berlin`, `+02:00`
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "ZONE", allow_hyphen_values = true,
        value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) tz: Option<String>,

    /// When to use colour
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "WHEN")]
    pub(crate) color: Option<ColorChoice>,

    /// Only this account: its configured name, its user name, or the first 8 or more characters of a key or of its user id
    #[arg(long, global = true, help_heading = "Options of every command", value_name = "NAME")]
    pub(crate) account: Vec<String>,
}

/// When to use colour.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColorChoice {
    /// On a terminal only, and not if `NO_COLOR` is set
    Auto,
    Always,
    Never,
}

/// One variant per command, in the order in which a user meets them.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Is it down? The platform, your models, and every model that is not hot, with the reason
    #[command(after_help = examples::STATUS)]
    Status(StatusArguments),
    /// Plan, every window with its reset, balance, and when each would run out
    #[command(after_help = examples::USAGE)]
    Usage(UsageArguments),
    /// The catalogue: price, context, features, state
    #[command(after_help = examples::MODELS)]
    Models(ModelsArguments),
    /// The state of one model with the evidence; never probes with inference
    ModelHealth(ModelHealthArguments),
    /// Which model to use: stay with MODEL or switch to a variant, or the best for a purpose, and why
    Recommend(RecommendArguments),
    /// One tiny real inference: time to the first token, tokens per second (costs one request unit)
    Sanity(SanityArguments),
    /// One tiny request, and every header of its answer that speaks of limits, explained (costs at most one request
    /// unit)
    Probe(ProbeArguments),
    /// Exit 0 if there is budget to work with, 1 if not
    #[command(after_help = examples::BUDGET_CHECK)]
    BudgetCheck(BudgetCheckArguments),
    /// Exit 0 if this many calls fit, 1 if not; says which window is short and when the rest would fit
    #[command(after_help = examples::CAN_COMPLETE)]
    CanComplete(CanCompleteArguments),
    /// Return when there is budget: at once, or when the window that blocks has turned
    #[command(after_help = examples::WAIT_FOR_RESET)]
    WaitForReset(WaitForResetArguments),
    /// Wait for budget, then run a command: at once, for a number of calls, or when a condition holds
    #[command(after_help = examples::RUN)]
    Run(RunArguments),
    /// What was used over time: by day, hour or month, beside what went through this machine's gateway; the hours that
    /// stand out; the plan that would have been cheapest
    Report(ReportArguments),
    /// Tell what changes, a line for each: a window runs low or out and turns, a model fills up and recovers, a key dies
    #[command(after_help = examples::WATCH)]
    Watch(WatchArguments),
    /// Who holds the slots that the programs of this machine share
    Slots,
    /// Hold a slot of an account while a command runs; waits for one if all are held
    #[command(after_help = examples::ACQUIRE)]
    Acquire(AcquireArguments),
    /// Run the gateway: an OpenAI-compatible endpoint on this machine, in front of your accounts
    #[command(after_help = examples::SERVE)]
    Serve(ServeArguments),
    /// The story of one request through the gateway: waits, attempts, causes, switches, cost
    Explain(ExplainArguments),
    /// The gateway's client keys: who may call it, and what each may spend
    Keys(KeysArguments),
    /// Watch it work, without a key or a network: an emulated Chutes, the gateway before it, a minute of traffic
    Demo(DemoArguments),
    /// Check keys, addresses, reachability, clock, models and configuration; says what to fix. Or explain an error
    Doctor(DoctorArguments),
    /// Set up: read a key (without showing it), test it, show the plan, write the configuration
    #[command(after_help = examples::INIT)]
    Init(InitArguments),
    /// The settings: every value with its origin, a check of the whole file, ready settings for a client
    Config(ConfigArguments),
    /// Print a script that completes commands and flags in your shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsArguments),
    /// Print a manual page, or write all of them into a directory
    #[command(after_help = examples::MAN)]
    Man(ManArguments),
    /// Lets a process group go on when the one that writes to its standard input dies
    #[command(hide = true, name = child::guard::COMMAND)]
    Guard,
    /// Makes a process group the one that the terminal speaks to
    #[command(hide = true, name = child::terminal::COMMAND)]
    Foreground { group: i32 },
    /// Write the reference documentation
    #[command(hide = true)]
    Reference(ReferenceArguments),
}

#[derive(Args, Debug, Default)]
pub(crate) struct StatusArguments {
    /// Only these models: is it down?
    #[arg(value_name = "MODEL", conflicts_with_all = ["all", "mine"], value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) models: Vec<String>,

    /// Every model of the platform, the hot ones too
    #[arg(long)]
    pub(crate) all: bool,

    /// Only the models named in the configuration
    #[arg(long, conflicts_with = "all")]
    pub(crate) mine: bool,
}

#[derive(Args, Debug, Default)]
pub(crate) struct UsageArguments {
    /// The quota of one chute, where the account has an own one for it
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) chute_id: Option<String>,
}

#[derive(Args, Debug, Default)]
pub(crate) struct ModelsArguments {
    /// Only models whose name contains this, in any case
    #[arg(long, value_name = "TEXT")]
    pub(crate) query: Option<String>,

    /// Only models served by this engine: `sglang`, `vllm`, or `chutes` for those hosted elsewhere
    #[arg(long, value_name = "ENGINE")]
    pub(crate) owner: Option<String>,

    /// Only models that take this kind of input: `text`, `image` (or `vision`), `video`
    #[arg(long, value_name = "KIND")]
    pub(crate) modality: Option<String>,

    /// Only models with this feature: `reasoning`, `tools`, `json`, `schema`, `vision`; several: all of them
    #[arg(long, value_name = "FEATURE")]
    pub(crate) feature: Vec<String>,

    /// Only models in a trusted execution environment
    #[arg(long)]
    pub(crate) tee: bool,

    /// Only models whose output costs at most this many dollars per million tokens
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    pub(crate) max_price: Option<String>,

    /// The order
    #[arg(long, value_name = "BY", default_value = "popularity")]
    pub(crate) sort: ModelOrder,
}

/// The order of the catalogue.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ModelOrder {
    /// As the server lists them: most called first
    #[default]
    Popularity,
    Name,
    /// Cheapest output first, unknown prices last
    Price,
    /// Longest context first
    Context,
    /// Hot, busy, unknown, cold, down
    State,
}

#[derive(Args, Debug)]
pub(crate) struct ModelHealthArguments {
    /// The model's name, with or without a `chutes/` prefix
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) model: String,
}

#[derive(Args, Debug, Default)]
#[command(
    group(clap::ArgGroup::new("wanted").args(["model", "purpose"]).required(true).multiple(true)),
    after_help = "Exit codes: 0 stay, or a recommendation; 1 nothing that fits answers at the moment; 2 there is no such model; \
                  3 it could not be found out."
)]
pub(crate) struct RecommendArguments {
    /// The model you use: its variants are compared (with and without -TEE, precisions, point versions)
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) model: Option<String>,

    /// Models for a purpose, as `[recommend]` in the configuration says
    #[arg(long = "for", value_name = "PURPOSE")]
    pub(crate) purpose: Option<Purpose>,

    /// Only models in a trusted execution environment
    #[arg(long, conflicts_with = "allow_plain")]
    pub(crate) tee: bool,

    /// A model outside of a trusted execution environment may replace one inside; never done otherwise
    #[arg(long)]
    pub(crate) allow_plain: bool,
}

/// What a model is wanted for.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Nobody but you sees the prompts: only models in a trusted execution environment
    Privacy,
    /// The cheapest that are still good
    Budget,
    /// Writing and changing code, with tools
    Coding,
    /// Working things out step by step
    Reasoning,
    /// Prose, ideas
    Creative,
    /// Characters and stories
    Roleplay,
}

#[derive(Args, Debug, Default)]
pub(crate) struct SanityArguments {
    /// The model to ask; by default the one of the configuration
    pub(crate) model: Option<String>,
}

#[derive(Args, Debug, Default)]
pub(crate) struct ProbeArguments {
    /// The model to ask, which must not be cold; by default that of `sanity`, or a hot one in its place
    pub(crate) model: Option<String>,
}

#[derive(Args, Debug, Default)]
pub(crate) struct BudgetCheckArguments {
    /// The balance must be above the minimum too, even if a window covers the work
    #[arg(long)]
    pub(crate) require_balance: bool,

    /// For whom: work that is not interactive has to leave alone what `reserve` keeps
    #[arg(long, value_name = "PRIORITY", default_value = "interactive")]
    pub(crate) priority: Priority,
}

#[derive(Args, Debug, Default)]
pub(crate) struct WaitForResetArguments {
    /// Give up after this many seconds, with exit code 1
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = number::<0, MOST>)]
    pub(crate) timeout: Option<u64>,

    /// Wait for the next reset even if there is budget now; of any window, or of this one
    #[arg(long, value_name = "WINDOW", num_args = 0..=1, default_missing_value = "any")]
    pub(crate) next: Option<NextWindow>,

    /// For whom: work that is not interactive has to leave alone what `reserve` keeps
    #[arg(long, value_name = "PRIORITY", default_value = "interactive")]
    pub(crate) priority: Priority,
}

/// The reset to wait for.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextWindow {
    /// Whichever turns first
    Any,
    /// 00:00 UTC
    Day,
    /// The fixed four-hour bucket
    #[value(name = "four_hour", alias = "four-hour", alias = "4h")]
    FourHour,
    /// The billing month
    Month,
}

#[derive(Args, Debug)]
pub(crate) struct AcquireArguments {
    /// Do not start the command, and exit with 75, if no slot came free within this many seconds
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = number::<0, MOST>)]
    pub(crate) timeout: Option<u64>,

    /// The command with its arguments. `RIPCORD_ACCOUNT` tells it on which account the slot is
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

#[derive(Args, Debug, Default)]
pub(crate) struct ServeArguments {
    /// Listen here instead of at `gateway.listen`; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<std::net::SocketAddr>,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// How long the traffic lasts
    #[arg(long, default_value_t = 60, allow_negative_numbers = true, value_parser = number::<5, 3600>)]
    pub(crate) seconds: u64,

    /// Listen here instead of at 127.0.0.1:8790; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<std::net::SocketAddr>,

    /// End with the traffic instead of staying up
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Args, Debug, Default)]
pub(crate) struct DoctorArguments {
    /// Explain this error instead: the text you saw, a log line, JSON, a status such as 402, or the name after
    /// `more:`; `-` reads it from standard input. Needs no network and no key
    #[arg(long, value_name = "TEXT")]
    pub(crate) explain: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ReferenceArguments {
    /// Which part
    pub(crate) part: ReferencePart,
    /// The directory to write into
    pub(crate) directory: PathBuf,
}

/// A part of the reference documentation.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferencePart {
    Schemas,
    Commands,
    Config,
    /// The pages of clients; not among all, since they stand in another directory
    Guide,
    All,
}

/// What nobody needs more of: seconds or tokens.
const MOST: u64 = 1_000_000_000_000;

/// A whole number between these two.
fn number<const LEAST: u64, const MOST: u64>(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
    number.ok_or_else(|| match MOST {
        self::MOST => format!("write a whole number, {LEAST} or more"),
        _ => format!("write a whole number from {LEAST} to {MOST}"),
    })
}

/// The command line without what is hidden, for completions and manual pages.
pub(crate) fn visible_commands() -> clap::Command {
    let whole = Arguments::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut visible = GlobalArguments::augment_args(clap::Command::new("ripcord"))
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommands(shown);
    if let Some(about) = whole.get_about() {
        visible = visible.about(about.clone());
    }
    if let Some(more) = whole.get_after_help() {
        visible = visible.after_help(more.clone());
    }
    visible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// The line as far as it is ours, in words.
    fn words_of_example(line: &str) -> Vec<String> {
        let ours = line.find("ripcord ").map_or("", |start| &line[start..]);
        let end = ["  ", " && ", " | ", " > ", " >> "]
            .iter()
            .filter_map(|mark| ours.find(mark))
            .min()
            .unwrap_or(ours.len());
        // What stands between quotes is one word.
        let mut words = vec![String::new()];
        for (number, part) in ours[..end].split('\'').enumerate() {
            let mut pieces = if number % 2 == 1 { vec![part] } else { part.split(' ').collect() };
            let first = pieces.remove(0);
            words.last_mut().unwrap().push_str(first);
            words.extend(pieces.into_iter().map(str::to_owned));
        }
        words.retain(|word| !word.is_empty());
        words
    }

    /// What is broken by hand is broken again at every other width.
    #[test]
    fn paragraphs_below_the_flags_are_wrapped_by_the_terminal_alone() {
        fn look(command: &clap::Command) {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in text.lines().filter(|line| !line.starts_with("  ") && !line.is_empty()) {
                assert!(line.ends_with(['.', ':']), "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(look);
        }
        look(&Arguments::command());
    }

    fn examples_of(command: &clap::Command, examples: &mut Vec<String>) {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with("  ") && line.contains("ripcord "));
        examples.extend(lines.map(str::to_owned));
        command.get_subcommands().for_each(|command| examples_of(command, examples));
    }

    #[test]
    fn every_example_of_the_help_is_a_right_command_line() {
        let mut examples = Vec::new();
        examples_of(&visible_commands(), &mut examples);
        assert!(examples.len() > 20, "{examples:#?}");
        for example in examples {
            let parsed = Arguments::try_parse_from(words_of_example(&example));
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn a_number_that_is_none_is_refused_with_what_to_write() {
        for (line, told) in [
            (&["can-complete", "-1"][..], "from 1 to 1000000000"),
            (&["can-complete", "ten"], "from 1 to 1000000000"),
            (
                &["can-complete", "5", "--model", "m", "--tokens-in", "-1", "--tokens-out", "1"],
                "0 or more",
            ),
            (&["wait-for-reset", "--timeout", "-1"], "0 or more"),
            (&["acquire", "--timeout", "-1", "true"], "0 or more"),
            (&["demo", "--seconds", "-5"], "from 5 to 3600"),
        ] {
            let problem = Arguments::try_parse_from([&["ripcord"], line].concat()).unwrap_err();
            assert!(problem.to_string().contains(told), "{problem}");
            assert!(!problem.to_string().contains("tip:"), "{problem}");
        }
    }

    #[test]
    fn a_zone_may_begin_with_a_minus_and_may_not_be_empty() {
        let zone = |zone| Arguments::try_parse_from(["ripcord", "usage", "--tz", zone]);
        assert_eq!(zone("-03:30").unwrap().global.tz.as_deref(), Some("-03:30"));
        assert!(zone("").is_err());
        assert!(Arguments::try_parse_from(["ripcord", "usage", "--chute-id", ""]).is_err());
    }

    #[test]
    fn next_takes_a_window_or_none() {
        let next = |arguments: &[&str]| {
            let parsed =
                Arguments::try_parse_from([&["ripcord", "wait-for-reset"], arguments].concat());
            match parsed.unwrap().command {
                Some(Command::WaitForReset(arguments)) => arguments.next,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(next(&[]), None);
        assert_eq!(next(&["--next"]), Some(NextWindow::Any));
        assert_eq!(next(&["--next", "4h"]), Some(NextWindow::FourHour));
    }
}
