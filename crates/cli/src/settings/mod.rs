//! As typed → as needed: four layers become one set of settings, every value with its origin.
//!
//! From weak to strong: the embedded `config/default.toml`, the user's file, the environment, flags.

pub(crate) mod document;
pub(crate) mod environment;
pub(crate) mod hooks;
pub(crate) mod keys;
mod layers;
pub(crate) mod listing;
pub(crate) mod named;
pub(crate) mod origin;
pub(crate) mod providers;
pub(crate) mod recommend;
pub(crate) mod routing;
pub(crate) mod small_file;
pub(crate) mod spending;
mod vocabulary;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ripcord_gateway::AdminToken;
use ripcord_rules::admit::PaceRule;
use ripcord_rules::quota::{Paygo, WhenUnknown};
use ripcord_rules::recommend::Weigh;
use ripcord_rules::units::NanoUsd;

use crate::args::{ColorChoice, GlobalArguments};
use document::Problem;
use environment::Environment;
use hooks::{EventSettings, HookSettings};
use keys::RawKey;
use named::NamedProblem;
use origin::{Origin, Sourced};
use providers::ProviderSettings;
use recommend::{PurposeSettings, RecommendSettings};
use routing::{ChainSettings, RoutingSettings};

/// The defaults, complete and commented: the user's template.
pub(crate) const DEFAULT_FILE: &str = include_str!("../../../../config/default.toml");

/// What it means that a file does not exist which a flag or a variable names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingFile {
    IsAProblem,
    /// It is about to be written.
    IsFine,
}

/// Everything that is configured.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The file that was read, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// Where the file is looked for; `None` if nothing says where the home directory is.
    pub(crate) file_place: Option<PathBuf>,
    pub(crate) chutes: ChutesSettings,
    pub(crate) spending: SpendingSettings,
    pub(crate) models: ModelSettings,
    pub(crate) recommend: RecommendSettings,
    pub(crate) limits: LimitSettings,
    pub(crate) gateway: GatewaySettings,
    pub(crate) routing: RoutingSettings,
    /// The admin token, or why it cannot be used; `None` if none is named.
    pub(crate) admin_token: Option<Result<AdminToken, NamedProblem>>,
    pub(crate) output: OutputSettings,
    pub(crate) events: EventSettings,
    /// Who is told of events.
    pub(crate) hooks: Vec<HookSettings>,
    /// Names that stand for several models.
    pub(crate) chains: Vec<ChainSettings>,
    /// Services besides Chutes.
    pub(crate) providers: Vec<ProviderSettings>,
    /// The accounts that the file names.
    pub(crate) accounts: Vec<AccountSettings>,
    /// Keys of the environment, which belong to whatever account they name.
    pub(crate) environment_keys: Vec<RawKey>,
    /// What deserves attention but stops nothing.
    pub(crate) warnings: Vec<String>,
}

/// `[chutes]`: where and how often to ask.
#[derive(Debug, Clone)]
pub(crate) struct ChutesSettings {
    pub(crate) api_url: Sourced<String>,
    pub(crate) llm_url: Sourced<String>,
    pub(crate) refresh: Sourced<Duration>,
}

/// `[spending]`: what may pay when a window is used up.
#[derive(Debug, Clone)]
pub(crate) struct SpendingSettings {
    pub(crate) paygo: Sourced<Paygo>,
    pub(crate) min_balance: Sourced<NanoUsd>,
    /// In thousandths of each window's cap.
    pub(crate) reserve: Sourced<u64>,
    pub(crate) when_unknown: Sourced<WhenUnknown>,
}

/// `[models]`: which models the user cares about.
#[derive(Debug, Clone)]
pub(crate) struct ModelSettings {
    pub(crate) watch: Sourced<Vec<String>>,
    pub(crate) sanity: Sourced<String>,
}

/// `[limits]`: how long to wait for the network.
#[derive(Debug, Clone)]
pub(crate) struct LimitSettings {
    pub(crate) connect: Sourced<Duration>,
    pub(crate) first_byte: Sourced<Duration>,
    pub(crate) idle: Sourced<Duration>,
}

/// `[gateway]`: how `ripcord serve` works.
#[derive(Debug, Clone)]
pub(crate) struct GatewaySettings {
    pub(crate) listen: Sourced<SocketAddr>,
    /// Where the admin token stands: a variable or a file.
    pub(crate) admin_token: Sourced<Option<String>>,
    /// Where the ledger is kept; `None` if neither the settings nor the environment name a place.
    pub(crate) state_directory: Sourced<Option<PathBuf>>,
    pub(crate) slots_per_account: Sourced<u64>,
    pub(crate) pace: Sourced<PaceRule>,
    pub(crate) queue: Sourced<u64>,
    pub(crate) interactive_deadline: Sourced<Duration>,
    pub(crate) agent_deadline: Sourced<Duration>,
    pub(crate) first_token: Sourced<Duration>,
    pub(crate) plain_answer: Sourced<Duration>,
    pub(crate) stall: Sourced<Duration>,
    pub(crate) heartbeat: Sourced<Duration>,
    pub(crate) drain: Sourced<Duration>,
    pub(crate) body_mib: Sourced<u64>,
    pub(crate) allowed_hosts: Sourced<Vec<String>>,
    pub(crate) allowed_origins: Sourced<Vec<String>>,
}

/// `[output]`: how people see it.
#[derive(Debug, Clone)]
pub(crate) struct OutputSettings {
    pub(crate) time_zone: Sourced<String>,
    pub(crate) color: Sourced<ColorChoice>,
}

/// One `[[accounts]]` entry.
#[derive(Debug, Clone)]
pub(crate) struct AccountSettings {
    pub(crate) name: Sourced<String>,
    pub(crate) keys: Vec<RawKey>,
    pub(crate) paygo: Option<Sourced<Paygo>>,
    pub(crate) min_balance: Option<Sourced<NanoUsd>>,
    pub(crate) reserve: Option<Sourced<u64>>,
    pub(crate) when_unknown: Option<Sourced<WhenUnknown>>,
}

// === impl Settings ===

impl Settings {
    /// Reads all layers, and gathers everything that is wrong with them.
    pub(crate) fn read(
        arguments: &GlobalArguments,
        environment: &dyn Environment,
        missing: MissingFile,
    ) -> (Self, Vec<Problem>) {
        let mut settings = Self::blank();
        let mut problems = layers::read_defaults(&mut settings);
        problems.extend(layers::read_user_file(&mut settings, arguments, environment, missing));
        problems.extend(layers::read_environment(&mut settings, environment));
        layers::read_flags(&mut settings, arguments);
        (settings, problems)
    }

    /// The settings of a test, if the whole configuration is right.
    #[cfg(test)]
    pub(crate) fn load(
        arguments: &GlobalArguments,
        environment: &dyn Environment,
    ) -> Result<Self, Vec<Problem>> {
        let (settings, problems) = Self::read(arguments, environment, MissingFile::IsAProblem);
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    /// What the first layer writes over; a test makes sure that it writes over everything.
    fn blank() -> Self {
        fn unset<T>(value: T) -> Sourced<T> {
            Sourced::new(value, Origin::Flag("unset"))
        }
        Self {
            file: None,
            file_place: None,
            chutes: ChutesSettings {
                api_url: unset(String::new()),
                llm_url: unset(String::new()),
                refresh: unset(Duration::ZERO),
            },
            spending: SpendingSettings {
                paygo: unset(Paygo::ByPlan),
                min_balance: unset(NanoUsd::ZERO),
                reserve: unset(0),
                when_unknown: unset(WhenUnknown::Allow),
            },
            models: ModelSettings { watch: unset(Vec::new()), sanity: unset(String::new()) },
            recommend: RecommendSettings::all(&PurposeSettings {
                tee: unset(false),
                features: unset(Vec::new()),
                max_price: unset(None),
                prefer: unset(Vec::new()),
                others: unset(false),
                weigh: unset(Weigh::Preference),
            }),
            limits: LimitSettings {
                connect: unset(Duration::ZERO),
                first_byte: unset(Duration::ZERO),
                idle: unset(Duration::ZERO),
            },
            gateway: GatewaySettings {
                listen: unset(SocketAddr::from(([0, 0, 0, 0], 0))),
                admin_token: unset(None),
                state_directory: unset(None),
                slots_per_account: unset(0),
                pace: unset(PaceRule::Off),
                queue: unset(0),
                interactive_deadline: unset(Duration::ZERO),
                agent_deadline: unset(Duration::ZERO),
                first_token: unset(Duration::ZERO),
                plain_answer: unset(Duration::ZERO),
                stall: unset(Duration::ZERO),
                heartbeat: unset(Duration::ZERO),
                drain: unset(Duration::ZERO),
                body_mib: unset(0),
                allowed_hosts: unset(Vec::new()),
                allowed_origins: unset(Vec::new()),
            },
            routing: RoutingSettings::unset(),
            admin_token: None,
            output: OutputSettings {
                time_zone: unset(String::new()),
                color: unset(ColorChoice::Auto),
            },
            events: EventSettings::unset(|| unset(0)),
            hooks: Vec::new(),
            chains: Vec::new(),
            providers: Vec::new(),
            accounts: Vec::new(),
            environment_keys: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn load(file: Option<&str>, pairs: &[(&str, &str)]) -> Result<Settings, Vec<Problem>> {
        let directory = tempfile::tempdir().unwrap();
        let mut environment: HashMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if let Some(text) = file {
            let path = directory.path().join("config.toml");
            std::fs::write(&path, text).unwrap();
            environment.insert("RIPCORD_CONFIG".into(), path.display().to_string());
        }
        Settings::load(&GlobalArguments::default(), &environment)
    }

    #[test]
    fn the_embedded_file_sets_every_value() {
        let settings = load(None, &[]).unwrap();
        assert!(!format!("{settings:?}").contains("unset"), "{settings:#?}");
        assert_eq!(settings.spending.min_balance.value, NanoUsd::from_cents(5));
    }

    #[test]
    fn the_commented_example_of_an_account_is_right() {
        let example: String = DEFAULT_FILE
            .lines()
            .skip_while(|line| *line != "# [[accounts]]")
            .take_while(|line| line.starts_with('#'))
            .map(|line| format!("{}\n", line.trim_start_matches("# ")))
            .collect();
        let example = example.replace("[\"~/.config/ripcord/work.key\"]", "[]");
        let settings = load(Some(&example), &[("CHUTES_KEY_WORK", "cpk_x")]).unwrap();
        assert_eq!(settings.accounts[0].name.value, "work");
        assert_eq!(settings.accounts[0].keys.len(), 1);
    }

    /// What the file of defaults has as comments in its sections of chains and providers.
    fn routing_examples() -> String {
        let is_begin = |line: &&str| !line.starts_with("# --- Chains");
        let lines = DEFAULT_FILE.lines().skip_while(is_begin);
        let lines = lines.take_while(|line| !line.starts_with('['));
        let is_toml = |line: &&str| line.contains(" = ") || line.starts_with("# [[");
        lines.filter(is_toml).map(|line| format!("{}\n", line.trim_start_matches("# "))).collect()
    }

    #[test]
    fn the_examples_of_chains_and_providers_are_right() {
        let settings = load(Some(&routing_examples()), &[("SPARE_API_KEY", "sk-spare-1234")]);
        let settings = settings.unwrap();
        let routing = settings.routing.config(&settings.chains, &settings.providers).unwrap();
        assert_eq!((routing.chains.len(), routing.providers.len()), (2, 1));
        assert_eq!(routing.chains[1].models[1], "spare:glm-4.7");
        let spare = &routing.providers[0];
        assert_eq!(spare.daily_usd, Some(NanoUsd::from_cents(500)));
        assert_eq!(spare.base_url.path("/chat/completions"), "/v1/chat/completions");
        assert!(!format!("{settings:?}").contains("spare-1234"));
        let page = include_str!("../../../../docs/guide/fallbacks.md");
        let blocks = page.split("```toml\n").skip(1).filter_map(|block| block.split("```").next());
        for block in blocks {
            let names = ["SPARE_API_KEY", "FIRST_API_KEY"].map(|name| (name, "sk-1234"));
            let settings = load(Some(block), &names).unwrap();
            let routing = settings.routing.config(&settings.chains, &settings.providers).unwrap();
            assert!(!routing.chains.is_empty() || !routing.providers.is_empty(), "{block}");
        }
        // None of it is on unless somebody takes the `#` away.
        let settings = load(None, &[]).unwrap();
        assert!(settings.chains.is_empty() && settings.providers.is_empty());
    }

    #[test]
    fn what_is_wrong_with_chains_and_providers_is_told() {
        let provider = "[[providers]]\nname = \"spare\"\nbase_url = \"https://x.example/v1\"\n";
        let chain = "[[chains]]\nname = \"c\"\n";
        for (text, message) in [
            (format!("{chain}models = [\"nobody:m\"]\n"), "`nobody`, which is not configured"),
            (format!("{chain}models = []\n"), "1 to 16 models"),
            (format!("{chain}models = [\"a/b\"]\n{chain}models = [\"a/b\"]\n"), "there twice"),
            (format!("{chain}models = [\"a/b\"]\ntrim = \"80%\"\n"), "30%"),
            ("[[chains]]\nmodels = [\"a/b\"]\n".to_owned(), "needs a `name`"),
            (format!("{provider}{provider}"), "stands for two things"),
            (format!("{provider}daily_usd = 2\nmodels = {{ \"a/b\" = \"b\" }}\n"), "needs a price"),
            (format!("{provider}prices = {{ b = 1 }}\n"), "a million tokens"),
            (format!("{provider}place = \"beside\"\n"), "\"before\""),
            (provider.replace("spare", "chutes"), "other than \"chutes\""),
            (provider.replace("x.example", "llm.chutes.ai"), "needs no provider"),
            (provider.replace("https", "http") + "key = \"env:K\"\n", "clear text"),
            ("[routing]\ncontinuation = \"sometimes\"\n".to_owned(), "same_model"),
        ] {
            let problems = load(Some(&text), &[("K", "secret")]).unwrap_err();
            let told = problems.iter().any(|problem| problem.message.contains(message));
            assert!(told, "{text}: {problems:#?}");
        }
        for (text, message) in [
            (
                format!("{chain}models = [\"d\"]\n[[chains]]\nname = \"d\"\nmodels = [\"a/b\"]\n"),
                "`d` is a chain",
            ),
            (format!("{chain}models = [\"a/b\", \"c/d\", \"a/b\"]\n"), "stands twice"),
        ] {
            let problems = load(Some(&text), &[]).unwrap_err();
            assert_eq!(problems.len(), 1, "{text}: {problems:#?}");
            assert!(problems[0].message.contains(message), "{text}: {problems:#?}");
        }
        // What is there and wrong is not said to be missing as well.
        for text in [format!("{chain}models = []\n"), provider.replace("https://", "")] {
            let problems = load(Some(&text), &[]).unwrap_err();
            assert_eq!(problems.len(), 1, "{text}: {problems:#?}");
        }
        // A key that is not there stops the gateway alone.
        let text = format!("{provider}key = \"env:NOT_SET\"\n");
        let settings = load(Some(&text), &[]).unwrap();
        let problem = settings.routing.config(&settings.chains, &settings.providers).unwrap_err();
        assert!(problem.message.contains("NOT_SET"), "{problem:?}");
    }

    /// The blocks of TOML in a page, and what the file of defaults has as a comment.
    fn hook_examples() -> Vec<String> {
        let page = include_str!("../../../../docs/guide/events-and-hooks.md");
        let blocks = page.split("```toml\n").skip(1);
        let blocks = blocks.filter_map(|block| block.split("```").next()).map(str::to_owned);
        let commented = DEFAULT_FILE.lines().skip_while(|line| *line != "# [[hooks]]");
        let commented = commented.take_while(|line| line.starts_with('#'));
        let commented = commented.map(|line| format!("{}\n", line.trim_start_matches(['#', ' '])));
        blocks.chain([commented.collect()]).collect()
    }

    #[test]
    fn the_examples_of_hooks_are_right() {
        let mut hooks = 0;
        for example in hook_examples() {
            let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
            let settings =
                load(Some(&example), &[("RIPCORD_HOOK_SECRET", secret), ("HOOK_SECRET", secret)]);
            for hook in settings.unwrap().hooks {
                assert_eq!(hook.problems(), Vec::<&NamedProblem>::new(), "{hook:?}");
                assert!(!format!("{hook:?}").contains(&secret[6..]), "{hook:?}");
                hooks += 1;
            }
        }
        assert_eq!(hooks, 6);
    }

    #[test]
    fn each_layer_beats_the_one_before_and_says_where_it_comes_from() {
        let file = "[spending]\nmin_balance = 2\n[chutes]\nrefresh_seconds = 60\n";
        let settings = load(Some(file), &[("CHUTES_MIN_BALANCE", "'0.5' ")]).unwrap();
        assert_eq!(settings.spending.min_balance.value, NanoUsd::from_cents(50));
        assert_eq!(settings.spending.min_balance.origin.to_string(), "CHUTES_MIN_BALANCE");
        assert_eq!(settings.chutes.refresh.value, Duration::from_secs(60));
        assert!(settings.chutes.refresh.origin.to_string().ends_with("config.toml:4"));
        assert_eq!(settings.models.sanity.origin, Origin::Default);
    }

    #[test]
    fn problems_of_all_layers_come_together() {
        let problems = load(
            Some("[chutes]\nrefresh_seconds = 5\nap_url = \"x\"\n[[accounts]]\nkeys = []\n"),
            &[("CHUTES_QUOTA_REFRESH_INTERVAL", "29"), ("CHUTES_MIN_BALANCE", "lots")],
        )
        .unwrap_err();
        let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(messages.len(), 5, "{messages:#?}");
    }

    #[test]
    fn keys_of_the_environment_are_gathered_once_each() {
        let settings = load(
            None,
            &[
                ("CHUTES_API_KEY", "cpk_a, cpk_b"),
                ("CHUTES_API_TOKEN", "cpk_c"),
                ("CHUTES_API_KEY_2", "cpk_d"),
                ("CHUTES_API_KEY_10", "cpk_b"),
            ],
        )
        .unwrap();
        let origins: Vec<_> =
            settings.environment_keys.iter().map(|key| key.origin.to_string()).collect();
        let expected = ["CHUTES_API_KEY", "CHUTES_API_KEY", "CHUTES_API_KEY_2", "CHUTES_API_TOKEN"];
        assert_eq!(origins, expected);
        assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
        assert!(!format!("{settings:?}").contains("cpk_a"));
    }
}
