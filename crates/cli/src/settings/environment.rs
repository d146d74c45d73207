//! The only place that reads the environment, and the list of every variable that is read.

use std::collections::HashMap;

/// Where variables come from: the process, or a map in a test.
pub(crate) trait Environment {
    /// The value of a variable; `None` if it is not set or is not Unicode.
    fn get(&self, name: &str) -> Option<String>;
    /// The names of all variables that are set.
    fn names(&self) -> Vec<String>;
    /// The names of those whose value is not Unicode.
    fn unreadable(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessEnvironment;

/// A variable and what it is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) purpose: &'static str,
}

/// The name of every variable that Ripcord reads.
pub(crate) mod variables {
    pub(crate) const CHUTES_API_KEY: &str = "CHUTES_API_KEY";
    pub(crate) const CHUTES_API_KEY_NUMBERED: &str = "CHUTES_API_KEY_";
    pub(crate) const CHUTES_API_TOKEN: &str = "CHUTES_API_TOKEN";
    pub(crate) const CHUTES_API_URL: &str = "CHUTES_API_URL";
    pub(crate) const CHUTES_LLM_URL: &str = "CHUTES_LLM_URL";
    pub(crate) const CHUTES_MIN_BALANCE: &str = "CHUTES_MIN_BALANCE";
    pub(crate) const CHUTES_QUOTA_REFRESH_INTERVAL: &str = "CHUTES_QUOTA_REFRESH_INTERVAL";
    pub(crate) const RIPCORD_ADMIN_TOKEN: &str = "RIPCORD_ADMIN_TOKEN";
    pub(crate) const RIPCORD_CONFIG: &str = "RIPCORD_CONFIG";
    pub(crate) const RIPCORD_TEST_NOW: &str = "RIPCORD_TEST_NOW";
    pub(crate) const RUST_LOG: &str = "RUST_LOG";
    pub(crate) const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
    pub(crate) const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
    pub(crate) const HOME: &str = "HOME";
    pub(crate) const NO_COLOR: &str = "NO_COLOR";
    pub(crate) const TERM: &str = "TERM";
    pub(crate) const COLUMNS: &str = "COLUMNS";
    pub(crate) const TZ: &str = "TZ";
    pub(crate) const LC_ALL: &str = "LC_ALL";
    pub(crate) const LC_CTYPE: &str = "LC_CTYPE";
    pub(crate) const LANG: &str = "LANG";
}

/// Every variable with its purpose, for the reference.
pub(crate) const VARIABLES: &[Variable] = &[
    Variable {
        name: variables::CHUTES_API_KEY,
        purpose: "An API key, or several separated by commas. Stray quotes and spaces are repaired with a warning.",
    },
    Variable {
        name: "CHUTES_API_KEY_1, _2 …",
        purpose: "Further keys, one each. Numbers may be missing.",
    },
    Variable {
        name: variables::CHUTES_API_TOKEN,
        purpose: "Read like `CHUTES_API_KEY`. If both are set and differ, the keys of both count, with a warning.",
    },
    Variable { name: variables::CHUTES_API_URL, purpose: "Overrides `chutes.api_url`." },
    Variable {
        name: variables::CHUTES_LLM_URL,
        purpose: "Overrides `chutes.llm_url`; with or without `/v1`.",
    },
    Variable {
        name: variables::CHUTES_MIN_BALANCE,
        purpose: "Overrides `spending.min_balance`: US dollars. An account's own value in the file stays.",
    },
    Variable {
        name: variables::CHUTES_QUOTA_REFRESH_INTERVAL,
        purpose: "Overrides `chutes.refresh_seconds`: seconds, at least 30.",
    },
    Variable {
        name: variables::RIPCORD_ADMIN_TOKEN,
        purpose: "The gateway's admin token; overrides `gateway.admin_token`.",
    },
    Variable { name: variables::RIPCORD_CONFIG, purpose: "The configuration file, as `--config`." },
    Variable {
        name: variables::RUST_LOG,
        purpose: "What is logged to stderr, such as `debug` or `ripcord_client=trace`. Never a key, never a prompt.",
    },
    Variable {
        name: variables::XDG_CONFIG_HOME,
        purpose: "Where `ripcord/config.toml` is looked for; `~/.config` if not set.",
    },
    Variable {
        name: variables::XDG_STATE_HOME,
        purpose: "Where `ripcord/` with the gateway's ledger is kept; `~/.local/state` if not set.",
    },
    Variable { name: variables::HOME, purpose: "The home directory, for `~/` in paths." },
    Variable { name: variables::NO_COLOR, purpose: "No colours, if set to anything." },
    Variable { name: variables::TERM, purpose: "No colours if it is `dumb`." },
    Variable {
        name: variables::COLUMNS,
        purpose: "The width to lay out for when stdout is not a terminal; without it a pipe gets whole names.",
    },
    Variable {
        name: variables::TZ,
        purpose: "The machine's time zone, for `time_zone = \"local\"`.",
    },
    Variable {
        name: "LC_ALL, LC_CTYPE, LANG",
        purpose: "Bars and signs are drawn in ASCII where the first of them that is set does not name UTF-8.",
    },
    Variable {
        name: variables::RIPCORD_TEST_NOW,
        purpose: "For tests: an RFC 3339 moment at which the clock stands still; with `/run` behind it runs on from there, with `/run10` ten times as fast.",
    },
];

// === impl ProcessEnvironment ===

impl Environment for ProcessEnvironment {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn unreadable(&self) -> Vec<String> {
        let strange = std::env::vars_os().filter(|(_, value)| value.to_str().is_none());
        strange.filter_map(|(name, _)| name.into_string().ok()).collect()
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}

// === impl HashMap ===

impl Environment for HashMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}
